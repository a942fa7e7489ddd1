// A process dies after every instruction of a lock's operations, those that recover it included.
// Whoever comes next is told of a death inside, exactly then, and can take the lock over.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>

#include "support/forked.hpp"
#include "support/step_kill.hpp"
#include "tandem/error.hpp"
#include "tandem/lock.hpp"
#include "tandem/memory.hpp"
#include "tandem/rlock.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kDeaths = 25;

/// A lock and what the stepped child says of itself.
template <class L>
struct World {
  L lock;
  SharedMemory memory{2 * sizeof(int)};
  volatile int& inside = memory.span<int>()[0];    // it has the lock, and has not begun to unlock
  volatile int& finished = memory.span<int>()[1];  // it has mended what the dead holder left
};

/// \returns whether the survivor was told of a death before it had the lock
template <class L>
bool take_over(L& lock) {
  bool told = false;
  try {
    EXPECT_TRUE(lock.try_lock_for(20s)) << "the survivor waits for ever";
  } catch (const OwnerDied&) {
    told = true;
    EXPECT_TRUE(lock.recover()) << "nobody else could have recovered it";
  }
  lock.unlock();
  // As good as new.
  EXPECT_FALSE(lock.recover());
  lock.lock();
  lock.unlock();
  return told;
}

template <class L>
class LockStepTest : public testing::Test {};
using Locks = testing::Types<Lock, RLock>;
TYPED_TEST_SUITE(LockStepTest, Locks);

TYPED_TEST(LockStepTest, LockAndUnlock) {
  using W = World<TypeParam>;
  test::for_each_step(
      kDeaths, [] { return std::make_unique<W>(); },
      [](W& world) {
        world.lock.lock();
        world.inside = 1;
        world.inside = 0;
        world.lock.unlock();
      },
      [](W& world) {
        const bool inside = world.inside == 1;
        EXPECT_TRUE(take_over(world.lock) || !inside) << "a death inside was not told";
      });
}

TEST(RLockStepTest, TakenTwice) {
  test::for_each_step(
      kDeaths, [] { return std::make_unique<World<RLock>>(); },
      [](World<RLock>& world) {
        world.lock.lock();
        world.inside = 1;
        world.lock.lock();
        world.lock.unlock();
        world.inside = 0;
        world.lock.unlock();
      },
      [](World<RLock>& world) {
        const bool inside = world.inside == 1;
        EXPECT_TRUE(take_over(world.lock) || !inside) << "a death inside was not told";
      });
}

/// A lock whose holder is dead. \param told whether somebody has been told of it already
template <class L>
std::unique_ptr<World<L>> make_orphan(bool told) {
  auto world = std::make_unique<World<L>>();
  test::Forked holder([&] {
    world->lock.lock();
    return 0;
  });
  EXPECT_EQ(holder.wait(), 0);
  if (told) {
    EXPECT_THROW(world->lock.lock(), OwnerDied);
  }
  return world;
}

template <class L>
void recover_and_mend(World<L>& world) {
  if (!world.lock.recover()) return;
  world.finished = 1;
  world.lock.unlock();
}

template <class L>
void expect_told_unless_mended(World<L>& world) {
  EXPECT_TRUE(take_over(world.lock) || world.finished == 1)
      << "the lock was handed on although nobody had mended what it protects";
}

TYPED_TEST(LockStepTest, RecoveryByTheFirstToCome) {
  test::for_each_step(
      kDeaths, [] { return make_orphan<TypeParam>(false); }, recover_and_mend<TypeParam>,
      expect_told_unless_mended<TypeParam>);
}

TYPED_TEST(LockStepTest, RecoveryAfterSomebodyWasTold) {
  test::for_each_step(
      kDeaths, [] { return make_orphan<TypeParam>(true); }, recover_and_mend<TypeParam>,
      expect_told_unless_mended<TypeParam>);
}

TYPED_TEST(LockStepTest, BeingTold) {
  // What is thrown takes 20 000 instructions more, all its own.
  using W = World<TypeParam>;
  test::for_each_step(
      {kDeaths, 1'500}, [] { return make_orphan<TypeParam>(false); },
      [](W& world) {
        try {
          (void)world.lock.try_lock();
        } catch (const OwnerDied&) {
        }
      },
      [](W& world) { EXPECT_TRUE(take_over(world.lock)) << "the death was forgotten"; });
}

}  // namespace
}  // namespace tandem
