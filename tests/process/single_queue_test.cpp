// Queues whose maker promised one producer or one consumer: between processes.
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

constexpr QueueOptions kBoth{.ring_bytes = 4096, .single_producer = true, .single_consumer = true};

using SingleQueueTest = test::StartMethodTest;
TANDEM_OVER_START_METHODS(SingleQueueTest);

void try_both(Queue<int> queue, Queue<std::string> told) {
  try {
    queue.put(7);
    told.put("");
  } catch (const Error& error) {
    told.put(error.what());
  }
  try {
    told.put(std::to_string(queue.get()));
  } catch (const Error& error) {
    told.put(error.what());
  }
}

std::pair<std::string, std::string> tried_by_another_process(const Queue<int>& queue) {
  Queue<std::string> told;
  Process other(try_both, queue, told);
  other.start();
  std::string put = told.get();
  std::string get = told.get();
  other.join();
  EXPECT_EQ(other.exitcode(), 0);
  return {std::move(put), std::move(get)};
}

TEST_P(SingleQueueTest, AnotherProcessIsRefusedWhileTheFirstLives) {
  Queue<int> queue(kBoth);
  queue.put(1);
  queue.put(2);
  EXPECT_EQ(queue.get(), 1);
  const auto [put, get] = tried_by_another_process(queue);
  EXPECT_NE(put.find("single_producer"), std::string::npos) << put;
  EXPECT_NE(get.find("single_consumer"), std::string::npos) << get;
  queue.put(3);
  EXPECT_EQ(queue.get(), 2);
  EXPECT_EQ(queue.get(), 3);
}

TEST_P(SingleQueueTest, AlsoWhileOnlyTheFeederWorks) {
  Queue<int> queue(kBoth);
  for (int i = 0; i < 5'000; ++i) queue.put(i);
  EXPECT_EQ(queue.get(), 0);
  const auto [put, get] = tried_by_another_process(queue);
  EXPECT_NE(put.find("single_producer"), std::string::npos) << put;
  for (int i = 1; i < 5'000; ++i) ASSERT_EQ(queue.get(), i);
  EXPECT_EQ(queue.try_get(), std::nullopt);
}

void put_and_close(Queue<int> queue, int from, int to, Queue<int> done, Queue<int> end) {
  for (int i = from; i < to; ++i) queue.put(i);
  queue.close();
  done.put(0);
  (void)end.get();
}

TEST_P(SingleQueueTest, CloseMakesRoomForTheNext) {
  Queue<int> queue(QueueOptions{.single_producer = true});
  Queue<int> done;
  Queue<int> end;
  Process child(put_and_close, queue, 0, 10, done, end);
  child.start();
  (void)done.get();
  queue.put(10);  // the child lives
  for (int i = 0; i <= 10; ++i) EXPECT_EQ(queue.get(), i);
  end.put(0);
  child.join();
}

TEST_P(SingleQueueTest, CloseWithABufferMakesRoomWhenThatIsEmpty) {
  Queue<int> queue(QueueOptions{.ring_bytes = 4096, .single_producer = true});
  Queue<int> done;
  Queue<int> end;
  Process child(put_and_close, queue, 0, 5'000, done, end);
  child.start();
  (void)done.get();
  EXPECT_THROW(queue.put(-1), Error);
  for (int i = 0; i < 5'000; ++i) ASSERT_EQ(queue.get(), i);
  end.put(0);
  child.join();
  queue.put(5'000);
  EXPECT_EQ(queue.get(), 5'000);
}

void produce(Queue<std::string> queue, int count) {
  for (int i = 0; i < count; ++i) {
    queue.put(std::to_string(i) + std::string(i % 100 == 99 ? 3'000 : 0, '.'));
  }
}

void consume(Queue<std::string> queue, int count) {
  for (int i = 0; i < count; ++i) {
    if (std::stoi(queue.get()) != i) std::exit(1);
  }
}

TEST_P(SingleQueueTest, EveryItemArrivesOnceAndInOrder) {
  constexpr int kCount = test::kTsan ? 2'000 : 20'000;
  Queue<std::string> queue(kBoth);
  Process producer(produce, queue, kCount);
  Process consumer(consume, queue, kCount);
  consumer.start();
  producer.start();
  producer.join();
  consumer.join();
  EXPECT_EQ(producer.exitcode(), 0);
  EXPECT_EQ(consumer.exitcode(), 0);
  EXPECT_TRUE(queue.empty());
  queue.put("next");  // both have ended
  EXPECT_EQ(queue.get(), "next");
}

void put_and_wait(Queue<int> queue, int count, Queue<int> done, Queue<int> end) {
  for (int i = 0; i < count; ++i) queue.put(i);
  done.put(0);
  (void)end.get();
}

TEST_P(SingleQueueTest, TheNextTakesOverFromAKilledProducer) {
  Queue<int> queue(kBoth);
  Queue<int> done;
  Queue<int> end;
  Process child(put_and_wait, queue, 10, done, end);
  child.start();
  (void)done.get();
  EXPECT_THROW(queue.put(-1), Error);
  child.kill();
  child.join();
  queue.put(10);
  for (int i = 0; i <= 10; ++i) EXPECT_EQ(queue.get(), i);
}

TEST_P(SingleQueueTest, TheNextTakesOverFromOneKilledWithABuffer) {
  Queue<int> queue(kBoth);
  Queue<int> done;
  Queue<int> end;
  Process child(put_and_wait, queue, 5'000, done, end);
  child.start();
  (void)done.get();
  EXPECT_THROW(queue.put(-1), Error);
  child.kill();
  child.join();
  queue.put(-1);
  int next = 0;
  int last = queue.get();
  for (; last != -1; last = queue.get()) ASSERT_EQ(last, next++);
  EXPECT_GT(next, 0);
}

void get_and_wait(Queue<int> queue, Queue<int> done, Queue<int> end) {
  (void)queue.get();
  done.put(0);
  (void)end.get();
}

TEST_P(SingleQueueTest, TheNextTakesOverFromAKilledConsumer) {
  Queue<int> queue(kBoth);
  queue.put_many(std::vector{1, 2, 3});
  Queue<int> done;
  Queue<int> end;
  Process child(get_and_wait, queue, done, end);
  child.start();
  (void)done.get();
  EXPECT_THROW((void)queue.get(), Error);
  child.kill();
  child.join();
  EXPECT_EQ(queue.get(), 2);
  EXPECT_EQ(queue.get(), 3);
}

void put_and_stream(Queue<std::string> queue) {
  queue.put("first");
  queue.put(std::string(400'000'000, 'x'));
}

TEST_P(SingleQueueTest, TheNextTakesOverFromOneKilledWithinAStream) {
  Queue<std::string> queue(QueueOptions{.maxsize = 4, .ring_bytes = 4096, .single_producer = true});
  Process child(put_and_stream, queue);
  child.start();
  EXPECT_EQ(queue.get(), "first");  // from here on it can only wait for room
  child.kill();
  child.join();
  queue.put("next");
  EXPECT_EQ(queue.get(), "next");
}

}  // namespace
}  // namespace tandem
