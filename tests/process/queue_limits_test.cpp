// What a queue promises at its limits: never too full, never too large, no call that waits for ever
// once it was shut down, no exit that hangs without a word.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/log.hpp"
#include "tandem/pipe.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

using QueueLimitsTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(QueueLimitsTest);

void put_until_shutdown(Queue<int> queue) {
  try {
    for (int i = 0;; ++i) {
      i % 2 == 0 ? queue.put(i) : queue.put_many(std::vector<int>(5, i));
    }
  } catch (const ShutDown&) {
  }
}

TEST_P(QueueLimitsTest, NeverHoldsMoreThanMaxsize) {
  constexpr std::size_t kMost = 5;
  Queue<int> queue(kMost);
  std::vector<Process> producers;
  for (int i = 0; i < 2; ++i) producers.emplace_back(put_until_shutdown, queue);
  for (Process& producer : producers) producer.start();
  std::size_t largest = 0;
  for (int i = 0; i < (test::kTsan || test::kAsan ? 1'000 : 10'000); ++i) {
    largest = std::max(largest, queue.size());
    if (i % 3 == 0) {
      EXPECT_LE(queue.get_many(100).size(), kMost);
    } else {
      (void)queue.get();
    }
  }
  while (!queue.full()) std::this_thread::yield();  // nobody takes any more
  EXPECT_EQ(queue.size(), kMost);
  EXPECT_LE(largest, kMost);
  queue.shutdown();
  for (Process& producer : producers) producer.join();
}

