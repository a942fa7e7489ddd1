#include "tandem/lock.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <concepts>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "shm/segment.hpp"
#include "support/cross.hpp"
#include "support/forked.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/error.hpp"
#include "tandem/event.hpp"
#include "tandem/memory.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using test::Forked;
using test::Step;

static_assert(std::is_copy_constructible_v<Lock> && std::is_copy_assignable_v<Lock>);
static_assert(requires(Lock & lock, std::chrono::steady_clock::time_point tp) {
  { lock.try_lock() } -> std::same_as<bool>;
  { lock.try_lock_for(std::chrono::duration<float, std::milli>(1)) } -> std::same_as<bool>;
  { lock.try_lock_until(tp) } -> std::same_as<bool>;
});

int sleep_for_ever() {
  for (;;) ::pause();
}

// Returns once a process that holds the lock is dead.
pid_t let_a_holder_die(Lock& lock) {
  Step holds;
  Forked holder([&] {
    lock.lock();
    holds.done();
    return sleep_for_ever();
  });
  holds.await();
  const pid_t pid = holder.pid();
  holder.kill();
  return pid;
}

TEST(LockTest, WorksWithTheStandardsLocks) {
  Lock first, second;
  {
    const std::scoped_lock both(first, second);
    std::thread([&] {
      EXPECT_FALSE(first.try_lock());
      EXPECT_FALSE(second.try_lock());
    }).join();
  }
  std::unique_lock guard(first, std::defer_lock);
  EXPECT_TRUE(guard.try_lock_for(1s));
  guard.unlock();
  EXPECT_TRUE(guard.try_lock_until(std::chrono::steady_clock::now()));
}

TEST(LockTest, ACopyNamesTheSameLock) {
  Lock lock;
  Lock copy = lock;
  Lock moved = std::move(copy);
  lock.lock();
  EXPECT_FALSE(copy.try_lock());
  moved.unlock();
  EXPECT_TRUE(copy.try_lock());
  copy.unlock();
}

TEST(LockTest, TryLockForGivesUpAfterTheTimeNotBefore) {
  Lock lock;
  const std::scoped_lock guard(lock);
  std::thread([&] {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(lock.try_lock_for(70ms));
    EXPECT_GE(std::chrono::steady_clock::now() - start, 70ms);
    EXPECT_FALSE(lock.try_lock_for(0s));
    EXPECT_FALSE(lock.try_lock_for(-1h));
    EXPECT_FALSE(lock.try_lock_until(start));
  }).join();
}

TEST(LockTest, CrossesToProcessesAndOverConnections) {
  for (const auto route : {detail::Route::process, detail::Route::connection}) {
    Lock lock;
    auto other = test::cross(lock, route);
    EXPECT_EQ(other.name(), lock.name());
    const std::scoped_lock guard(lock);
    EXPECT_FALSE(other.try_lock());
  }
}

TEST(LockTest, CrossesNoOtherWay) {
  const Lock lock;
  for (const auto route : {detail::Route::queue, detail::Route::manager, detail::Route::socket}) {
    EXPECT_THROW((void)test::cross(lock, route), NotSendable);
  }
}

TEST(LockTest, AnotherKindOfObjectIsRefused) {
  EXPECT_THROW((void)(test::cross<SharedMemory, Lock>(SharedMemory(4096), detail::Route::process)),
               DecodeError);
  EXPECT_THROW((void)(test::cross<Event, Lock>(Event(), detail::Route::process)), DecodeError);
}

TEST(LockTest, RelockingByTheOwnerIsAnErrorThatNamesTheLock) {
  Lock lock;
  const std::scoped_lock guard(lock);
  try {
    lock.lock();
    FAIL() << "locked twice";
  } catch (const SystemError& error) {
    EXPECT_EQ(error.code(), std::errc::resource_deadlock_would_occur);
    EXPECT_NE(std::string(error.what()).find("Lock::lock on " + lock.name()), std::string::npos);
  }
  EXPECT_THROW((void)lock.try_lock_for(1h), SystemError);
  EXPECT_FALSE(lock.try_lock());
}

TEST(LockTest, UnlockByAnotherThanTheOwnerIsAnErrorThatNamesTheLock) {
  Lock lock;
  EXPECT_THROW(lock.unlock(), SystemError);
  lock.lock();
  std::thread([&] {
    try {
      lock.unlock();
      FAIL() << "unlocked what it did not hold";
    } catch (const SystemError& error) {
      EXPECT_EQ(error.code(), std::errc::operation_not_permitted);
      EXPECT_NE(std::string(error.what()).find(lock.name()), std::string::npos);
    }
    EXPECT_FALSE(lock.try_lock());
  }).join();
  Forked child([&] {
    try {
      lock.unlock();
    } catch (const SystemError&) {
      return 0;
    }
    return 1;
  });
  EXPECT_EQ(child.wait(), 0);
  lock.unlock();
}

