// Lock among processes, over every way to start them. What a single process can see is in
// tests/unit.
#include "tandem/lock.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "support/start_methods.hpp"
#include "tandem/error.hpp"
#include "tandem/event.hpp"
#include "tandem/memory.hpp"
#include "tandem/process.hpp"
#include "tandem/rlock.hpp"

namespace tandem {
namespace {

using LockProcessTest = test::StartMethodTest;
TANDEM_OVER_START_METHODS(LockProcessTest);

constexpr int kDied = 3;
constexpr int kRecovered = 4;

void count_under_lock(Lock lock, SharedMemory memory, int rounds) {
  long& count = memory.span<long>()[0];
  for (int i = 0; i < rounds; ++i) {
    const std::scoped_lock guard(lock);
    count = count + 1;
  }
}

void hold_for_ever(Lock lock, Event holds) {
  lock.lock();
  holds.set();
  for (;;) ::pause();
}

void wait_for_lock(Lock lock, Event waits) {
  waits.set();
  try {
    const std::scoped_lock guard(lock);
  } catch (const OwnerDied&) {
    std::exit(kDied);
  }
}

void recover_once(Lock lock) {
  try {
    const std::scoped_lock guard(lock);
  } catch (const OwnerDied&) {
    if (!lock.recover()) std::exit(kDied);
    lock.unlock();
    std::exit(kRecovered);
  }
}

void start_a_child_of_ones_own(Lock lock, SharedMemory memory, int rounds) {
  Process grandchild(count_under_lock, lock, memory, rounds);
  grandchild.start();
  count_under_lock(lock, memory, rounds);
  grandchild.join();
  std::exit(grandchild.exitcode().value_or(1));
}

TEST_P(LockProcessTest, ExcludesChildrenAndGrandchildren) {
  constexpr int kRounds = 2000;
  Lock lock;
  const SharedMemory memory(sizeof(long));
  Process child(count_under_lock, lock, memory, kRounds);
  Process family(start_a_child_of_ones_own, lock, memory, kRounds);
  child.start();
  family.start();
  count_under_lock(lock, memory, kRounds);
  child.join();
  family.join();
  EXPECT_EQ(child.exitcode(), 0);
  EXPECT_EQ(family.exitcode(), 0);
  EXPECT_EQ(memory.span<long>()[0], 4L * kRounds);
}

TEST_P(LockProcessTest, AKilledHolderIsReportedToAllUntilOneRecovers) {
  Lock lock;
  Event holds, first_waits, second_waits;
  Process holder(hold_for_ever, lock, holds);
  holder.start();
  holds.wait();
  Process first(wait_for_lock, lock, first_waits), second(wait_for_lock, lock, second_waits);
  first.start();
  second.start();
  first_waits.wait();
  second_waits.wait();
  holder.kill();
  holder.join();
  first.join();
  second.join();
  EXPECT_EQ(first.exitcode(), kDied);
  EXPECT_EQ(second.exitcode(), kDied);
  EXPECT_THROW(lock.lock(), OwnerDied);

  Process recoverer(recover_once, lock);
  recoverer.start();
  recoverer.join();
  EXPECT_EQ(recoverer.exitcode(), kRecovered);
  const std::scoped_lock guard(lock);
}

TEST_P(LockProcessTest, AKilledWaiterHarmsNobody) {
  Lock lock;
  Event first_waits, second_waits;
  Process victim(wait_for_lock, lock, first_waits), survivor(wait_for_lock, lock, second_waits);
  {
    const std::scoped_lock guard(lock);
    victim.start();
    survivor.start();
    first_waits.wait();
    second_waits.wait();
    victim.kill();
    victim.join();
  }
  survivor.join();
  EXPECT_EQ(victim.exitcode(), -SIGKILL);
  EXPECT_EQ(survivor.exitcode(), 0);
  EXPECT_TRUE(lock.try_lock());
  lock.unlock();
}

void take_both(Lock first, RLock second, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    const std::scoped_lock both(first, second);
    const std::scoped_lock again(second);
  }
}

void take_both_the_other_way(Lock first, RLock second, int rounds) {
  for (int i = 0; i < rounds; ++i) const std::scoped_lock both(second, first);
}

TEST_P(LockProcessTest, TwoInOppositeOrdersDoNotDeadlock) {
  constexpr int kRounds = 1000;
  Lock first;
  RLock second;
  Process child(take_both_the_other_way, first, second, kRounds);
  child.start();
  take_both(first, second, kRounds);
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

void try_what_the_parent_holds(RLock lock) {
  if (lock.try_lock()) std::exit(kDied);
}

TEST_P(LockProcessTest, ARecursionIsTheHoldersAlone) {
  RLock lock;
  const std::scoped_lock once(lock);
  const std::scoped_lock twice(lock);
  Process child(try_what_the_parent_holds, lock);
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

TEST_P(LockProcessTest, OutlivesTheHandleOfWhoMadeIt) {
  Event holds;
  std::vector<Process> children;
  {
    Lock lock;
    children.emplace_back(hold_for_ever, lock, holds);
    children[0].start();
    holds.wait();
    Event waits;
    children.emplace_back(wait_for_lock, lock, waits);
    children[1].start();
    waits.wait();
  }
  children[0].kill();
  children[1].join();
  EXPECT_EQ(children[1].exitcode(), kDied);
}

}  // namespace
}  // namespace tandem
