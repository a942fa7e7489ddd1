// Producers and consumers of one queue are killed at random instants; the rest must go on, with no
// item doubled, none out of order, and none lost but what a killed consumer may have taken.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

struct Numbered {
  std::uint32_t producer = 0;
  std::uint32_t number = 0;
};

/// Big enough now and then to stream through the ring.
struct Load {
  Numbered id;
  std::vector<std::uint32_t> body;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(id.producer, id.number, body);
  }
};

Load make_load(std::uint32_t producer, std::uint32_t number) {
  Load load{{producer, number}, {}};
  load.body.assign(number % 50 == 49 ? 3'000 : number % 20, producer * 1'000'003 + number);
  return load;
}

bool intact(const Load& load) {
  const Load expected = make_load(load.id.producer, load.id.number);
  return load.body == expected.body;
}

void produce(Queue<Load> queue, std::uint32_t producer) {
  for (std::uint32_t number = 0;; ++number) queue.put(make_load(producer, number));
}

void consume(Queue<Load> queue, Queue<Numbered> got) {
  std::map<std::uint32_t, std::uint32_t> next;
  for (const Load& load : queue) {
    if (!intact(load)) throw std::logic_error("an item was damaged");
    if (load.id.number < next[load.id.producer])
      throw std::logic_error("an item came out of order");
    next[load.id.producer] = load.id.number + 1;
    got.put(load.id);
  }
}

using QueueKillTest = test::StartMethodTest;
TANDEM_OVER_START_METHODS(QueueKillTest);

TEST_P(QueueKillTest, SurvivorsGoOnWithNothingLostDoubledOrOutOfOrder) {
  std::mt19937_64 random(test::seed());
  constexpr std::uint32_t kProducers = 3;
  constexpr int kRounds = test::kTsan || test::kAsan ? 10 : 40;
  // Bounded and small, so that waiting for room and streaming are frequent.
  Queue<Load> queue(QueueOptions{.maxsize = 64, .ring_bytes = 16'384});
  // Bounded too: what a consumer has put is in the ring, not in a buffer that dies with it.
  Queue<Numbered> got(QueueOptions{.maxsize = 100'000, .ring_bytes = 1 << 22});

  std::vector<Process> producers;
  std::vector<Process> consumers;
  std::uint32_t next_producer = 0;
  const auto add_producer = [&] {
    producers.emplace_back(produce, queue, next_producer++);
    producers.back().start();
  };
  const auto add_consumer = [&] {
    consumers.emplace_back(consume, queue, got);
    consumers.back().start();
  };
  for (std::uint32_t i = 0; i < kProducers; ++i) add_producer();
  for (int i = 0; i < 3; ++i) add_consumer();

  std::vector<std::vector<std::uint32_t>> received;
  const auto note = [&](const Numbered& item) {
    if (received.size() <= item.producer) received.resize(item.producer + 1);
    received[item.producer].push_back(item.number);
  };
  int killed_consumers = 0;
  const auto kill_one = [&](std::vector<Process>& group) {
    const std::size_t victim = random() % group.size();
    test::kill_within(group[victim].pid(), 3ms, random);
    group[victim].join();
    EXPECT_EQ(group[victim].exitcode(), -SIGKILL);
    group.erase(group.begin() + static_cast<std::ptrdiff_t>(victim));
  };
  for (int round = 0; round < kRounds; ++round) {
    if (random() % 2 == 0) {
      kill_one(producers);
      add_producer();
    } else {
      kill_one(consumers);
      ++killed_consumers;
      add_consumer();
    }
    // Proof that the survivors go on: fifty more items come through.
    for (int i = 0; i < 50; ++i) note(got.get());
  }
  while (!producers.empty()) kill_one(producers);
  queue.shutdown();
  for (Process& consumer : consumers) {
    while (!consumer.join_for(1ms)) {
      while (const auto item = got.try_get()) note(*item);
    }
    EXPECT_EQ(consumer.exitcode(), 0);
  }
  while (const auto item = got.try_get()) note(*item);

  // Every consumer that was killed may have taken one item along (and told of none of it).
  std::size_t missing = 0;
  for (auto& numbers : received) {
    std::sort(numbers.begin(), numbers.end());
    EXPECT_EQ(std::adjacent_find(numbers.begin(), numbers.end()), numbers.end());
    if (!numbers.empty()) missing += numbers.back() + 1 - numbers.size();
  }
  EXPECT_LE(missing, static_cast<std::size_t>(killed_consumers));
}

}  // namespace
}  // namespace tandem
