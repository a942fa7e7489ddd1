// Throughput of Queue, beside Boost's message_queue and Python's multiprocessing.Queue.
#include <unistd.h>
#include <boost/interprocess/ipc/message_queue.hpp>

#include "harness.hpp"

namespace {

namespace ipc = boost::interprocess;

struct Shape {
  std::size_t producers;
  std::size_t consumers;
  std::size_t bytes;     // of a message
  std::size_t messages;  // of a sample of tandem's, in all; divisible by producers and consumers
};

/// \returns messages per second with these producers and consumers, each called with its number of
/// messages
double throughput(const Shape& shape, std::size_t messages,
                  const std::function<void(std::size_t)>& produce,
                  const std::function<void(std::size_t)>& consume) {
  std::vector<std::function<void()>> bodies;
  for (std::size_t i = 0; i < shape.producers; ++i) {
    bodies.emplace_back([&] { produce(messages / shape.producers); });
  }
  for (std::size_t i = 0; i < shape.consumers; ++i) {
    bodies.emplace_back([&] { consume(messages / shape.consumers); });
  }
  return static_cast<double>(messages) / bench::run_together(bodies);
}

/// In millions of messages per second for small ones, else in gigabytes per second.
double in_unit(const Shape& shape, double messages_per_second) {
  return shape.bytes < 1024 ? messages_per_second / 1e6
                            : messages_per_second * static_cast<double>(shape.bytes) / 1e9;
}

template <class T>
double tandem_one_by_one(const Shape& shape, const T& value, tandem::QueueOptions options) {
  tandem::Queue<T> queue(options);
  return throughput(
      shape, shape.messages,
      [&](std::size_t n) {
        for (; n > 0; --n) queue.put(value);
      },
      [&](std::size_t n) {
        for (; n > 0; --n) static_cast<void>(queue.get());
      });
}

double tandem_64_at_a_time(const Shape& shape, tandem::QueueOptions options) {
  using Small = std::array<std::byte, 64>;
  tandem::Queue<Small> queue(options);
  return throughput(
      shape, shape.messages,
      [&](std::size_t n) {
        const std::vector<Small> batch(64);
        for (; n > 0; n -= batch.size()) queue.put_many(batch);
      },
      [&](std::size_t n) {
        while (n > 0) n -= queue.get_many(64).size();
      });
}

double boost_queue(const Shape& shape) {
  const std::string name = "tandem-bench-" + std::to_string(getpid());
  const std::size_t depth = std::max<std::size_t>((1 << 20) / shape.bytes, 16);
  ipc::message_queue queue(ipc::create_only, name.c_str(), depth, shape.bytes);
  ipc::message_queue::remove(name.c_str());
  return throughput(
      shape, shape.messages / 4,
      [&](std::size_t n) {
        const std::vector<std::byte> message(shape.bytes);
        for (; n > 0; --n) queue.send(message.data(), message.size(), 0);
      },
      [&](std::size_t n) {
        std::vector<std::byte> message(shape.bytes);
        std::size_t size = 0;
        unsigned priority = 0;
        for (; n > 0; --n) queue.receive(message.data(), message.size(), size, priority);
      });
}

void compare(const Shape& shape) {
  const bool small = shape.bytes == 64;
  // Bounded by bytes, as the peers are: what is measured is the way through, not a growing buffer.
  const tandem::QueueOptions options{.maxsize = std::max<std::size_t>((1 << 20) / shape.bytes, 16)};

  bench::Comparison comparison;
  comparison.work =
      "queue " +
      (small ? std::string("64 B") : std::to_string(shape.bytes / 1024) + std::string(" KiB")) +
      ", " + std::to_string(shape.producers) + " producers, " + std::to_string(shape.consumers) +
      " consumers";
  comparison.metrics = {{small ? "M messages/s" : "GB/s"}};
  const auto add = [&](const char* name, bool peer, auto sample) {
    comparison.candidates.push_back(
        {name, peer, [=] { return std::vector{in_unit(shape, sample())}; }});
  };
  add("tandem", false, [=] {
    return small ? tandem_one_by_one(shape, std::array<std::byte, 64>(), options)
                 : tandem_one_by_one(shape, tandem::Bytes(shape.bytes), options);
  });
  if (small)
    add("tandem, 64 at a time", false, [=] { return tandem_64_at_a_time(shape, options); });
  if (shape.producers == 1 && shape.consumers == 1) {
    tandem::QueueOptions declared = options;
    declared.single_producer = declared.single_consumer = true;
    add("tandem, declared 1:1", false, [=] {
      return small ? tandem_one_by_one(shape, std::array<std::byte, 64>(), declared)
                   : tandem_one_by_one(shape, tandem::Bytes(shape.bytes), declared);
    });
  }
  add("Boost", true, [=] { return boost_queue(shape); });
  bench::add_python_peer(comparison, "Python", "python_queue.py",
                         std::to_string(shape.producers) + ' ' + std::to_string(shape.consumers) +
                             ' ' + std::to_string(shape.bytes) + ' ' +
                             std::to_string(small ? 40'000 : 8'000));
  bench::compare(comparison);
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  for (const Shape& shape :
       {Shape{1, 1, 64, 1'280'000}, Shape{2, 2, 64, 1'280'000}, Shape{4, 1, 64, 1'280'000},
        Shape{1, 4, 64, 1'280'000}, Shape{4, 4, 64, 1'280'000}, Shape{1, 1, 16 << 10, 200'000},
        Shape{1, 1, 1 << 20, 4'000}}) {
    compare(shape);
  }
}
