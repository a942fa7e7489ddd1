#include "tandem/rlock.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <thread>

#include "support/cross.hpp"
#include "support/forked.hpp"
#include "tandem/error.hpp"
#include "tandem/lock.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using test::Forked;
using test::Step;

bool free_for_others(RLock& lock) {
  bool free = false;
  std::thread([&] {
    free = lock.try_lock();
    if (free) lock.unlock();
  }).join();
  return free;
}

TEST(RLockTest, IsHeldUntilItWasUnlockedAsOftenAsLocked) {
  RLock lock;
  lock.lock();
  EXPECT_TRUE(lock.try_lock());
  EXPECT_TRUE(lock.try_lock_for(1s));
  lock.unlock();
  EXPECT_FALSE(free_for_others(lock));
  lock.unlock();
  EXPECT_FALSE(free_for_others(lock));
  lock.unlock();
  EXPECT_TRUE(free_for_others(lock));
  EXPECT_THROW(lock.unlock(), SystemError);
}

TEST(RLockTest, WorksWithTheStandardsLocks) {
  RLock first, second;
  const std::scoped_lock outer(first, second);
  const std::scoped_lock inner(second, first);
  EXPECT_FALSE(free_for_others(first));
}

TEST(RLockTest, ARecursionOfTheParentIsNotTheChilds) {
  RLock lock;
  const std::scoped_lock guard(lock);
  Forked child([&] { return lock.try_lock() ? 1 : 0; });
  EXPECT_EQ(child.wait(), 0);
}

TEST(RLockTest, TheDepthOfADeadHolderIsForgotten) {
  RLock lock;
  Step holds;
  Forked holder([&] {
    for (int i = 0; i < 5; ++i) lock.lock();
    holds.done();
    for (;;) ::pause();
    return 0;
  });
  holds.await();
  holder.kill();
  EXPECT_THROW(lock.lock(), OwnerDied);
  EXPECT_TRUE(lock.recover());
  lock.unlock();
  EXPECT_TRUE(free_for_others(lock));
}

TEST(RLockTest, CrossesAsWhatItIs) {
  RLock lock;
  RLock other = test::cross(lock, detail::Route::process);
  const std::scoped_lock guard(lock);
  EXPECT_FALSE(free_for_others(other));
  EXPECT_TRUE(other.try_lock());
  other.unlock();
  EXPECT_THROW((void)test::cross(lock, detail::Route::queue), NotSendable);
  EXPECT_THROW((void)(test::cross<RLock, Lock>(lock, detail::Route::process)), DecodeError);
}

}  // namespace
}  // namespace tandem
