// Semaphore, Condition and Barrier among processes, over every way to start them. What a single
// process can see is in tests/unit.
#include "tandem/sync.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include "support/start_methods.hpp"
#include "tandem/error.hpp"
#include "tandem/memory.hpp"
#include "tandem/pipe.hpp"
#include "tandem/process.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

using SyncProcessTest = test::StartMethodTest;
TANDEM_OVER_START_METHODS(SyncProcessTest);

struct Counts {
  int inside;
  int most;
  int waiting;
  int turn;
  int actions;
};
Counts& counts_of(const SharedMemory& memory) { return memory.span<Counts>()[0]; }

void pass_semaphore(Semaphore semaphore, Lock lock, SharedMemory memory, int rounds) {
  Counts& counts = counts_of(memory);
  for (int i = 0; i < rounds; ++i) {
    semaphore.acquire();
    {
      const std::scoped_lock guard(lock);
      counts.most = std::max(counts.most, ++counts.inside);
    }
    {
      const std::scoped_lock guard(lock);
      --counts.inside;
    }
    semaphore.release();
  }
}

TEST_P(SyncProcessTest, ASemaphoreLetsAsManyProcessesIn) {
  Semaphore semaphore(2);
  Lock lock;
  const SharedMemory memory(sizeof(Counts));
  std::vector<Process> children;
  for (int i = 0; i < 3; ++i) children.emplace_back(pass_semaphore, semaphore, lock, memory, 300);
  for (Process& child : children) child.start();
  for (Process& child : children) {
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
  }
  EXPECT_LE(counts_of(memory).most, 2);
  EXPECT_EQ(semaphore.value(), 2U);
}

void acquire_and_die(Semaphore semaphore) {
  semaphore.acquire();
  ::raise(SIGKILL);
}

TEST_P(SyncProcessTest, AKilledProcessTakesItsPermitsAlong) {
  Semaphore semaphore(2);
  Process child(acquire_and_die, semaphore);
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), -SIGKILL);
  EXPECT_EQ(semaphore.value(), 1U);
  EXPECT_TRUE(semaphore.try_acquire());
  EXPECT_FALSE(semaphore.try_acquire_for(1ms));
}

void over_release(BoundedSemaphore semaphore) {
  try {
    semaphore.release();
  } catch (const SystemError&) {
    std::exit(3);
  }
}

TEST_P(SyncProcessTest, ABoundedSemaphoreStaysBounded) {
  Process child(over_release, BoundedSemaphore(1));
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 3);
}

template <class L>
void take_turns(L lock, Condition changed, SharedMemory memory, int me, int rounds) {
  Counts& counts = counts_of(memory);
  for (int round = 0; round < rounds; ++round) {
    std::unique_lock guard(lock);
    changed.wait(guard, [&] { return counts.turn % 2 == me; });
    ++counts.turn;
    changed.notify_one();
  }
}

TEST_P(SyncProcessTest, AConditionPassesTurnsBetweenProcesses) {
  constexpr int kRounds = 300;
  Condition changed;
  const SharedMemory memory(sizeof(Counts)), other_memory(sizeof(Counts));
  Lock lock;
  Process child(&take_turns<Lock>, lock, changed, memory, 1, kRounds);
  child.start();
  take_turns(lock, changed, memory, 0, kRounds);
  RLock rlock;
  Process other(&take_turns<RLock>, rlock, changed, other_memory, 1, kRounds);
  other.start();
  take_turns(rlock, changed, other_memory, 0, kRounds);
  child.join();
  other.join();
  EXPECT_EQ(child.exitcode(), 0);
  EXPECT_EQ(other.exitcode(), 0);
  EXPECT_EQ(counts_of(memory).turn, 2 * kRounds);
  EXPECT_EQ(counts_of(other_memory).turn, 2 * kRounds);
}

void wait_for_turn(Lock lock, Condition changed, SharedMemory memory) {
  Counts& counts = counts_of(memory);
  std::unique_lock guard(lock);
  ++counts.waiting;
  try {
    changed.wait(guard, [&] { return counts.turn != 0; });
  } catch (const OwnerDied&) {
    std::exit(guard.owns_lock() ? 1 : 3);
  }
}

void await_waiting(Lock lock, const SharedMemory& memory, int n) {
  for (;;) {
    {
      const std::scoped_lock guard(lock);
      if (counts_of(memory).waiting == n) return;
    }
    std::this_thread::yield();
  }
}

