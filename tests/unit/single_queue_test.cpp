// Queues whose maker promised one producer or one consumer: between the threads of a process.
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <typeinfo>
#include <utility>
#include <vector>

#include "support/supervisor.hpp"
#include "tandem/lock.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

constexpr QueueOptions kBoth{.single_producer = true, .single_consumer = true};
constexpr QueueOptions kSmall{.ring_bytes = 4096, .single_producer = true};

/// A thread that does what it is told and lives on.
class Worker {
 public:
  Worker() : thread_([this] { run(); }) {}
  ~Worker() {
    std::unique_lock lock(mutex_);
    over_ = true;
    changed_.notify_all();
    lock.unlock();
    thread_.join();
  }
  void operator()(std::function<void()> work) {
    std::unique_lock lock(mutex_);
    work_ = std::move(work);
    changed_.notify_all();
    changed_.wait(lock, [&] { return !work_; });
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return over_ || work_; });
      if (over_) return;
      work_();
      work_ = nullptr;
      changed_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> work_;
  bool over_ = false;
  std::thread thread_;
};

/// What the call throws, if it is an Error and nothing more special.
template <class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(typeid(error), typeid(Error));
    return error.what();
  }
  return "not refused";
}

TEST(SingleQueueTest, TheSecondProducerIsToldWhoTheFirstIsAndWhatToDo) {
  Queue<int> queue(kBoth);
  Worker first;
  first([&] { queue.put(1); });
  const std::string text = refusal([&] { queue.put(2); });
  EXPECT_NE(text.find("Queue::put on tandem-queue-"), std::string::npos) << text;
  EXPECT_NE(text.find("single_producer"), std::string::npos) << text;
  EXPECT_NE(text.find("thread"), std::string::npos) << text;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(refusal([&] { (void)queue.try_put(2); }), text);
    EXPECT_EQ(refusal([&] { (void)queue.put_for(2, 1h); }), text);
    EXPECT_EQ(refusal([&] { queue.put_many(std::vector{2, 3}); }), text);
  }
  first([&] { queue.put(4); });
  EXPECT_EQ(queue.get(), 1);
  EXPECT_EQ(queue.get(), 4);
  EXPECT_TRUE(queue.empty());
}

TEST(SingleQueueTest, TheSecondProducerOfABoundedQueueToo) {
  Queue<int> queue(QueueOptions{.maxsize = 1, .single_producer = true});
  Worker first;
  first([&] { queue.put(1); });
  const std::string text = refusal([&] { queue.put(2); });
  EXPECT_NE(text.find("single_producer"), std::string::npos) << text;
  EXPECT_EQ(refusal([&] { (void)queue.try_put(2); }), text);  // full, and yet
  first([&] { EXPECT_FALSE(queue.try_put(2)); });
  EXPECT_EQ(refusal([&] { queue.put(2); }), text);  // a put that failed keeps the right
}

TEST(SingleQueueTest, TheSecondConsumerIsTold) {
  Queue<int> queue(kBoth);
  queue.put_many(std::vector{1, 2, 3});
  Worker first;
  first([&] { EXPECT_EQ(queue.get(), 1); });
  const std::string text = refusal([&] { (void)queue.get(); });
  EXPECT_NE(text.find("Queue::get on tandem-queue-"), std::string::npos) << text;
  EXPECT_NE(text.find("single_consumer"), std::string::npos) << text;
  EXPECT_EQ(refusal([&] { (void)queue.try_get(); }), text);
  EXPECT_EQ(refusal([&] { (void)queue.get_for(1h); }), text);
  EXPECT_EQ(refusal([&] { (void)queue.get_many(2); }), text);
  first([&] { EXPECT_EQ(queue.get_many(5), (std::vector{2, 3})); });
  EXPECT_EQ(refusal([&] { (void)queue.try_get(); }), text);  // empty, and yet
}

TEST(SingleQueueTest, AConsumerThatWaitsIsOne) {
  Queue<int> queue(kBoth);
  std::thread first([&] {
    for (bool got = false; !got;) {  // refused while the other one tries
      try {
        EXPECT_EQ(queue.get(), 1);
        got = true;
      } catch (const Error&) {
        std::this_thread::yield();
      }
    }
  });
  std::string text;
  while ((text = refusal([&] { (void)queue.try_get(); })) == "not refused")
    std::this_thread::yield();
  EXPECT_NE(text.find("single_consumer"), std::string::npos) << text;
  queue.put(1);
  first.join();
}

TEST(SingleQueueTest, WhoTriesInVainDoesNotBecomeTheOne) {
  Queue<int> queue(QueueOptions{.maxsize = 1, .single_producer = true, .single_consumer = true});
  EXPECT_EQ(queue.try_get(), std::nullopt);
  Worker both;
  both([&] {
    queue.put(1);
    EXPECT_EQ(queue.get(), 1);
    queue.put(2);
  });
  EXPECT_THROW((void)queue.try_get(), Error);
}

