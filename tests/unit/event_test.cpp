#include "tandem/event.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

#include "support/cross.hpp"
#include "support/forked.hpp"
#include "support/proc.hpp"
#include "tandem/error.hpp"
#include "tandem/memory.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using test::Forked;
using test::Step;

TEST(EventTest, IsClearUntilSetAndSetUntilCleared) {
  Event event;
  EXPECT_FALSE(event.is_set());
  event.set();
  event.set();
  EXPECT_TRUE(event.is_set());
  event.wait();
  EXPECT_TRUE(event.wait_for(0s));
  event.clear();
  event.clear();
  EXPECT_FALSE(event.is_set());
  EXPECT_FALSE(event.wait_for(0s));
}

TEST(EventTest, ACopyNamesTheSameEvent) {
  Event event;
  Event copy = event;
  copy.set();
  EXPECT_TRUE(event.is_set());
}

TEST(EventTest, CrossesToProcessesAndOverConnectionsOnly) {
  Event event;
  Event first = test::cross(event, detail::Route::process);
  const Event second = test::cross(first, detail::Route::connection);
  event.set();
  EXPECT_TRUE(second.is_set());
  EXPECT_THROW((void)test::cross(event, detail::Route::queue), NotSendable);
  EXPECT_THROW((void)test::cross(event, detail::Route::socket), NotSendable);
}

TEST(EventTest, WaitForGivesUpAfterTheTimeNotBefore) {
  Event event;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(event.wait_for(70ms));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 70ms);
  EXPECT_FALSE(event.wait_until(start));
  EXPECT_FALSE(event.wait_for(-1h));
}

TEST(EventTest, SetReleasesAllWaitersOfAllProcesses) {
  Event event;
  const auto wait = [&] {
    event.wait();
    return 0;
  };
  Forked first(wait), second(wait);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back(wait);
  event.set();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(first.wait(), 0);
  EXPECT_EQ(second.wait(), 0);
}

TEST(EventTest, ASetThatIsClearedAtOnceReleasesWhoWaits) {
  Event event;
  Step waits;
  Forked waiter([&] {
    waits.done();
    event.wait();
    return 0;
  });
  waits.await();
  while (test::process_table().at(waiter.pid()).state != 'S') std::this_thread::yield();
  event.set();
  event.clear();
  EXPECT_EQ(waiter.wait(), 0);
}

TEST(EventTest, WhatWasWrittenBeforeSetIsSeenAfterWait) {
  Event ready, taken;
  SharedMemory memory(sizeof(int));
  int& value = memory.span<int>()[0];
  constexpr int kRounds = 2000;
  Forked reader([&] {
    for (int i = 1; i <= kRounds; ++i) {
      ready.wait();
      ready.clear();
      if (value != i) return 1;
      taken.set();
    }
    return 0;
  });
  for (int i = 1; i <= kRounds; ++i) {
    value = i;
    ready.set();
    taken.wait();
    taken.clear();
  }
  EXPECT_EQ(reader.wait(), 0);
}

TEST(EventTest, KilledWaitersHarmNobody) {
  Event event;
  for (int round = 0; round < 10; ++round) {
    Step waits;
    const auto wait = [&] {
      waits.done();
      event.wait();
      return 0;
    };
    Forked victim(wait), survivor(wait);
    waits.await();
    waits.await();
    EXPECT_EQ(victim.kill(), -SIGKILL);
    event.set();
    EXPECT_EQ(survivor.wait(), 0);
    event.clear();
  }
}

}  // namespace
}  // namespace tandem
