// What is claimed of a worker, and what the worker makes of it: both sides must agree each time.
#include "pool/slot.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include "os/spin.hpp"
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

/// Runs one task after the other, each for up to so many pauses, as long as `go_on(task, whether it was alone)`.
template <class GoOn>
void work(Slot& slot, unsigned most_pauses, GoOn go_on) {
  std::minstd_rand random(1);
  for (std::uint64_t task = 1;; ++task) {
    slot.activity.store(running(task), std::memory_order_release);
    for (auto i = random() % most_pauses; i != 0; --i) os::cpu_relax();
    if (!go_on(task, leave(slot, running(task), sending(task)))) return;
  }
}

TEST_P(PoolSlotTest, BothSidesAgreeWhoWasFirst) {
  constexpr int kTries = 5'000;
  std::vector<std::uint64_t> alone;
  std::vector<std::uint64_t> claimed;
  std::atomic<bool> ended = false;
  std::thread worker([&] {
    work(slot(), 300, [&](std::uint64_t task, bool was_alone) {
      if (was_alone) alone.push_back(task);
      return !ended;
    });
  });
  for (int tries = 0; tries < kTries;) {
    const Activity seen = slot().activity.load(std::memory_order_acquire);
    if (seen.kind() != WorkerState::running) continue;
    ++tries;
    if (claim(slot(), seen, ClaimKind::alone)) claimed.push_back(seen.task());
  }
  ended = true;
  worker.join();
  claimed.erase(std::unique(claimed.begin(), claimed.end()), claimed.end());
  EXPECT_EQ(alone, claimed);
  EXPECT_FALSE(claimed.empty());
}

TEST_P(PoolSlotTest, AWorkerThatIsGivenUpGoesNoFurther) {
  std::minstd_rand random(test::seed());
  for (int round = 0; round < 100; ++round) {
    slot().activity = Activity();
    slot().claim = Claim();
    test::Forked child([&] {
      work(slot(), 5000, [](std::uint64_t, bool) { return true; });
      return 0;
    });
    const std::uint64_t from = 1 + random() % 20;
    for (bool claimed = false; !claimed;) {
      const Activity seen = slot().activity.load(std::memory_order_acquire);
      if (seen.kind() != WorkerState::running || seen.task() < from) continue;
      claimed = claim(slot(), seen, ClaimKind::kill);
      if (!claimed) continue;
      // It gets time to do what it should not.
      for (int i = 0; i < 20; ++i) std::this_thread::yield();
      child.kill();
      EXPECT_EQ(slot().activity.load().task(), seen.task());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fences, PoolSlotTest, testing::Bool(),
                         [](const auto& fences) { return fences.param ? "Own" : "OfThePool"; });

}  // namespace
}  // namespace tandem::detail
