#include "os/robust_mutex.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "os/fence.hpp"
#include "shm/segment.hpp"
#include "support/forked.hpp"
#include "tandem/error.hpp"

namespace tandem::os {
namespace {

using namespace std::chrono_literals;
using detail::Deadline;
using test::Forked;
using test::Step;

class RobustMutexTest : public testing::Test {
 protected:
  struct Shared {
    RobustMutex mutex;
    long count;
  };
  explicit RobustMutexTest(bool checked = true) { shared_->mutex.init(checked); }

  RobustMutex& mutex() { return shared_->mutex; }
  long& count() { return shared_->count; }

  // Returns once a child that holds the mutex is dead.
  void let_a_holder_die() {
    Step holds;
    Forked holder([&] {
      if (mutex().lock() == Acquired::no) return 1;
      holds.done();
      for (;;) ::pause();
    });
    holds.await();
    ASSERT_EQ(holder.kill(), -SIGKILL);
  }

 private:
  shm::Segment segment_ = shm::Segment::create("robust_mutex_test", sizeof(Shared));
  Shared* shared_ = new (segment_.data()) Shared;
};

class UncheckedRobustMutexTest : public RobustMutexTest {
 protected:
  UncheckedRobustMutexTest() : RobustMutexTest(false) {}
};

TEST_F(RobustMutexTest, LocksAndUnlocks) {
  EXPECT_EQ(mutex().lock(), Acquired::yes);
  mutex().unlock();
  EXPECT_EQ(mutex().try_lock(), Acquired::yes);
  mutex().unlock();
}

TEST_F(RobustMutexTest, TryLockOfABusyOneIsRefused) {
  ASSERT_EQ(mutex().lock(), Acquired::yes);
  Forked other([&] { return mutex().try_lock() == Acquired::no ? 0 : 1; });
  EXPECT_EQ(other.wait(), 0);
  mutex().unlock();
}

TEST_F(RobustMutexTest, LockGivesUpAtItsDeadlineNotBefore) {
  ASSERT_EQ(mutex().lock(), Acquired::yes);
  Forked other([&] {
    const auto start = Deadline::Clock::now();
    if (mutex().lock(Deadline::after(120ms)) != Acquired::no) return 1;
    return Deadline::Clock::now() - start >= 120ms ? 0 : 2;
  });
  EXPECT_EQ(other.wait(), 0);
  mutex().unlock();
}

TEST_F(RobustMutexTest, RelockingByTheOwnerIsAnErrorNotADeadlock) {
  ASSERT_EQ(mutex().lock(), Acquired::yes);
  try {
    (void)mutex().lock();
    FAIL() << "locked twice";
  } catch (const SystemError& error) {
    EXPECT_EQ(error.code(), std::errc::resource_deadlock_would_occur);
  }
  EXPECT_EQ(mutex().try_lock(), Acquired::no);
  EXPECT_EQ(mutex().lock(Deadline::now()), Acquired::no);
  mutex().unlock();
}

TEST_F(RobustMutexTest, UnlockByAnotherThreadIsAnError) {
#if defined(TANDEM_THREAD_SANITIZER)
  GTEST_SKIP() << "ThreadSanitizer takes offence itself";
#endif
  ASSERT_EQ(mutex().lock(), Acquired::yes);
  std::thread([&] { EXPECT_THROW(mutex().unlock(), SystemError); }).join();
  mutex().unlock();
}

TEST_F(RobustMutexTest, TheDeathOfTheOwnerIsToldExactlyOnce) {
  let_a_holder_die();
  EXPECT_EQ(mutex().lock(), Acquired::owner_died);
  mutex().unlock();
  EXPECT_EQ(mutex().lock(), Acquired::yes);
  mutex().unlock();
}

TEST_F(RobustMutexTest, TryLockTellsTheDeathOfTheOwner) {
  let_a_holder_die();
  EXPECT_EQ(mutex().try_lock(), Acquired::owner_died);
  mutex().unlock();
}

TEST_F(UncheckedRobustMutexTest, TellsTheDeathOfTheOwnerAsWell) {
  let_a_holder_die();
  EXPECT_EQ(mutex().lock(), Acquired::owner_died);
  mutex().unlock();
}

TEST_F(RobustMutexTest, IsToldAgainWhenTheOneWhoWasToldDies) {
  let_a_holder_die();
  let_a_holder_die();
  EXPECT_EQ(mutex().lock(), Acquired::owner_died);
  mutex().unlock();
}

TEST_F(RobustMutexTest, ASleepingWaiterIsToldOfTheDeath) {
  Step holds;
  Forked holder([&] {
    if (mutex().lock() != Acquired::yes) return 1;
    holds.done();
    for (;;) ::pause();
  });
  holds.await();
  Step waits;
  Forked waiter([&] {
    waits.done();
    return mutex().lock() == Acquired::owner_died ? 0 : 1;
  });
  waits.await();
  EXPECT_EQ(holder.kill(), -SIGKILL);
  EXPECT_EQ(waiter.wait(), 0);
}

// A wake-up that went to a waiter that is dead by then must not leave the others asleep.
TEST_F(RobustMutexTest, KilledWaitersDoNotStrandTheOthers) {
  for (int round = 0; round < 10; ++round) {
    // Not held by this thread: ThreadSanitizer would take it for held by the forked ones too.
    Step held;
    Step enough;
    Forked holder([&] {
      if (mutex().lock() == Acquired::no) return 1;
      held.done();
      enough.await();
      mutex().unlock();
      return 0;
    });
    held.await();
    Step waits;
    const auto wait = [&] {
      waits.done();
      if (mutex().lock() == Acquired::no) return 1;
      mutex().unlock();
      return 0;
    };
    Forked first(wait), second(wait), survivor(wait);
    for (int i = 0; i < 3; ++i) waits.await();
    enough.done();
    first.kill();
    second.kill();
    EXPECT_EQ(survivor.wait(), 0);
    EXPECT_EQ(holder.wait(), 0);
  }
}

TEST_F(RobustMutexTest, ExcludesProcessesAndThreads) {
  constexpr long kRounds = 5000;
  const auto work = [&] {
    for (long i = 0; i < kRounds; ++i) {
      if (mutex().lock() != Acquired::yes) return 1;
      count() = count() + 1;
      mutex().unlock();
    }
    return 0;
  };
  Forked first(work), second(work);
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) threads.emplace_back([&] { EXPECT_EQ(work(), 0); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(first.wait(), 0);
  EXPECT_EQ(second.wait(), 0);
  EXPECT_EQ(count(), 4 * kRounds);
}

}  // namespace
}  // namespace tandem::os
