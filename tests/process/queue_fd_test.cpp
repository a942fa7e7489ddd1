// A queue's descriptor: whoever waits for it in poll or epoll misses nothing, and is not woken for
// nothing more than a death may cost.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "os/poll.hpp"
#include "support/epoll.hpp"
#include "support/forked.hpp"
#include "support/leak_check.hpp"
#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using detail::Deadline;
using test::Epoll;

using QueueFdTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(QueueFdTest);

bool readable(int fd) { return os::wait_readable(fd, Deadline::now()); }

struct Numbered {
  int producer = 0;
  int number = 0;
};

void put_at_random(Queue<Numbered> queue, int producer, int count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < count; ++i) {
    queue.put({producer, i});
    // Long enough now and then that the consumer has found nothing and sleeps.
    if (random() % 20 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
  }
}

constexpr int kItems = test::kTsan || test::kAsan ? 500 : 2'000;

void expect_all_in_order(Queue<Numbered>& queue, Epoll& epoll, int producers) {
  std::vector<int> next(static_cast<std::size_t>(producers));
  for (int left = producers * kItems; left != 0;) {
    epoll.wait();
    while (const auto item = queue.try_get()) {
      ASSERT_EQ(item->number, next[static_cast<std::size_t>(item->producer)]++);
      --left;
    }
  }
  EXPECT_FALSE(readable(queue.fd()));
}

void exchange(std::uint32_t events, int producers = 3) {
  Queue<Numbered> queue(QueueOptions{.ring_bytes = 8192, .single_producer = producers == 1});
  Epoll epoll(queue.fd(), events);
  std::vector<Process> children;
  for (int p = 0; p < producers; ++p) {
    children.emplace_back(put_at_random, queue, p, kItems, test::seed() + static_cast<unsigned>(p));
    children.back().start();
  }
  expect_all_in_order(queue, epoll, producers);
  for (Process& child : children) child.join();
}

TEST_P(QueueFdTest, LevelTriggeredMissesNothing) { exchange(EPOLLIN); }

TEST_P(QueueFdTest, EdgeTriggeredMissesNothing) { exchange(EPOLLIN | EPOLLET); }

TEST_P(QueueFdTest, OfASingleProducerItMissesNothing) { exchange(EPOLLIN | EPOLLET, 1); }

void take_by_epoll(Queue<Numbered> queue, Queue<int> counts, bool edges) {
  Epoll epoll(queue.fd(), EPOLLIN | (edges ? std::uint32_t{EPOLLET} : 0U));
  int count = 0;
  try {
    for (;;) {
      epoll.wait();
      while (queue.try_get()) ++count;
    }
  } catch (const ShutDown&) {
    counts.put(count);
  }
}

TEST_P(QueueFdTest, SeveralWatchersShareTheItemsAndAllSeeTheShutdown) {
  Queue<Numbered> queue;
  Queue<int> counts;
  std::vector<Process> watchers;
  for (const bool edges : {true, false, true}) {
    watchers.emplace_back(take_by_epoll, queue, counts, edges);
  }
  for (Process& watcher : watchers) watcher.start();
  put_at_random(queue, 0, kItems, test::seed());
  queue.shutdown();
  int sum = 0;
  for (std::size_t i = 0; i < watchers.size(); ++i) sum += counts.get();
  EXPECT_EQ(sum, kItems);
}

void put_and_tell(Queue<int> queue, int count, Queue<int> done) {
  for (int i = 0; i < count; ++i) queue.put(i);
  done.put(0);
}

TEST_P(QueueFdTest, ReadableWhileAnItemWaitsAndOnlyThen) {
  Queue<int> queue;
  Queue<int> done;
  const int fd = queue.fd();
  EXPECT_FALSE(readable(fd));
  Process child(put_and_tell, queue, 3, done);
  child.start();
  EXPECT_TRUE(os::wait_readable(fd, Deadline::never()));
  (void)done.get();
  EXPECT_EQ(queue.get(), 0);
  EXPECT_TRUE(readable(fd));
  EXPECT_EQ(queue.try_get(), 1);
  EXPECT_TRUE(readable(fd));
  EXPECT_EQ(queue.get_for(1h), 2);
  EXPECT_FALSE(readable(fd));
  EXPECT_EQ(queue.try_get(), std::nullopt);
  EXPECT_FALSE(readable(fd));
  child.join();
  EXPECT_EQ(queue.fd(), fd);
}