TEST(LockTest, ADeadHolderIsReportedToEverybodyUntilOneRecovers) {
  Lock lock;
  const pid_t dead = let_a_holder_die(lock);
  try {
    lock.lock();
    FAIL() << "took what a dead process had not finished";
  } catch (const OwnerDied& error) {
    EXPECT_NE(std::string(error.what()).find(lock.name()), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("process " + std::to_string(dead)), std::string::npos);
  }
  EXPECT_THROW((void)lock.try_lock(), OwnerDied);
  EXPECT_THROW((void)lock.try_lock_for(1h), OwnerDied);
  EXPECT_THROW((void)std::unique_lock(lock), OwnerDied);
  Forked other([&] {
    try {
      lock.lock();
    } catch (const OwnerDied&) {
      return 0;
    }
    return 1;
  });
  EXPECT_EQ(other.wait(), 0);

  EXPECT_TRUE(lock.recover());
  std::thread([&] { EXPECT_FALSE(lock.try_lock()); }).join();
  EXPECT_FALSE(lock.recover());
  lock.unlock();
  EXPECT_FALSE(lock.recover());
  const std::scoped_lock guard(lock);
}

TEST(LockTest, RecoverNeedsNobodyToHaveBeenTold) {
  Lock lock;
  let_a_holder_die(lock);
  EXPECT_TRUE(lock.recover());
  lock.unlock();
}

TEST(LockTest, ARecovererThatDiesLeavesItToTheNext) {
  Lock lock;
  let_a_holder_die(lock);
  Step recovered;
  Forked recoverer([&] {
    if (!lock.recover()) return 1;
    recovered.done();
    return sleep_for_ever();
  });
  recovered.await();
  EXPECT_FALSE(lock.try_lock());
  EXPECT_FALSE(lock.recover());
  recoverer.kill();
  EXPECT_THROW(lock.lock(), OwnerDied);
  EXPECT_TRUE(lock.recover());
  lock.unlock();
}

TEST(LockTest, OfManyWhoRecoverOneIsTheFirst) {
  for (int round = 0; round < 20; ++round) {
    Lock lock;
    let_a_holder_die(lock);
    const auto recover = [&] {
      if (!lock.recover()) return 0;
      lock.unlock();
      return 1;
    };
    Forked first(recover), second(recover), third(recover);
    EXPECT_EQ(first.wait() + second.wait() + third.wait(), 1);
  }
}

TEST(LockTest, AWaiterIsToldWhenTheHolderDies) {
  Lock lock;
  Step holds, waits;
  Forked holder([&] {
    lock.lock();
    holds.done();
    return sleep_for_ever();
  });
  holds.await();
  Forked waiter([&] {
    waits.done();
    try {
      lock.lock();
    } catch (const OwnerDied&) {
      return 0;
    }
    return 1;
  });
  waits.await();
  holder.kill();
  EXPECT_EQ(waiter.wait(), 0);
}

TEST(LockTest, AThreadThatEndsWithItIsADeadHolder) {
  Lock lock;
  std::thread([&] { lock.lock(); }).join();
  EXPECT_THROW(lock.lock(), OwnerDied);
  EXPECT_TRUE(lock.recover());
  lock.unlock();
}

TEST(LockTest, KilledWaitersHarmNobody) {
  Lock lock;
  for (int round = 0; round < 10; ++round) {
    lock.lock();
    Step waits;
    const auto wait = [&] {
      waits.done();
      lock.lock();
      return sleep_for_ever();
    };
    Forked first(wait), second(wait);
    waits.await();
    waits.await();
    first.kill();
    second.kill();
    lock.unlock();
    lock.lock();
    lock.unlock();
  }
}

TEST(LockTest, ItsLastHandleMayGoWhileItIsHeld) {
  for (int i = 0; i < 3; ++i) {
    Lock held;
    held.lock();
  }
  // Robust mutexes of a thread are a list through those that went.
  Lock other;
  other.lock();
  other.unlock();
}

TEST(LockTest, ItsLastHandleMayGoWhileItIsHeldWhateverItsWordsSay) {
  {
    Lock held;
    std::vector<detail::Fd> descriptors;
    detail::Buffer buffer;
    detail::Encoder to(buffer, detail::Route::process, &descriptors);
    held.save(to);
    const auto memory = shm::Segment::adopt(std::move(descriptors.at(0)), 1);
    held.lock();
    constexpr std::size_t kOwner = 16;  // a word that another process may have overwritten
    std::memset(memory.data() + kOwner, 0, 8);
  }
  Lock other;
  other.lock();
  other.unlock();
}

TEST(LockTest, OppositeOrdersInTwoProcessesDoNotDeadlock) {
  Lock first, second;
  const auto work = [&](Lock& a, Lock& b) {
    for (int i = 0; i < 1000; ++i) const std::scoped_lock both(a, b);
    return 0;
  };
  Forked child([&] { return work(second, first); });
  work(first, second);
  EXPECT_EQ(child.wait(), 0);
}

// Whoever dies inside leaves the count odd; whoever recovers makes it even.
TEST(LockTest, KeepsItsPromiseInAStormOfKills) {
  Lock lock;
  SharedMemory memory(sizeof(long));
  long& count = memory.span<long>()[0];
  const auto work = [&] {
    for (;;) {
      try {
        lock.lock();
      } catch (const OwnerDied&) {
        if (!lock.recover()) continue;
        count += count % 2;
      }
      if (count % 2 != 0) return 1;
      count = count + 1;
      count = count + 1;
      lock.unlock();
    }
  };
  Forked survivor(work);
  for (int i = 0; i < 30; ++i) {
    Forked victim(work);
    const long before = *static_cast<volatile long*>(&count);
    while (*static_cast<volatile long*>(&count) < before + 200) std::this_thread::yield();
    EXPECT_EQ(victim.kill(), -SIGKILL);
  }
  EXPECT_EQ(survivor.kill(), -SIGKILL);
}

}  // namespace
}  // namespace tandem
