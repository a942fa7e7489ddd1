#include "os/fence.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <thread>

#include "os/spin.hpp"
#include "shm/segment.hpp"
#include "support/forked.hpp"

namespace tandem::os {
namespace {

using test::Forked;

TEST(FenceTest, AreRegisteredBeforeMainAndInForkedChildren) {
  EXPECT_TRUE(fences_registered);
  Forked child([] { return fences_registered && heavy_fence() ? 0 : 1; });
  EXPECT_EQ(child.wait(), 0);
}

// Two processes each raise a flag and look at the other's, round after round: at least one must see
// the other's. Without the fences both miss each other within a few thousand rounds on x86.
TEST(FenceTest, OfTwoFlagsRaisedAtOnceOneIsSeen) {
  constexpr int kRounds = 20'000;
  struct Shared {
    alignas(64) std::atomic<int> parked;
    alignas(64) std::atomic<int> published;
    alignas(64) std::atomic<int> rounds_of_child;
    alignas(64) std::atomic<int> round;
    std::atomic<int> child_saw;
  };
  const auto segment = shm::Segment::create("fence_test", sizeof(Shared));
  auto& shared = *new (segment.data()) Shared{};
  const auto await = [](std::atomic<int>& word, int value) {
    while (word.load(std::memory_order_acquire) != value) std::this_thread::yield();
  };
  Forked publisher([&] {
    for (int i = 1; i <= kRounds; ++i) {
      await(shared.round, i);
      shared.published.store(i, std::memory_order_release);
      light_fence(false);
      shared.child_saw.store(shared.parked.load(std::memory_order_relaxed) == i ? 1 : 0,
                             std::memory_order_relaxed);
      shared.rounds_of_child.store(i, std::memory_order_release);
    }
    return 0;
  });
  int missed = 0;
  for (int i = 1; i <= kRounds; ++i) {
    shared.round.store(i, std::memory_order_release);
    shared.parked.store(i, std::memory_order_relaxed);
    ASSERT_TRUE(heavy_fence());
    const bool saw = shared.published.load(std::memory_order_acquire) == i;
    await(shared.rounds_of_child, i);
    if (!saw && shared.child_saw.load(std::memory_order_relaxed) == 0) ++missed;
  }
  EXPECT_EQ(missed, 0);
  EXPECT_EQ(publisher.wait(), 0);
}

}  // namespace
}  // namespace tandem::os