/// One of the calls that wait, on a queue that lets it wait for ever.
void wait_for_ever(Queue<std::string> queue, int call, Queue<int> outcome) {
  const std::array<std::function<void()>, 9> calls{
      [&] { (void)queue.get(); },
      [&] { (void)queue.get_for(1h); },
      [&] { (void)queue.get_until(std::chrono::steady_clock::now() + 1h); },
      [&] { (void)queue.get_many(10); },
      [&] { queue.put("x"); },
      [&] { (void)queue.put_for("x", 1h); },
      [&] { (void)queue.put_until("x", std::chrono::steady_clock::now() + 1h); },
      [&] { queue.put_many(std::vector<std::string>(3, "x")); },
      [&] { queue.put(std::string(10'000, 's')); }};  // would stream
  outcome.put(-1);
  try {
    calls[static_cast<std::size_t>(call)]();
  } catch (const ShutDown&) {
    outcome.put(call);
  }
}

void shut_down_under_all(bool immediate) {
  Queue<std::string> empty(QueueOptions{.maxsize = 1, .ring_bytes = 4096});
  Queue<std::string> full(QueueOptions{.maxsize = 1, .ring_bytes = 4096});
  full.put("full");
  Queue<int> outcome;
  std::vector<Process> children;
  for (int call = 0; call < 9; ++call) {
    children.emplace_back(wait_for_ever, call < 4 ? empty : full, call, outcome);
    children.back().start();
  }
  for (std::size_t i = 0; i < children.size(); ++i) EXPECT_EQ(outcome.get(), -1);
  empty.shutdown(immediate);
  full.shutdown(immediate);
  std::vector<int> ended;
  for (std::size_t i = 0; i < children.size(); ++i) ended.push_back(outcome.get());
  std::sort(ended.begin(), ended.end());
  EXPECT_EQ(ended, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  if (!immediate) {
    EXPECT_EQ(full.get(), "full");
  }
  EXPECT_THROW((void)full.get(), ShutDown);
  for (Process& child : children) {
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
  }
}

TEST_P(QueueLimitsTest, AShutdownEndsEveryKindOfWait) { shut_down_under_all(false); }

TEST_P(QueueLimitsTest, AnImmediateShutdownToo) { shut_down_under_all(true); }

/// A line of /proc/self/status, in KiB.
long status_kib(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::stol(line.substr(field.size() + 1));
  }
  return -1;
}

TEST_P(QueueLimitsTest, WhatNobodyReadsGrowsTheProducersOwnMemoryOnly) {
  constexpr int kCount = test::kTsan || test::kAsan ? 50'000 : 1'000'000;
  Queue<int> queue(QueueOptions{.ring_bytes = 1 << 16});
  queue.put(0);
  const long shared = status_kib("RssShmem");
  ASSERT_GE(shared, 0);
  for (int i = 1; i < kCount; ++i) queue.put(i);
  EXPECT_LE(status_kib("RssShmem") - shared, 64);
  EXPECT_EQ(queue.size(), static_cast<std::size_t>(kCount));
  queue.cancel_join_thread();
  queue.shutdown(true);
}

Writer<std::string>* log_lines = nullptr;

void end_with_items_left(Queue<std::string> queue, Writer<std::string> lines) {
  log_lines = &lines;
  set_log_handler([](LogLevel, std::string_view line) { log_lines->send(std::string(line)); });
  for (int i = 0; i < 3; ++i) queue.put(std::string(1'000'000, 'x'));
  // The line comes after this frame is gone.
  log_lines = new Writer<std::string>(std::move(lines));
}

TEST_P(QueueLimitsTest, AnEndThatWaitsForReadersSaysForWhichQueueAndHowManyItems) {
  Queue<std::string> queue(QueueOptions{.ring_bytes = 4096});
  auto [lines, writer] = OneWayPipe<std::string>();
  Process child(end_with_items_left, queue, std::move(writer));
  child.start();
  const std::string line = lines.recv();
  EXPECT_NE(line.find("tandem-queue-"), std::string::npos) << line;
  EXPECT_NE(line.find("3 buffered items"), std::string::npos) << line;
  EXPECT_NE(line.find(std::to_string(child.pid())), std::string::npos) << line;
  EXPECT_TRUE(child.is_alive());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(queue.get().size(), 1'000'000U);
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

/// Deals with an item n by putting n smaller ones.
void take_apart(JoinableQueue<int> queue, Queue<int> count) {
  try {
    for (const int n : queue) {
      for (int i = 0; i < n; ++i) queue.put(i);
      count.put(1);
      queue.task_done();
    }
  } catch (const ShutDown&) {  // a put after the end: nothing was unfinished, so there was none
    count.put(-1'000'000);
  }
}

TEST_P(QueueLimitsTest, JoinWaitsForTheItemsThatItemsLeadTo) {
  JoinableQueue<int> queue(QueueOptions{.ring_bytes = 4096});
  Queue<int> count;
  std::vector<Process> workers;
  for (int i = 0; i < 3; ++i) workers.emplace_back(take_apart, queue, count);
  for (Process& worker : workers) worker.start();
  queue.put(11);
  queue.join();
  EXPECT_EQ(queue.size(), 0U);
  queue.shutdown();
  for (Process& worker : workers) worker.join();
  int dealt_with = 0;
  while (const auto one = count.try_get()) dealt_with += *one;
  EXPECT_EQ(dealt_with, 1 << 11);  // T(n) = 1 + T(0) + ... + T(n - 1)
}

void take_two_and_hang(JoinableQueue<int> queue, Queue<int> ready) {
  (void)queue.get();
  (void)queue.get();
  ready.put(0);
  for (;;) ::pause();
}

TEST_P(QueueLimitsTest, JoinNamesTheWorkerThatDied) {
  JoinableQueue<int> queue;
  Queue<int> ready;
  for (int i = 0; i < 3; ++i) queue.put(i);
  Process worker(take_two_and_hang, queue, ready);
  worker.start();
  (void)ready.get();
  std::thread killer([&] { worker.kill(); });
  try {
    queue.join();
    ADD_FAILURE() << "two items were never finished";
  } catch (const OwnerDied& error) {
    EXPECT_NE(std::string(error.what()).find(std::to_string(worker.pid())), std::string::npos)
        << error.what();
    EXPECT_NE(std::string(error.what()).find("2 unfinished"), std::string::npos) << error.what();
  }
  killer.join();
  worker.join();
  EXPECT_EQ(queue.get(), 2);
  queue.task_done();
  queue.join();
}

}  // namespace
}  // namespace tandem
