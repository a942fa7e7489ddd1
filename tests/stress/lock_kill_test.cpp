// Processes that take a lock, or set an event and wait for it, are stopped and killed at random instants: the
// others go on, and are told of every death that left something half done.
#include <gtest/gtest.h>

#include <concepts>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "stress/crew.hpp"
#include "support/start_methods.hpp"
#include "tandem/error.hpp"
#include "tandem/event.hpp"
#include "tandem/lock.hpp"
#include "tandem/rlock.hpp"

namespace tandem::test {
namespace {

using LockKillTest = StartMethodTest;
TANDEM_OVER_START_METHODS(LockKillTest);

constexpr int kTornUnseen = 3;

struct Pair : Ledger {
  volatile long first, second;  // guarded by the lock, equal whenever nobody is inside
};

// Held, and what a dead one left is mended.
template <class L>
void lock_and_mend(L& lock, Pair& pair) {
  for (;;) {
    try {
      lock.lock();
      return;
    } catch (const OwnerDied&) {
      if (!lock.recover()) continue;
      pair.second = pair.first;
      return;
    }
  }
}

template <class L>
void take_turns(L lock, SharedMemory memory, std::size_t place) {
  auto& pair = ledger_in<Pair>(memory);
  for (;;) {
    lock_and_mend(lock, pair);
    if (pair.first != pair.second) std::exit(kTornUnseen);
    pair.first = pair.first + 1;
    if constexpr (std::same_as<L, RLock>) const std::scoped_lock inner(lock);
    std::this_thread::yield();  // where a death is seen
    pair.second = pair.second + 1;
    lock.unlock();
    pair.done[place].fetch_add(1, std::memory_order_relaxed);
  }
}

template <class L>
void storm() {
  L lock;
  Crew<L, Pair> crew(&take_turns<L>, lock, seed());
  crew.storm(kStormRounds);
  crew.end();
  lock_and_mend(lock, crew.ledger());
  // Who was killed may have had a turn that it told nobody of.
  EXPECT_EQ(crew.ledger().first, crew.ledger().second);
  EXPECT_GE(crew.ledger().first, crew.rounds());
  EXPECT_LE(crew.ledger().first, crew.rounds() + crew.kills());
  lock.unlock();
}

TEST_P(LockKillTest, HoldersAndWaitersOfALock) { storm<Lock>(); }

TEST_P(LockKillTest, HoldersAndWaitersOfAnRLock) { storm<RLock>(); }

void wait_again_and_again(Event go, SharedMemory memory, std::size_t place) {
  for (;;) {
    go.wait();
    ledger_in(memory).done[place].fetch_add(1, std::memory_order_relaxed);
  }
}

TEST_P(LockKillTest, WaitersOfAnEvent) {
  Event go;
  Crew crew(&wait_again_and_again, go, seed());
  for (int round = 0; round < kStormRounds && !HasFatalFailure(); ++round) {
    go.set();
    crew.see_all_at_work();
    go.clear();
    crew.strike_and_replace();  // mostly while it waits
  }
  go.set();
  crew.see_all_at_work();
}

void set_and_clear(Event go, SharedMemory memory, std::size_t place) {
  for (;;) {
    go.set();
    ledger_in(memory).done[place].fetch_add(1, std::memory_order_relaxed);
    go.clear();
  }
}

TEST_P(LockKillTest, ThoseWhoSetAnEvent) {
  Event go;
  Crew crew(&set_and_clear, go, seed());
  for (int round = 0; round < kStormRounds && !HasFatalFailure(); ++round) {
    go.wait();  // two of them live, whoever was killed
    crew.strike_and_replace();
  }
  crew.see_all_at_work();
}

}  // namespace
}  // namespace tandem::test
