#include "tandem/barrier.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/cross.hpp"
#include "support/forked.hpp"
#include "tandem/error.hpp"
#include "tandem/event.hpp"
#include "tandem/memory.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using test::Forked;
using test::Step;

std::atomic<int> actions{0};
void count_action() { ++actions; }
void add_action(int n) { actions += n; }
void set_event(Event event) { event.set(); }
void fail() { throw std::domain_error("no"); }

void await_waiting(const Barrier& barrier, std::size_t n) {
  while (barrier.waiting() != n) std::this_thread::yield();
}

enum class End { passed, broken };
End end_of(Barrier barrier) {
  try {
    (void)barrier.wait();
    return End::passed;
  } catch (const BrokenBarrier&) {
    return End::broken;
  }
}

TEST(BarrierTest, ReleasesAllRoundAfterRoundWithUniqueIndices) {
  constexpr std::size_t kParties = 3;
  constexpr int kRounds = 1'000;
  Barrier barrier(kParties, count_action);
  actions = 0;
  std::vector<std::atomic<int>> taken(kParties);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kParties; ++i) {
    threads.emplace_back([&] {
      for (int round = 1; round <= kRounds; ++round) {
        const std::size_t index = barrier.wait();
        EXPECT_EQ(taken.at(index).fetch_add(1) + 1, round);
        // Nobody runs ahead: the action has run once for every round that was released.
        EXPECT_TRUE(actions == round || actions == round + 1);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(actions, kRounds);
  EXPECT_EQ(barrier.waiting(), 0U);
  EXPECT_FALSE(barrier.broken());
}

TEST(BarrierTest, SaysWhatItIs) {
  const Barrier barrier(7);
  EXPECT_EQ(barrier.parties(), 7U);
  EXPECT_EQ(barrier.waiting(), 0U);
  EXPECT_THROW(Barrier(0), SystemError);
  EXPECT_THROW(Barrier(1 << 20), SystemError);
  EXPECT_THROW(Barrier(static_cast<std::size_t>(-1)), SystemError);
}

TEST(BarrierTest, OfOnePartyNeverWaits) {
  actions = 0;
  Barrier barrier(1, call(add_action, 5));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(barrier.wait(), 0U);
  EXPECT_EQ(actions, 15);
}

TEST(BarrierTest, MoreThreadsThanPartiesPassInRounds) {
  constexpr int kPasses = 500;
  Barrier barrier(2);
  std::atomic<int> passes[2] = {};
  std::vector<std::thread> threads;
  for (int i = 0; i < 5; ++i) {
    threads.emplace_back([&] {
      try {
        while (passes[barrier.wait()].fetch_add(1) < kPasses) {
        }
        barrier.abort();
      } catch (const BrokenBarrier&) {
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_GE(std::max(passes[0].load(), passes[1].load()), kPasses);
}

TEST(BarrierTest, AbortBreaksItUntilReset) {
  Barrier barrier(3);
  std::thread first([&] { EXPECT_EQ(end_of(barrier), End::broken); });
  std::thread second([&] { EXPECT_EQ(end_of(barrier), End::broken); });
  await_waiting(barrier, 2);
  barrier.abort();
  first.join();
  second.join();
  EXPECT_TRUE(barrier.broken());
  EXPECT_EQ(barrier.waiting(), 0U);
  EXPECT_EQ(end_of(barrier), End::broken);
  barrier.reset();
  EXPECT_FALSE(barrier.broken());
  std::thread third([&] { EXPECT_EQ(end_of(barrier), End::passed); });
  std::thread fourth([&] { EXPECT_EQ(end_of(barrier), End::passed); });
  EXPECT_EQ(end_of(barrier), End::passed);
  third.join();
  fourth.join();
}

TEST(BarrierTest, ResetWhileWaitingIsForThoseWhoWait) {
  Barrier barrier(2);
  for (int round = 0; round < 50; ++round) {
    std::thread waits([&] { EXPECT_EQ(end_of(barrier), End::broken); });
    await_waiting(barrier, 1);
    barrier.reset();
    EXPECT_FALSE(barrier.broken());
    std::thread next([&] { EXPECT_EQ(end_of(barrier), End::passed); });
    EXPECT_EQ(end_of(barrier), End::passed);
    waits.join();
    next.join();
  }
}

TEST(BarrierTest, ATimeoutBreaksItForAll) {
  Barrier barrier(3, std::nullopt, 50ms);
  const auto start = std::chrono::steady_clock::now();
  std::thread other([&] { EXPECT_THROW((void)barrier.wait_for(1h), BrokenBarrier); });
  EXPECT_THROW((void)barrier.wait(), BrokenBarrier);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 50ms);
  other.join();
  EXPECT_TRUE(barrier.broken());
}

TEST(BarrierTest, WithoutTimeToWaitOnlyTheLastPasses) {
  Barrier barrier(2, {}, 1h);
  EXPECT_THROW((void)barrier.wait_for(0s), BrokenBarrier);
  barrier.reset();
  std::thread waits([&] { EXPECT_EQ(end_of(barrier), End::passed); });
  await_waiting(barrier, 1);
  EXPECT_EQ(barrier.wait_for(-1s), 1U);
  waits.join();
  EXPECT_THROW((void)barrier.wait_until(std::chrono::steady_clock::now()), BrokenBarrier);
}

TEST(BarrierTest, AnActionThatThrowsBreaksIt) {
  Barrier barrier(2, fail, 1h);
  std::thread waits([&] { EXPECT_EQ(end_of(barrier), End::broken); });
  await_waiting(barrier, 1);
  EXPECT_THROW((void)barrier.wait(), std::domain_error);
  waits.join();
  EXPECT_TRUE(barrier.broken());
}

TEST(BarrierTest, AnActionMayHaveHandlesAmongItsArguments) {
  Event event;
  Barrier barrier(1, call(set_event, event));
  Barrier other = test::cross(test::cross(barrier, detail::Route::process), detail::Route::process);
  EXPECT_EQ(other.wait(), 0U);
  EXPECT_TRUE(event.is_set());
  EXPECT_THROW((void)test::cross(barrier, detail::Route::queue), NotSendable);
}

TEST(BarrierTest, APartyKilledWhileItWaitsBreaksItForTheRest) {
  Barrier barrier(3);
  for (int round = 0; round < 5; ++round) {
    Forked victim([&] { return static_cast<int>(barrier.wait()); });
    Forked survivor([&] { return end_of(barrier) == End::broken ? 0 : 1; });
    await_waiting(barrier, 2);
    victim.kill();
    EXPECT_EQ(survivor.wait(), 0);
    EXPECT_TRUE(barrier.broken());
    barrier.reset();
  }
}

TEST(BarrierTest, APartyKilledWithinTheActionBreaksItForTheRest) {
  const SharedMemory memory(1);
  Barrier barrier(3, call(
                         [](const SharedMemory& started) {
                           started.data()[0] = std::byte{1};
                           for (;;) ::pause();
                         },
                         memory));
  Forked first([&] { return end_of(barrier) == End::broken ? 0 : 1; });
  Forked second([&] { return end_of(barrier) == End::broken ? 0 : 1; });
  await_waiting(barrier, 2);
  Forked last([&] { return static_cast<int>(barrier.wait()); });
  while (static_cast<volatile std::byte*>(memory.data())[0] == std::byte{0}) {
    std::this_thread::yield();
  }
  EXPECT_EQ(barrier.waiting(), 3U);
  last.kill();
  EXPECT_EQ(first.wait(), 0);
  EXPECT_EQ(second.wait(), 0);
}

TEST(BarrierTest, AbortEndsARoundWhoseActionRuns) {
  Event running, go_on;
  Barrier barrier(2, call(
                         [](Event started, Event end) {
                           started.set();
                           end.wait();
                         },
                         running, go_on));
  std::thread first([&] { EXPECT_EQ(end_of(barrier), End::broken); });
  std::thread second([&] { EXPECT_EQ(end_of(barrier), End::broken); });
  running.wait();
  barrier.abort();
  go_on.set();
  first.join();
  second.join();
}

}  // namespace
}  // namespace tandem
