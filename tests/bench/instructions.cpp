// Performs one operation a number of times, for instructions.sh, which counts what it executes.
//
//     instructions OPERATION COUNT
#include <array>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "tandem/pipe.hpp"
#include "tandem/queue.hpp"

namespace {

using Small = std::array<std::byte, 64>;
constexpr std::size_t kBatch = 64;

/// Put and taken by one thread, so that nobody waits for anybody.
std::function<void(std::size_t)> queue_work(tandem::QueueOptions options, bool puts, bool gets,
                                            bool bounded, bool many) {
  options.ring_bytes = std::size_t{1} << 22;
  if (bounded) options.maxsize = std::size_t{1} << 16;
  return [=](std::size_t count) {
    tandem::Queue<Small> queue(options);
    const std::vector<Small> batch(kBatch);
    const Small one{};
    for (std::size_t i = 0; puts && i < count; i += many ? kBatch : 1) {
      many ? queue.put_many(batch) : queue.put(one);
    }
    for (std::size_t i = 0; gets && i < count; i += many ? kBatch : 1) {
      many ? static_cast<void>(queue.get_many(kBatch)) : static_cast<void>(queue.get());
    }
  };
}

void try_puts(std::size_t count) {
  tandem::Queue<Small> queue(tandem::QueueOptions{.maxsize = 1 << 16, .ring_bytes = 1 << 22});
  for (std::size_t i = 0; i < count; ++i) static_cast<void>(queue.try_put(Small{}));
}

void pipe_work(std::size_t count) {
  constexpr std::size_t kAtATime = 1024;  // as many as a pipe holds
  auto [first, second] = tandem::Pipe<Small>();
  for (std::size_t sent = 0; sent < count; sent += kAtATime) {
    for (std::size_t i = 0; i < kAtATime; ++i) first.send(Small{});
    for (std::size_t i = 0; i < kAtATime; ++i) static_cast<void>(second.recv());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const tandem::QueueOptions any;
  const tandem::QueueOptions one{.single_producer = true, .single_consumer = true};
  const std::map<std::string, std::function<void(std::size_t)>> operations = {
      {"put", queue_work(any, true, false, true, false)},
      {"put+get", queue_work(any, true, true, true, false)},
      {"put-unbounded", queue_work(any, true, false, false, false)},
      {"put-single", queue_work(one, true, false, true, false)},
      {"put+get-single", queue_work(one, true, true, true, false)},
      {"put_many", queue_work(any, true, false, true, true)},
      {"put_many+get_many", queue_work(any, true, true, true, true)},
      {"try_put", try_puts},
      {"send+recv", pipe_work},
  };
  const auto operation = argc == 3 ? operations.find(argv[1]) : operations.end();
  if (operation == operations.end()) {
    for (const auto& [name, work] : operations) std::cout << name << '\n';
    return 2;
  }
  operation->second(std::strtoull(argv[2], nullptr, 10));
}
