#include "tandem/queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/log.hpp"
#include "tandem/process.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

using QueueTest = test::StartMethodTest;
TANDEM_OVER_START_METHODS(QueueTest);

struct Item {
  int producer = 0;
  int number = 0;
};

/// A value whose encoding may fail.
struct Fragile {
  bool broken = false;
  std::string text;
  template <class Archive>
  void save(Archive& archive) const {
    if (broken) throw std::invalid_argument("cannot be written");
    archive(text);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(text);
  }
};

void produce(Queue<Item> queue, int producer, int count) {
  for (int i = 0; i < count; ++i) queue.put({producer, i});
}

void consume(Queue<Item> queue, Queue<std::vector<std::pair<int, int>>> results) {
  std::vector<std::pair<int, int>> got;
  for (const Item& item : queue) got.emplace_back(item.producer, item.number);
  results.put(got);
}

void expect_each_once_in_order(const std::vector<std::vector<std::pair<int, int>>>& lists,
                               int producers, int count) {
  std::map<std::pair<int, int>, int> seen;
  for (const auto& list : lists) {
    std::map<int, int> last;
    for (const auto& [producer, number] : list) {
      const auto before = last.find(producer);
      if (before != last.end()) {
        EXPECT_LT(before->second, number);
      }
      last[producer] = number;
      ++seen[{producer, number}];
    }
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(producers) * static_cast<std::size_t>(count));
  for (const auto& [item, times] : seen) EXPECT_EQ(times, 1);
}

void exchange(QueueOptions options, int producers, int consumers, int count) {
  Queue<Item> queue(options);
  Queue<std::vector<std::pair<int, int>>> results;
  std::vector<Process> children;
  for (int c = 0; c < consumers; ++c) children.emplace_back(consume, queue, results);
  for (int p = 0; p < producers; ++p) children.emplace_back(produce, queue, p, count);
  for (Process& child : children) child.start();
  for (int p = 0; p < producers; ++p) children[static_cast<std::size_t>(consumers + p)].join();
  queue.shutdown();
  std::vector<std::vector<std::pair<int, int>>> lists;
  for (int c = 0; c < consumers; ++c) lists.push_back(results.get());
  for (Process& child : children) {
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
  }
  expect_each_once_in_order(lists, producers, count);
}

TEST_P(QueueTest, EveryItemArrivesOnceAndInEachProducersOrder) {
  exchange({}, 3, 3, test::kTsan ? 1'000 : 20'000);
}

TEST_P(QueueTest, ABoundedQueueDoesTheSame) {
  exchange({.maxsize = 7}, 2, 2, test::kTsan ? 500 : 5'000);
}

TEST_P(QueueTest, ASmallRingDoesTheSame) {
  exchange({.ring_bytes = 4096}, 4, 2, test::kTsan ? 1'000 : 20'000);
}

TEST_P(QueueTest, PutThenTryGetFindsIt) {
  Queue<int> queue;
  EXPECT_TRUE(queue.empty());
  for (int i = 0; i < 1'000; ++i) {
    queue.put(i);
    EXPECT_EQ(queue.size(), 1U);
    EXPECT_FALSE(queue.empty());
    EXPECT_EQ(queue.try_get(), i);
  }
  EXPECT_EQ(queue.try_get(), std::nullopt);
  EXPECT_TRUE(queue.empty());
}

TEST_P(QueueTest, FullSizeAndEmptyAgree) {
  Queue<int> queue(2);
  EXPECT_FALSE(queue.full());
  EXPECT_TRUE(queue.try_put(1));
  EXPECT_TRUE(queue.put_for(2, 1h));
  EXPECT_TRUE(queue.full());
  EXPECT_EQ(queue.size(), 2U);
  EXPECT_FALSE(queue.try_put(3));
  EXPECT_FALSE(queue.put_for(3, -1s));
  EXPECT_FALSE(queue.put_until(3, std::chrono::steady_clock::now() + 10ms));
  EXPECT_EQ(queue.get(), 1);
  EXPECT_FALSE(queue.full());
  EXPECT_TRUE(queue.try_put(3));
  EXPECT_EQ(queue.get_for(0s), 2);
  EXPECT_EQ(queue.get_until(std::chrono::steady_clock::now() + 1h), 3);
  EXPECT_EQ(queue.get_for(-1h), std::nullopt);
  EXPECT_FALSE(Queue<int>().full());
}

TEST_P(QueueTest, TimeoutsWaitAtLeastAsLongAsAsked) {
  Queue<int> queue(1);
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(queue.get_for(20ms), std::nullopt);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 20ms);
  queue.put(1);
  start = std::chrono::steady_clock::now();
  EXPECT_FALSE(queue.put_for(2, 20ms));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 20ms);
}