void take(Queue<int> queue, int count, Queue<int> done) {
  for (int i = 0; i < count; ++i) (void)queue.get();
  done.put(0);
}

TEST_P(QueueFdTest, NotReadableOnceAnotherProcessTookTheLastItem) {
  Queue<int> queue;
  Queue<int> done;
  const int fd = queue.fd();
  for (int i = 0; i < 2; ++i) queue.put(i);
  EXPECT_TRUE(readable(fd));
  Process child(take, queue, 2, done);
  child.start();
  (void)done.get();
  EXPECT_FALSE(readable(fd));
  queue.put(2);
  EXPECT_TRUE(readable(fd));
  child.join();
}

TEST_P(QueueFdTest, AskedForWhenItemsWaitAlready) {
  Queue<int> queue;
  queue.put_many(std::vector<int>{1, 2, 3});
  EXPECT_TRUE(readable(queue.fd()));
  EXPECT_EQ(queue.get_many(10).size(), 3U);
  EXPECT_FALSE(readable(queue.fd()));
}

TEST_P(QueueFdTest, WhatTheFeederHasNotMovedYetIsSeen) {
  Queue<std::string> queue(QueueOptions{.ring_bytes = 4096});
  queue.put(std::string(100'000, 'x'));  // streams, so it goes through the feeder
  EXPECT_TRUE(os::wait_readable(queue.fd(), Deadline::never()));
  EXPECT_EQ(queue.get().size(), 100'000U);
  for (int i = 0; i < 1'000; ++i) queue.put(std::string(100, 'y'));
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_TRUE(os::wait_readable(queue.fd(), Deadline::never()));
    ASSERT_EQ(queue.get(), std::string(100, 'y'));
  }
  queue.join_thread();
  EXPECT_FALSE(readable(queue.fd()));
}

void fill_and_wait_for_room(Queue<int> queue, Queue<int> ready) {
  queue.put(0);
  ready.put(0);
  queue.put(1);
}

// The one who waits for room keeps the producers' lock: the descriptor needs none to be had.
TEST_P(QueueFdTest, AskedForWhileAProducerWaitsForRoom) {
  Queue<int> queue(1);
  Queue<int> ready;
  Process child(fill_and_wait_for_room, queue, ready);
  child.start();
  (void)ready.get();
  Epoll epoll(queue.fd(), EPOLLIN | EPOLLET);
  for (int expected = 0; expected < 2;) {
    epoll.wait();
    while (const auto item = queue.try_get()) EXPECT_EQ(*item, expected++);
  }
  child.join();
  EXPECT_FALSE(readable(queue.fd()));
}

// Which keeps the lock while it does nothing.
TEST_P(QueueFdTest, AskedForWhileASingleProducerIsIdle) {
  Queue<int> queue(QueueOptions{.single_producer = true, .single_consumer = true});
  queue.put(1);
  EXPECT_EQ(queue.get(), 1);
  EXPECT_FALSE(readable(queue.fd()));
  EXPECT_EQ(queue.try_get(), std::nullopt);
  EXPECT_FALSE(readable(queue.fd()));
  queue.put(2);
  EXPECT_TRUE(readable(queue.fd()));
  EXPECT_EQ(queue.get(), 2);
  EXPECT_FALSE(readable(queue.fd()));
}

TEST_P(QueueFdTest, ReadableForEverAfterAShutdown) {
  Queue<int> before;
  Queue<int> after;
  before.put(1);
  const int fd = before.fd();
  before.shutdown();
  EXPECT_EQ(before.get(), 1);
  EXPECT_THROW((void)before.try_get(), ShutDown);
  EXPECT_TRUE(readable(fd));
  after.shutdown(true);
  EXPECT_TRUE(readable(after.fd()));
  EXPECT_THROW((void)after.try_get(), ShutDown);
  EXPECT_TRUE(readable(after.fd()));
}

void open_and_take(std::string name, Queue<int> counts) {
  auto queue = Queue<Numbered>::open(name);
  counts.put(-1);
  take_by_epoll(queue, counts, true);
}

void open_and_put(std::string name, std::uint64_t seed) {
  put_at_random(Queue<Numbered>::open(name), 0, kItems, seed);
}

TEST_P(QueueFdTest, OfANamedQueueOpenedByItsName) {
  const std::string name = test::unique_name("queue");
  auto queue = Queue<Numbered>::create(name);
  Queue<int> counts;
  Process consumer(open_and_take, name, counts);
  Process producer(open_and_put, name, test::seed());
  consumer.start();
  producer.start();
  EXPECT_EQ(counts.get(), -1);
  EXPECT_FALSE(!producer.join_for(1h));
  EXPECT_TRUE(Queue<Numbered>::remove(name));
  EXPECT_FALSE(Queue<Numbered>::remove(name));
  queue.shutdown();  // those who have it open still hear of it
  EXPECT_EQ(counts.get(), kItems);
  consumer.join();
  EXPECT_EQ(consumer.exitcode(), 0);
}

void watch_and_hang(Queue<int> queue, Queue<int> ready) {
  Epoll epoll(queue.fd(), EPOLLIN | EPOLLET);
  ready.put(0);
  epoll.wait();
  (void)queue.get();
  for (;;) epoll.wait();
}

TEST_P(QueueFdTest, AKilledWatcherCostsNobodyAnItem) {
  Queue<int> queue;
  Queue<int> ready;
  std::mt19937_64 random(test::seed());
  for (int round = 0; round < 3; ++round) {
    Process victim(watch_and_hang, queue, ready);
    victim.start();
    (void)ready.get();
    queue.put(round);
    test::kill_within(victim.pid(), 200us, random);
    victim.join();
    while (queue.try_get()) {
    }
    queue.put(5);
    EXPECT_EQ(queue.get(), 5);
    const int fd = queue.fd();
    EXPECT_FALSE(readable(fd));
    queue.put(6);
    EXPECT_TRUE(readable(fd));
    EXPECT_EQ(queue.get(), 6);
    EXPECT_FALSE(readable(fd));
  }
}

template <class AnyQueue>
class AnyQueueFdTest : public testing::Test {};
using AnyQueue = testing::Types<Queue<int>, JoinableQueue<int>, SimpleQueue<int>>;
TYPED_TEST_SUITE(AnyQueueFdTest, AnyQueue);

TYPED_TEST(AnyQueueFdTest, EveryKindHasOne) {
  TypeParam queue;
  const int fd = queue.fd();
  EXPECT_FALSE(readable(fd));
  queue.put(1);
  EXPECT_TRUE(readable(fd));
  EXPECT_EQ(queue.get(), 1);
  EXPECT_FALSE(readable(fd));
  queue.close();
  EXPECT_THROW((void)queue.fd(), Closed);
}

TEST(QueueFdForkTest, AForkedChildWatchesOnAfterItsParentStopped) {
  test::Step stopped;
  Queue<int> queue;
  Queue<int> keep = queue;
  const int fd = queue.fd();
  test::Forked child([&] {
    stopped.await();
    if (!os::wait_readable(fd, Deadline::never())) return 1;
    return queue.get() == 7 && !readable(fd) ? 0 : 2;
  });
  const auto put = std::make_unique<test::Forked>([&] {
    stopped.await();
    queue.put(7);
    return 0;
  });
  queue.close();
  stopped.done();
  stopped.done();
  EXPECT_EQ(put->wait(), 0);
  EXPECT_EQ(child.wait(), 0);
}

}  // namespace
}  // namespace tandem