TEST(SingleQueueTest, TheNextTakesOverWhenTheThreadHasEnded) {
  Queue<int> queue(kBoth);
  for (int i = 0; i < 20; ++i) {
    std::thread([&] { queue.put(i); }).join();
    std::thread([&] { EXPECT_EQ(queue.get(), i); }).join();
  }
}

TEST(SingleQueueTest, OneThreadMayBeBoth) {
  Queue<std::string> queue(kBoth);
  for (int i = 0; i < 5'000; ++i) {
    queue.put(std::to_string(i));
    EXPECT_EQ(queue.get(), std::to_string(i));
  }
  EXPECT_EQ(queue.try_get(), std::nullopt);
  queue.put("last");
  queue.shutdown();
  EXPECT_EQ(queue.get(), "last");
  EXPECT_THROW((void)queue.get(), ShutDown);
  EXPECT_THROW(queue.put("late"), ShutDown);
}

TEST(SingleQueueTest, AnIdleProducerDoesNotHoldUpTheEndOfAShutDownQueue) {
  Queue<int> queue(kBoth);
  Worker producer;
  producer([&] { queue.put(1); });
  queue.shutdown();
  EXPECT_EQ(queue.get(), 1);
  EXPECT_THROW((void)queue.get(), ShutDown);
  EXPECT_THROW((void)queue.try_get(), ShutDown);
  EXPECT_THROW((void)queue.get_for(1h), ShutDown);
  producer([&] { EXPECT_THROW(queue.put(2), ShutDown); });
}

TEST(SingleQueueTest, WhatAPutAcceptedIsNotLostByAShutdown) {
  for (int round = 0; round < 200; ++round) {
    Queue<int> queue(QueueOptions{.maxsize = 4, .single_producer = true, .single_consumer = true});
    int accepted = 0;
    std::thread producer([&] {
      try {
        for (;; ++accepted) queue.put(accepted);
      } catch (const ShutDown&) {
      }
    });
    int got = 0;
    std::thread consumer([&] {
      for (const int n : queue) EXPECT_EQ(n, got++);
    });
    queue.shutdown();
    producer.join();
    consumer.join();
    EXPECT_EQ(got, accepted);
  }
}

TEST(SingleQueueTest, TheFeederActsForTheProducerAndHandsBack) {
  Queue<int> queue(kSmall);
  Worker producer;
  int next = 0;
  for (int round = 0; round < 3; ++round) {
    producer([&] {
      for (int i = 0; i < 2'000; ++i) queue.put(round * 2'000 + i);  // the ring holds 256
    });
    EXPECT_NE(refusal([&] { queue.put(-1); }), "not refused");
    for (int i = 0; i < 2'000; ++i) ASSERT_EQ(queue.get(), next++);
    EXPECT_NE(refusal([&] { queue.put(-1); }), "not refused");
  }
  EXPECT_TRUE(queue.empty());
}

TEST(SingleQueueTest, ABufferOutlivesItsProducerAndGoesFirst) {
  Queue<int> queue(kSmall);
  std::thread([&] {
    for (int i = 0; i < 2'000; ++i) queue.put(i);
  }).join();
  for (int i = 2'000; i < 4'000; ++i) queue.put(i);
  for (int i = 0; i < 4'000; ++i) ASSERT_EQ(queue.get(), i);
}

TEST(SingleQueueTest, StreamedMessagesKeepTheOrder) {
  Queue<std::string> queue(
      QueueOptions{.ring_bytes = 4096, .single_producer = true, .single_consumer = true});
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 100; ++i) texts.emplace_back(i % 5 == 4 ? 20'000 + i : 50, 'x');
  std::thread producer([&] {
    for (const std::string& text : texts) queue.put(text);
  });
  for (const std::string& text : texts) ASSERT_EQ(queue.get(), text);
  producer.join();
}

TEST(SingleQueueTest, AQueueThatGoesWhileAnotherThreadIsItsProducer) {
  Worker producer;
  Lock lock;
  for (int i = 0; i < 50; ++i) {
    auto queue = std::make_unique<Queue<int>>(kBoth);
    producer([&] {
      queue->put(i);
      lock.lock();  // stands behind the queue's in the list of what the thread holds
      lock.unlock();
    });
    queue.reset();
  }
  producer([&] { lock.lock(); });
  EXPECT_FALSE(lock.try_lock());
  producer([&] { lock.unlock(); });
}

TEST(SingleQueueTest, ManyQueuesOfOneProducer) {
  // ThreadSanitizer follows no more than 64 locks of a thread.
  constexpr int kCount = test::kTsan ? 50 : 200;
  std::vector<Queue<int>> queues;
  for (int i = 0; i < kCount; ++i)
    queues.emplace_back(QueueOptions{.ring_bytes = 4096, .single_producer = true});
  for (int round = 0; round < 2; ++round) {
    for (auto& queue : queues) queue.put(round);
  }
  for (auto& queue : queues) EXPECT_EQ(queue.get(), 0);
}

}  // namespace
}  // namespace tandem
