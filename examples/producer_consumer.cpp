// Several producers, several consumers, one queue. Nobody counts items or sends end marks: the
// consumers' loops end when the queue is shut down and empty.
#include <cstdint>
#include <iostream>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

constexpr std::uint64_t kProducers = 3;
constexpr std::uint64_t kConsumers = 2;
constexpr std::uint64_t kItems = 300'000;

struct Share {  // of the work, done by one consumer
  std::uint64_t items = 0;
  std::uint64_t sum = 0;
};

void produce(std::uint64_t first, tandem::Queue<std::uint64_t> numbers) {
  for (std::uint64_t n = first; n < kItems; n += kProducers) {
    numbers.put(n);  // waits while the queue is full
  }
}

void consume(tandem::Queue<std::uint64_t> numbers, tandem::Queue<Share> shares) {
  Share share;
  for (std::uint64_t n : numbers) {
    ++share.items;
    share.sum += n;
  }
  shares.put(share);
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);

  tandem::Queue<std::uint64_t> numbers(1000);
  tandem::Queue<Share> shares;

  std::vector<tandem::Process> consumers;
  for (std::uint64_t i = 0; i < kConsumers; ++i) consumers.emplace_back(consume, numbers, shares);
  for (tandem::Process& consumer : consumers) consumer.start();

  std::vector<tandem::Process> producers;
  for (std::uint64_t i = 0; i < kProducers; ++i) producers.emplace_back(produce, i, numbers);
  for (tandem::Process& producer : producers) producer.start();
  for (tandem::Process& producer : producers) producer.join();

  numbers.shutdown();  // what is still in the queue is consumed first
  Share total;
  for (std::uint64_t i = 0; i < kConsumers; ++i) {
    const Share share = shares.get();
    std::cout << "one consumer took " << share.items << " items\n";
    total.items += share.items;
    total.sum += share.sum;
  }
  for (tandem::Process& consumer : consumers) consumer.join();

  const std::uint64_t expected = kItems * (kItems - 1) / 2;
  std::cout << "sum " << total.sum << " of " << total.items << " items\n";
  if (total.items != kItems || total.sum != expected) {
    std::cerr << "expected sum " << expected << " of " << kItems << " items\n";
    return 1;
  }
}