TEST_P(QueueTest, AnUnencodableValueFailsInPutAndCostsNothing) {
  Queue<Fragile> queue;
  EXPECT_THROW(queue.put({true, "bad"}), std::invalid_argument);
  EXPECT_TRUE(queue.empty());
  queue.put({false, "good"});
  EXPECT_EQ(queue.get().text, "good");
}

void echo(Queue<std::string> in, Queue<std::string> out) {
  for (const std::string& text : in) out.put(text);
}

TEST_P(QueueTest, MessagesLargerThanTheRingStream) {
  Queue<std::string> in(QueueOptions{.ring_bytes = 4096});
  Queue<std::string> out(QueueOptions{.ring_bytes = 4096});
  Process child(echo, in, out);
  child.start();
  std::vector<std::string> texts;
  for (std::size_t size : {0U, 1U, 1'000U, 1'100U, 70'000U, 3'000'000U}) {
    texts.emplace_back(size, static_cast<char>('a' + size % 26));
  }
  for (const std::string& text : texts) in.put(text);
  for (const std::string& text : texts) EXPECT_EQ(out.get(), text);
  in.shutdown();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

void put_many_and_end(Queue<int> queue, int count, bool cancel) {
  for (int i = 0; i < count; ++i) queue.put(i);
  if (cancel) queue.cancel_join_thread();
}

TEST_P(QueueTest, AProducerThatEndsFirstDeliversItsBuffer) {
  constexpr int kCount = 5'000;
  Queue<int> queue(QueueOptions{.ring_bytes = 4096});
  Process child(put_many_and_end, queue, kCount, false);
  child.start();
  for (int i = 0; i < kCount; ++i) ASSERT_EQ(queue.get(), i);
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

TEST_P(QueueTest, CancelJoinThreadLetsAProducerEndWithItemsLeft) {
  constexpr int kCount = 5'000;
  Queue<int> queue(QueueOptions{.ring_bytes = 4096});
  Process child(put_many_and_end, queue, kCount, true);
  child.start();
  child.join();  // nobody has taken anything
  EXPECT_EQ(child.exitcode(), 0);
  EXPECT_LT(queue.size(), static_cast<std::size_t>(kCount));
  for (int i = 0; queue.size() != 0; ++i) ASSERT_EQ(queue.get(), i);
}

std::mutex log_mutex;
std::string log_text;
void keep_log(LogLevel, std::string_view line) {
  const std::lock_guard lock(log_mutex);
  log_text.append(line);
}

TEST_P(QueueTest, AJoinThatCannotFinishSaysWhichQueueAndHowMany) {
  set_log_handler(keep_log);
  Queue<std::string> queue;
  queue.put(std::string(4'000'000, 'x'));
  EXPECT_EQ(queue.size(), 1U);
  EXPECT_FALSE(queue.join_thread_for(20ms));
  set_log_handler(nullptr);
  {
    const std::lock_guard lock(log_mutex);
    EXPECT_NE(log_text.find("tandem-queue-"), std::string::npos) << log_text;
    EXPECT_NE(log_text.find("1 buffered item"), std::string::npos) << log_text;
  }
  EXPECT_EQ(queue.get().size(), 4'000'000U);
  queue.join_thread();
}

TEST_P(QueueTest, TheBufferStopsAtItsLimit) {
  Queue<std::string> queue(QueueOptions{.ring_bytes = 4096, .buffer_bytes = 10'000});
  const std::string text(1'000, 'x');
  std::size_t count = 0;
  while (queue.put_for(text, 20ms)) ++count;
  EXPECT_GE(count, 9U);
  EXPECT_LE(count, 4U + 10U + 1U);
  EXPECT_FALSE(queue.try_put(text));
  for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(queue.get(), text);
  EXPECT_TRUE(queue.empty());
}

TEST_P(QueueTest, OneMillionUnreadItemsGrowOnlyTheBuffer) {
  constexpr int kCount = test::kTsan || test::kAsan ? 100'000 : 1'000'000;
  Queue<int> queue(QueueOptions{.ring_bytes = 4096});
  for (int i = 0; i < kCount; ++i) queue.put(i);
  EXPECT_EQ(queue.size(), static_cast<std::size_t>(kCount));
  for (int i = 0; i < kCount; ++i) ASSERT_EQ(queue.get(), i);
}

void get_until_shutdown(Queue<int> queue, Queue<std::string> outcome) {
  try {
    for (;;) (void)queue.get();
  } catch (const ShutDown&) {
    outcome.put("get");
  }
}

void put_until_shutdown(Queue<int> queue, Queue<std::string> outcome) {
  try {
    for (;;) queue.put(1);
  } catch (const ShutDown&) {
    outcome.put("put");
  }
}

TEST_P(QueueTest, ShutdownEndsEveryWaitInEveryProcess) {
  Queue<int> empty;
  Queue<int> full(1);
  Queue<std::string> outcome;
  full.put(1);
  std::vector<Process> children;
  for (int i = 0; i < 2; ++i) {
    children.emplace_back(get_until_shutdown, empty, outcome);
    children.emplace_back(put_until_shutdown, full, outcome);
  }
  for (Process& child : children) child.start();
  empty.shutdown();
  full.shutdown();
  std::map<std::string, int> outcomes;
  for (int i = 0; i < 4; ++i) ++outcomes[outcome.get()];
  EXPECT_EQ(outcomes["get"], 2);
  EXPECT_EQ(outcomes["put"], 2);
}

TEST_P(QueueTest, ShutdownDrainsFirstUnlessImmediate) {
  Queue<int> queue;
  queue.put(1);
  queue.shutdown();
  EXPECT_THROW(queue.put(2), ShutDown);
  EXPECT_THROW((void)queue.try_put(2), ShutDown);
  EXPECT_EQ(queue.get(), 1);
  EXPECT_THROW((void)queue.get(), ShutDown);
  EXPECT_THROW((void)queue.try_get(), ShutDown);
  EXPECT_THROW((void)queue.get_for(1h), ShutDown);

  Queue<int> lost;
  lost.put(1);
  lost.shutdown(true);
  EXPECT_THROW((void)lost.get(), ShutDown);
}

TEST_P(QueueTest, ClosedInThisProcessOnly) {
  Queue<int> queue;
  Queue<int> copy = queue;
  Queue<std::string> outcome;
  Process child(get_until_shutdown, queue, outcome);
  child.start();
  queue.put(1);
  queue.shutdown();
  EXPECT_EQ(outcome.get(), "get");
  queue.close();
  EXPECT_THROW(queue.put(1), Closed);
  EXPECT_THROW((void)copy.get(), Closed);
  EXPECT_THROW((void)copy.size(), Closed);
}

void wait_for_an_item(Queue<int> queue, Queue<int> ready) {
  ready.put(0);
  (void)queue.get();
}

TEST_P(QueueTest, AConsumerKilledWhileIdleHoldsUpNobody) {
  Queue<int> queue;
  Queue<int> ready;
  Process victim(wait_for_an_item, queue, ready);
  victim.start();
  (void)ready.get();
  victim.kill();
  victim.join();
  EXPECT_EQ(victim.exitcode(), -SIGKILL);
  queue.put(5);
  EXPECT_EQ(queue.get(), 5);
}

void wait_for_room(Queue<int> queue, Queue<int> ready) {
  ready.put(0);
  queue.put(99);
}

TEST_P(QueueTest, AProducerKilledWhileItWaitsForRoomCostsNoRoom) {
  Queue<int> queue(1);
  Queue<int> ready;
  queue.put(1);
  Process victim(wait_for_room, queue, ready);
  victim.start();
  (void)ready.get();
  victim.kill();
  victim.join();
  EXPECT_EQ(queue.get(), 1);
  EXPECT_TRUE(queue.try_put(2));
  EXPECT_EQ(queue.get(), 2);
}

TEST_P(QueueTest, ThreadsOfOneProcessShareItsBufferInOrder) {
  Queue<Item> queue(QueueOptions{.ring_bytes = 4096});
  constexpr int kCount = 2'000;
  std::vector<std::thread> threads;
  for (int p = 0; p < 3; ++p) threads.emplace_back(produce, queue, p, kCount);
  for (auto& thread : threads) thread.join();
  std::vector<std::pair<int, int>> got;
  for (int i = 0; i < 3 * kCount; ++i) {
    const Item item = queue.get();
    got.emplace_back(item.producer, item.number);
  }
  expect_each_once_in_order({got}, 3, kCount);
}

TEST_P(QueueTest, BufferedItemsAreNotDeliveredTwiceByAChild) {
  constexpr int kCount = 5'000;
  Queue<int> queue(QueueOptions{.ring_bytes = 4096});
  for (int i = 0; i < kCount; ++i) queue.put(i);
  Process child(put_many_and_end, queue, 0, false);
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
  for (int i = 0; i < kCount; ++i) ASSERT_EQ(queue.get(), i);
  EXPECT_EQ(queue.try_get(), std::nullopt);
}

void put_from_simple(SimpleQueue<std::string> queue) {
  queue.put("from the child");
  queue.put(std::string(5'000'000, 'z'));
}

TEST_P(QueueTest, SimpleQueueCarriesAnySize) {
  SimpleQueue<std::string> queue;
  Process child(put_from_simple, queue);
  child.start();
  EXPECT_EQ(queue.get(), "from the child");
  EXPECT_EQ(queue.get().size(), 5'000'000U);
  EXPECT_TRUE(queue.empty());
  queue.close();
  EXPECT_THROW((void)queue.get(), Closed);
}

TEST_P(QueueTest, AQueueThroughAQueueIsRefused) {
  Queue<Queue<int>> queue;
  EXPECT_THROW(queue.put(Queue<int>()), NotSendable);
}

}  // namespace
}  // namespace tandem