TEST_P(SyncProcessTest, AKilledWaiterOfAConditionHarmsNobody) {
  Lock lock;
  Condition changed;
  const SharedMemory memory(sizeof(Counts));
  Process victim(wait_for_turn, lock, changed, memory);
  Process survivor(wait_for_turn, lock, changed, memory);
  victim.start();
  await_waiting(lock, memory, 1);
  survivor.start();
  await_waiting(lock, memory, 2);
  ::kill(victim.pid(), SIGSTOP);
  {
    const std::scoped_lock guard(lock);
    counts_of(memory).turn = 1;
    changed.notify_one();  // to the one that has waited longest
  }
  victim.kill();
  victim.join();
  survivor.join();
  EXPECT_EQ(survivor.exitcode(), 0);
}

void lock_and_die(Lock lock) {
  lock.lock();
  ::raise(SIGKILL);
}

TEST_P(SyncProcessTest, WhoWaitsForAConditionHearsThatTheHolderDied) {
  Lock lock;
  Condition changed;
  const SharedMemory memory(sizeof(Counts));
  Process first(wait_for_turn, lock, changed, memory), second(wait_for_turn, lock, changed, memory);
  first.start();
  second.start();
  await_waiting(lock, memory, 2);
  Process dies(lock_and_die, lock);
  dies.start();
  first.join();
  second.join();
  EXPECT_EQ(first.exitcode(), 3);
  EXPECT_EQ(second.exitcode(), 3);
  EXPECT_TRUE(lock.recover());
  lock.unlock();
}

void count_action(SharedMemory memory) { ++counts_of(memory).actions; }

void pass_barrier(Barrier barrier, SharedMemory memory, int rounds) {
  for (int round = 1; round <= rounds; ++round) {
    const std::size_t index = barrier.wait();
    if (index >= barrier.parties()) std::exit(1);
    const int actions = counts_of(memory).actions;
    if (actions != round && actions != round + 1) std::exit(2);
  }
}

TEST_P(SyncProcessTest, ABarrierReleasesProcessesRoundAfterRound) {
  constexpr int kRounds = 300;
  const SharedMemory memory(sizeof(Counts));
  Barrier barrier(3, call(count_action, memory));
  Process first(pass_barrier, barrier, memory, kRounds);
  Process second(pass_barrier, barrier, memory, kRounds);
  first.start();
  second.start();
  for (int round = 0; round < kRounds; ++round) (void)barrier.wait();
  first.join();
  second.join();
  EXPECT_EQ(first.exitcode(), 0);
  EXPECT_EQ(second.exitcode(), 0);
  EXPECT_EQ(counts_of(memory).actions, kRounds);
}

void wait_at(Barrier barrier) {
  try {
    (void)barrier.wait();
  } catch (const BrokenBarrier&) {
    std::exit(3);
  }
}

TEST_P(SyncProcessTest, AKilledPartyBreaksABarrierForTheRest) {
  Barrier barrier(3);
  Process victim(wait_at, barrier), survivor(wait_at, barrier);
  victim.start();
  survivor.start();
  while (barrier.waiting() != 2) std::this_thread::yield();
  victim.kill();
  victim.join();
  survivor.join();
  EXPECT_EQ(survivor.exitcode(), 3);
  EXPECT_THROW((void)barrier.wait(), BrokenBarrier);
}

TEST_P(SyncProcessTest, AbortAndResetReachOtherProcesses) {
  Barrier barrier(2);
  Process first(wait_at, barrier), second(wait_at, barrier);
  first.start();
  while (barrier.waiting() != 1) std::this_thread::yield();
  barrier.reset();
  first.join();
  EXPECT_EQ(first.exitcode(), 3);
  second.start();
  while (barrier.waiting() != 1) std::this_thread::yield();
  barrier.abort();
  second.join();
  EXPECT_EQ(second.exitcode(), 3);
}

struct Tools {
  Semaphore semaphore;
  Condition condition;
  Barrier barrier;
};

void use_tools(Connection<int, Tools> connection) {
  Tools tools = connection.recv();
  tools.condition.notify_all();
  tools.semaphore.release();
  (void)tools.barrier.wait();
}

TEST_P(SyncProcessTest, AllCanBeSentOverAConnection) {
  Pipe<Tools, int> pipe;
  Tools tools{Semaphore(0), Condition(), Barrier(2)};
  Process child(use_tools, std::move(pipe.second));
  child.start();
  pipe.first.send(tools);
  tools.semaphore.acquire();
  (void)tools.barrier.wait();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

}  // namespace
}  // namespace tandem
