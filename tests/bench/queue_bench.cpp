// Throughput of Queue, beside the message queues, pipes and sockets of others and Python's
// multiprocessing.Queue.
#include <cstring>

#include "channels.hpp"
#include "harness.hpp"

namespace {

using bench::Shape;
using Small = std::array<std::byte, 64>;

constexpr std::size_t kBatch = 64;

/// The metrics of a shape: throughput, and the CPU time of all processes together.
std::vector<bench::Metric> metrics_of(const Shape& shape) {
  if (shape.bytes < 1024) return {{"M messages/s"}, {"CPU s per M", false}};
  return {{"GB/s"}, {"CPU s per GB", false}};
}

std::vector<double> values_of(const Shape& shape, std::size_t messages, const bench::Run& run) {
  const auto sent = static_cast<double>(messages);
  const double units =
      shape.bytes < 1024 ? sent / 1e6 : sent * static_cast<double>(shape.bytes) / 1e9;
  return {units / run.seconds, run.cpu_seconds / units};
}

/// \param produce, consume called in each producer's and consumer's process with its number of
///        messages, consume with its own number as well
std::vector<double> throughput(const Shape& shape, std::size_t messages,
                               const std::function<void(std::size_t)>& produce,
                               const std::function<void(std::size_t, std::size_t)>& consume) {
  std::vector<std::function<void()>> bodies;
  for (std::size_t i = 0; i < shape.producers; ++i) {
    bodies.emplace_back([&] { produce(messages / shape.producers); });
  }
  for (std::size_t i = 0; i < shape.consumers; ++i) {
    bodies.emplace_back([&, i] { consume(messages / shape.consumers, i); });
  }
  return values_of(shape, messages, bench::run_together(bodies));
}

template <class T>
std::vector<double> one_by_one(const Shape& shape, tandem::QueueOptions options, const T& value) {
  tandem::Queue<T> queue(options);
  return throughput(
      shape, shape.messages,
      [&](std::size_t n) {
        for (; n > 0; --n) queue.put(value);
      },
      [&](std::size_t n, std::size_t) {
        for (; n > 0; --n) static_cast<void>(queue.get());
      });
}

std::vector<double> one_by_one(const Shape& shape, tandem::QueueOptions options) {
  if (shape.bytes == sizeof(Small)) return one_by_one(shape, options, Small());
  return one_by_one(shape, options, tandem::Bytes(shape.bytes));
}

std::vector<double> in_batches(const Shape& shape, tandem::QueueOptions options) {
  tandem::Queue<Small> queue(options);
  return throughput(
      shape, shape.messages,
      [&](std::size_t n) {
        const std::vector<Small> batch(kBatch);
        for (; n > 0; n -= kBatch) queue.put_many(batch);
      },
      [&](std::size_t n, std::size_t) {
        while (n > 0) n -= queue.get_many(std::min(n, kBatch)).size();
      });
}

std::vector<double> of_peer(const Shape& shape, const bench::Peer& peer) {
  const std::unique_ptr<bench::Channel> channel = peer.make(shape);
  const std::vector<std::byte> message(shape.bytes);
  return throughput(
      shape, shape.messages / 4,
      [&](std::size_t n) {
        channel->begin_sending();
        for (; n > 0; --n) channel->send(message);
        channel->end();
      },
      [&](std::size_t n, std::size_t consumer) {
        std::vector<std::byte> room(shape.bytes);
        channel->begin_receiving(consumer);
        for (; n > 0; --n) channel->receive(room);
        channel->end();
      });
}

std::vector<double> copies_into_fresh_buffers(const Shape& shape) {
  const tandem::Bytes from(shape.bytes, std::byte{1});
  const bench::Run run = bench::run_together({[&] {
    for (std::size_t i = 0; i < shape.messages; ++i) {
      const std::unique_ptr<std::byte[]> to(new std::byte[shape.bytes]);
      std::memcpy(to.get(), from.data(), shape.bytes);
      asm volatile("" : : "r"(to.get()) : "memory");  // it is read
    }
  }});
  return values_of(shape, shape.messages, run);
}

std::string name_of(const Shape& shape) {
  return "queue " + bench::size_text(shape.bytes) + ", " + std::to_string(shape.producers) + "p" +
         std::to_string(shape.consumers) + "c";
}

void compare(const Shape& shape, const std::vector<bench::Reach>& reaches) {
  bench::Comparison comparison{name_of(shape), metrics_of(shape), {}, reaches};
  const auto add = [&](const char* name, const std::function<std::vector<double>()>& sample) {
    comparison.candidates.push_back({name, false, sample});
  };
  // Bounded, as the peers are: what is measured is the way through, not a growing buffer.
  const tandem::QueueOptions options{.maxsize = bench::depth_of(shape)};
  tandem::QueueOptions declared = options;
  declared.single_producer = declared.single_consumer = true;
  add("put/get", [=] { return one_by_one(shape, options); });
  if (shape.producers == 1 && shape.consumers == 1) {
    add("declared 1:1", [=] { return one_by_one(shape, declared); });
  }
  if (shape.bytes == sizeof(Small)) {
    add("put_many/get_many", [=] { return in_batches(shape, options); });
  }
  for (const bench::Peer& peer : bench::peers_for(shape)) {
    comparison.candidates.push_back({peer.name, true, [=] { return of_peer(shape, peer); }});
  }
  bench::add_python_peer(comparison, "Python", "python_queue.py",
                         std::to_string(shape.producers) + ' ' + std::to_string(shape.consumers) +
                             ' ' + std::to_string(shape.bytes) + ' ' +
                             std::to_string(std::min<std::size_t>(shape.messages / 10, 40'000)));
  bench::compare(comparison);
}

void compare_with_copy(const Shape& shape) {
  bench::compare({name_of(shape),
                  metrics_of(shape),
                  {{"put/get", false, [=] { return one_by_one(shape, {.maxsize = 2}); }},
                   {"memcpy, fresh", true, [=] { return copies_into_fresh_buffers(shape); }}},
                  {{"put/get", "memcpy, fresh", 0.5, 0.5}}});
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  compare({1, 1, 64, 640'000}, {{"put/get", "Boost", 2, 1.1},
                                {"put/get", "Python", 40, 40},
                                {"declared 1:1", "Boost", 4, 2},
                                {"put_many/get_many", "Boost", 4, 4}});
  for (const auto& [producers, consumers] : {std::pair{2, 2}, {4, 1}, {1, 4}, {4, 4}}) {
    compare({static_cast<std::size_t>(producers), static_cast<std::size_t>(consumers), 64, 640'000},
            {{"put/get", "Boost", 1.6, 1.1}});
  }
  compare({1, 1, 1 << 10, 320'000}, {});
  compare({1, 1, 4 << 10, 120'000}, {});
  compare({1, 1, 16 << 10, 40'000}, {{"put/get", "Boost", 1.3, 1.3}});
  compare({1, 1, 64 << 10, 12'000}, {});
  compare({1, 1, 256 << 10, 4'000}, {});
  compare({1, 1, 1 << 20, 1'000}, {{"put/get", "Boost", 2, 1}});
  compare_with_copy({1, 1, 64 << 20, 8});
}
