// Producers and consumers of one queue are stopped and killed at random instants; the rest must go on, with no
// item doubled, none out of order, and none lost but what a killed consumer may have taken.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <vector>

#include "support/epoll.hpp"
#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"
#include "tandem/wait.hpp"

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

enum class Way { get, wait_any, edges };

/// Waits for an item in one of the ways there are.
void consume(Queue<Load> queue, Queue<Numbered> got, Way way) {
  std::map<std::uint32_t, std::uint32_t> next;
  const auto take = [&](const Load& load) {
    if (!intact(load)) throw std::logic_error("an item was damaged");
    if (load.id.number < next[load.id.producer])
      throw std::logic_error("an item came out of order");
    next[load.id.producer] = load.id.number + 1;
    got.put(load.id);
  };
  if (way == Way::get) {
    for (const Load& load : queue) take(load);
    return;
  }
  std::optional<test::Epoll> epoll;
  if (way == Way::edges) epoll.emplace(queue.fd(), EPOLLIN | EPOLLET);
  try {
    for (;;) {
      epoll ? epoll->wait() : static_cast<void>(wait_any({queue}));
      while (const auto load = queue.try_get()) take(*load);
    }
  } catch (const ShutDown&) {
  }
}

using QueueKillTest = test::ThreadedStartMethodTest;  // feeders are threads
TANDEM_OVER_START_METHODS(QueueKillTest);

/// Four producers and four consumers of one queue, and one after the other is stopped or killed.
class Storm {
 public:
  explicit Storm(const QueueOptions& options) : queue_(options) {
    for (int i = 0; i < 4; ++i) {
      add_producer();
      add_consumer();
    }
  }

  void run(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      const bool producer = random_() % 2 == 0;
      std::vector<Process>& group = producer ? producers_ : consumers_;
      const std::size_t victim = random_() % group.size();
      if (test::strike_within(group[victim].pid(), 3ms, random_)) {
        bury(group, victim);
        producer ? add_producer() : add_consumer();
        if (!producer) ++killed_consumers_;
      }
      // Proof that the survivors go on: fifty more items come through.
      for (int i = 0; i < 50; ++i) note(got_.get());
    }
  }

  void finish() {
    while (!producers_.empty()) {
      const std::size_t victim = random_() % producers_.size();
      test::kill_within(producers_[victim].pid(), 3ms, random_);
      bury(producers_, victim);
    }
    queue_.shutdown();
    for (Process& consumer : consumers_) {
      while (!consumer.join_for(1ms)) take_what_is_there();
      EXPECT_EQ(consumer.exitcode(), 0);
    }
    take_what_is_there();
    // Every consumer that was killed may have taken one item along (and told of none of it).
    std::size_t missing = 0;
    for (auto& numbers : received_) {
      std::sort(numbers.begin(), numbers.end());
      EXPECT_EQ(std::adjacent_find(numbers.begin(), numbers.end()), numbers.end());
      if (!numbers.empty()) missing += numbers.back() + 1 - numbers.size();
    }
    EXPECT_LE(missing, killed_consumers_);
  }

 private:
  void add_producer() {
    producers_.emplace_back(produce, queue_, next_producer_++);
    producers_.back().start();
  }
  void add_consumer() {
    consumers_.emplace_back(consume, queue_, got_, static_cast<Way>(next_consumer_++ % 3));
    consumers_.back().start();
  }
  void bury(std::vector<Process>& group, std::size_t victim) {
    group[victim].join();
    EXPECT_EQ(group[victim].exitcode(), -SIGKILL);
    group.erase(group.begin() + static_cast<std::ptrdiff_t>(victim));
  }
  void take_what_is_there() {
    while (const auto item = got_.try_get()) note(*item);
  }
  void note(const Numbered& item) {
    if (received_.size() <= item.producer) received_.resize(item.producer + 1);
    received_[item.producer].push_back(item.number);
  }

  std::mt19937_64 random_{test::seed()};
  Queue<Load> queue_;
  // Bounded: what a consumer has put is in the ring, not in a buffer that dies with it.
  Queue<Numbered> got_{QueueOptions{.maxsize = 100'000, .ring_bytes = 1 << 22}};
  std::vector<Process> producers_;
  std::vector<Process> consumers_;
  std::uint32_t next_producer_ = 0;
  unsigned next_consumer_ = 0;
  std::vector<std::vector<std::uint32_t>> received_;  // numbers by producer
  std::size_t killed_consumers_ = 0;
};

constexpr int kRounds = test::kTsan || test::kAsan ? 10 : 40;

// Both are small, so that waiting for room and streaming are frequent.

TEST_P(QueueKillTest, SurvivorsGoOnWithNothingLostDoubledOrOutOfOrder) {
  Storm storm({.maxsize = 64, .ring_bytes = 16'384});
  storm.run(kRounds);
  storm.finish();
}

TEST_P(QueueKillTest, WithABufferInEveryProducerToo) {
  Storm storm({.ring_bytes = 16'384, .buffer_bytes = 65'536});
  storm.run(kRounds);
  storm.finish();
}

}  // namespace
}  // namespace tandem
