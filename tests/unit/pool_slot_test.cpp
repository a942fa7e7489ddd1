// What is claimed of a worker, and what the worker makes of it: both sides must agree each time.
#include "pool/slot.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include "support/forked.hpp"
#include "support/random.hpp"
#include "tandem/memory.hpp"

namespace tandem::detail {
namespace {

/// In memory that a forked child shares.
/// \param GetParam() whether the worker fences for itself, as without membarrier
class PoolSlotTest : public testing::TestWithParam<bool> {
 protected:
  PoolSlotTest() {
    prepare(slot());
    slot().fences_needed = GetParam() ? 1 : 0;
  }
  Slot& slot() { return *reinterpret_cast<Slot*>(memory_.data()); }

 private:
  SharedMemory memory_{sizeof(Slot)};
};

Activity running(std::uint64_t task) { return Activity(WorkerState::running, task); }
Activity sending(std::uint64_t task) { return Activity(WorkerState::sending, task); }

TEST_P(PoolSlotTest, ATaskThatNobodyClaimsIsLeft) {
  slot().activity = running(7);
  EXPECT_FALSE(leave(slot(), running(7), sending(7)));
  EXPECT_EQ(slot().activity.load(), sending(7));
}

TEST_P(PoolSlotTest, WhatHasEndedIsClaimedTooLate) {
  slot().activity = sending(7);
  EXPECT_FALSE(claim(slot(), running(7), ClaimKind::kill));
  slot().activity = running(8);
  EXPECT_FALSE(claim(slot(), running(7), ClaimKind::kill));
  EXPECT_FALSE(leave(slot(), running(8), sending(8)));
}

TEST_P(PoolSlotTest, AWorkerLearnsThatItRanATaskAlone) {
  slot().activity = running(7);
  EXPECT_TRUE(claim(slot(), running(7), ClaimKind::alone));
  EXPECT_TRUE(leave(slot(), running(7), sending(7)));
  slot().activity = running(8);
  EXPECT_FALSE(leave(slot(), running(8), sending(8)));  // that was of another
}

TEST_P(PoolSlotTest, AClaimThatComesTooLateLeavesTheOneBefore) {
  slot().activity = running(7);
  EXPECT_TRUE(claim(slot(), running(7), ClaimKind::alone));
  slot().activity = sending(7);  // on its way through leave
  EXPECT_FALSE(claim(slot(), running(7), ClaimKind::kill));
  EXPECT_TRUE(leave(slot(), running(7), sending(7)));
}

TEST_P(PoolSlotTest, BothSidesAgreeWhoWasFirst) {
  constexpr std::uint64_t kTasks = 200'000;
  std::vector<char> recalled(kTasks + 1);
  std::vector<char> claimed(kTasks + 1);
  std::atomic<bool> ended = false;
  std::thread worker([&] {
    for (std::uint64_t task = 1; task <= kTasks; ++task) {
      slot().activity.store(running(task), std::memory_order_release);
      recalled[task] = leave(slot(), running(task), sending(task)) ? 1 : 0;
    }
    ended = true;
  });
  std::size_t tried = 0;
  while (!ended) {
    const Activity seen = slot().activity.load(std::memory_order_acquire);
    if (seen.kind() != WorkerState::running) continue;
    ++tried;
    if (claim(slot(), seen, ClaimKind::alone)) claimed[seen.task()] = 1;
  }
  worker.join();
  EXPECT_EQ(recalled, claimed);
  EXPECT_GT(tried, 0U);
}

TEST_P(PoolSlotTest, AWorkerThatIsGivenUpGoesNoFurther) {
  std::minstd_rand random(test::seed());
  std::size_t killed = 0;
  for (int round = 0; round < 300; ++round) {
    slot().activity = Activity();
    slot().claim = Claim();
    test::Forked child([&]() -> int {
      for (std::uint64_t task = 1;; ++task) {
        slot().activity.store(running(task), std::memory_order_release);
        static_cast<void>(leave(slot(), running(task), sending(task)));
      }
    });
    const std::uint64_t from = 1 + random() % 1000;
    for (;;) {
      const Activity seen = slot().activity.load(std::memory_order_acquire);
      if (seen.kind() != WorkerState::running || seen.task() < from) continue;
      if (!claim(slot(), seen, ClaimKind::kill)) continue;
      // It gets time to do what it should not.
      for (int i = 0; i < 20; ++i) std::this_thread::yield();
      child.kill();
      EXPECT_EQ(slot().activity.load().task(), seen.task());
      ++killed;
      break;
    }
  }
  EXPECT_EQ(killed, 300U);
}

INSTANTIATE_TEST_SUITE_P(Fences, PoolSlotTest, testing::Bool(),
                         [](const auto& fences) { return fences.param ? "Own" : "OfThePool"; });

}  // namespace
}  // namespace tandem::detail
