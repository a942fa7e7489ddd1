// Processes that use a semaphore, a condition, a barrier or a shared value are stopped and killed at random
// instants: the others go on, and what is left is what the contract says, to the last permit.
#include "tandem/sync.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>

#include "stress/crew.hpp"
#include "support/start_methods.hpp"
#include "tandem/error.hpp"
#include "tandem/value.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;

using SyncKillTest = StartMethodTest;
TANDEM_OVER_START_METHODS(SyncKillTest);

// --- Semaphore: what is missing is what the killed had ---

enum class Phase : int { without, asks, has, gives };

struct Permits : Ledger {
  std::atomic<long> pause;                    // odd: everybody is to say so and wait
  std::array<std::atomic<long>, kCrew> seen;  // of `pause`
  std::array<std::atomic<Phase>, kCrew> phase;
};

template <class S>
void take_and_give(S semaphore, SharedMemory memory, std::size_t place) {
  auto& permits = ledger_in<Permits>(memory);
  std::atomic<Phase>& phase = permits.phase[place];
  for (;;) {
    phase = Phase::asks;
    semaphore.acquire();
    phase = Phase::has;
    phase = Phase::gives;
    semaphore.release();
    phase = Phase::without;
    permits.done[place].fetch_add(1, std::memory_order_relaxed);
    for (long pause = permits.pause; pause % 2 == 1; pause = permits.pause) {
      permits.seen[place] = pause;
      std::this_thread::yield();
    }
  }
}

template <class S>
void permits_storm() {
  constexpr std::size_t kPermits =
      2;  // one more than can be lost at a time, one less than there are places
  S semaphore(kPermits);
  Crew<S, Permits> crew(&take_and_give<S>, semaphore, seed());
  Permits& permits = crew.ledger();
  for (int round = 0; round < kStormRounds && !testing::Test::HasFailure(); ++round) {
    crew.see_all_at_work();
    const auto killed = crew.strike();
    if (!killed) continue;
    const long pause = ++permits.pause;
    crew.await([&] {
      for (std::size_t i = 0; i < kCrew; ++i) {
        if (i != *killed && permits.seen[i] != pause) return false;
      }
      return true;
    });
    const std::size_t lost = kPermits - semaphore.value();
    switch (permits.phase[*killed]) {
      case Phase::without:
        EXPECT_EQ(lost, 0U);
        break;
      case Phase::has:
        EXPECT_EQ(lost, 1U);
        break;
      case Phase::asks:
      case Phase::gives:
        EXPECT_LE(lost, 1U);
    }
    permits.phase[*killed] = Phase::without;
    semaphore.release(lost);
    ++permits.pause;
    crew.start(*killed);
  }
  crew.see_all_at_work();
}

TEST_P(SyncKillTest, HoldersAndWaitersOfASemaphore) { permits_storm<Semaphore>(); }

TEST_P(SyncKillTest, HoldersAndWaitersOfABoundedSemaphore) { permits_storm<BoundedSemaphore>(); }

// --- Condition: every notification reaches one who lives ---

template <class L>
struct Office {
  L lock;
  Condition changed;

  template <class F>
  void with_lock(F f) {
    for (;;) {
      try {
        const std::scoped_lock guard(lock);
        f();
        return;
      } catch (const OwnerDied&) {
        recover();
      }
    }
  }
  // What the dead one had been notified of it may not have done.
  void recover() {
    if (!lock.recover()) return;
    changed.notify_all();
    lock.unlock();
  }
};

struct Mails : Ledger {
  // Guarded by the lock. Each changes in one step: there is nothing to mend.
  std::atomic<long> waiting, called;
  std::array<std::atomic<long>, kCrew> heard;  // of `called`
};

template <class L>
void take_mails(Office<L> office, SharedMemory memory, std::size_t place) {
  auto& mails = ledger_in<Mails>(memory);
  for (;;) {
    try {
      std::unique_lock guard(office.lock);
      for (;;) {
        office.changed.wait(
            guard, [&] { return mails.waiting != 0 || mails.heard[place] != mails.called; });
        if (mails.waiting != 0) {
          --mails.waiting;
        } else {
          mails.heard[place] = mails.called.load();
        }
      }
    } catch (const OwnerDied&) {
      office.recover();
    }
  }
}

template <class L>
void mails_storm() {
  Office<L> office;
  Crew<Office<L>, Mails> crew(&take_mails<L>, office, seed());
  Mails& mails = crew.ledger();
  const auto post = [&] {
    office.with_lock([&] {
      ++mails.waiting;
      office.changed.notify_one();
    });
  };
  for (int round = 0; round < kStormRounds && !testing::Test::HasFatalFailure(); ++round) {
    office.with_lock([&] {
      ++mails.called;
      office.changed.notify_all();
    });
    crew.await([&] {
      return std::all_of(mails.heard.begin(), mails.heard.end(),
                         [&](const auto& heard) { return heard == mails.called; });
    });
    for (int i = 0; i < 20; ++i) {
      post();
      crew.await([&] { return mails.waiting == 0; });
    }
    post();
    const auto killed = crew.strike();
    post();
    crew.await([&] { return mails.waiting == 0; });  // by those who are left
    if (killed) crew.start(*killed);
  }
}

TEST_P(SyncKillTest, WaitersOfAConditionWithALock) { mails_storm<Lock>(); }

TEST_P(SyncKillTest, WaitersOfAConditionWithAnRLock) { mails_storm<RLock>(); }

// --- Barrier: no round without everybody, none with a dead one ---

constexpr int kReleasedTooEarly = 3;

struct Gathering : Ledger {
  std::atomic<long> actions;
  std::array<std::atomic<long>, kCrew> came;      // for which round
  std::array<std::atomic<long>, kCrew> by_index;  // how often it was given
};

void count_action(SharedMemory actions) { ledger_in<Gathering>(actions).actions.fetch_add(1); }

struct Meeting {
  Barrier barrier;
  SharedMemory actions;
};

void meet(Meeting meeting, SharedMemory memory, std::size_t place) {
  auto& gathering = ledger_in<Gathering>(memory);
  const auto& actions = ledger_in<Gathering>(meeting.actions).actions;
  for (;;) {
    const long round = actions + 1;
    gathering.came[place] = round;
    try {
      const std::size_t index = meeting.barrier.wait();
      for (const auto& came : gathering.came) {
        if (came < round) std::exit(kReleasedTooEarly);
      }
      if (actions < round) std::exit(kReleasedTooEarly);
      gathering.by_index.at(index).fetch_add(1);
      gathering.done[place].fetch_add(1, std::memory_order_relaxed);
    } catch (const BrokenBarrier&) {
      std::this_thread::yield();  // until it is reset
    }
  }
}

TEST_P(SyncKillTest, PartiesOfABarrier) {
  const SharedMemory actions(sizeof(Gathering));
  Barrier barrier(kCrew, call(count_action, actions));
  Crew<Meeting, Gathering> crew(&meet, {barrier, actions}, seed());
  Gathering& gathering = crew.ledger();
  const auto reset_if_broken = [&] {
    if (barrier.broken()) barrier.reset();
  };
  for (int round = 0; round < kStormRounds && !HasFatalFailure(); ++round) {
    crew.see_all_at_work(reset_if_broken);
    crew.strike_and_replace();
  }
  crew.see_all_at_work(reset_if_broken);
  crew.end();
  // Each index once in each round, but for those who died with it.
  const auto [least, most] = std::minmax_element(
      gathering.by_index.begin(), gathering.by_index.end(),
      [](const auto& one, const auto& other) { return one.load() < other.load(); });
  EXPECT_LE(most->load() - least->load(), crew.kills());
  const long ran = ledger_in<Gathering>(actions).actions;
  EXPECT_LE(most->load(), ran);
  EXPECT_GE(most->load(), ran - crew.kills());
}

// --- Value: whole, and nothing lost that somebody was told of ---

void count(Value<long> value, SharedMemory memory, std::size_t place) {
  for (;;) {
    value.fetch_add(1);
    ledger_in(memory).done[place].fetch_add(1, std::memory_order_release);
  }
}

constexpr int kTorn = 3;

using Wide = std::array<std::uint64_t, 50>;

bool whole(const Wide& wide) {
  return std::adjacent_find(wide.begin(), wide.end(), std::not_equal_to()) == wide.end();
}

void count_all_words(Value<Wide> value, SharedMemory memory, std::size_t place) {
  for (;;) {
    value.update([](Wide wide) {
      if (!whole(wide)) std::exit(kTorn);
      for (std::uint64_t& word : wide) ++word;
      return wide;
    });
    ledger_in(memory).done[place].fetch_add(1, std::memory_order_release);
    if (!whole(value.load())) std::exit(kTorn);
  }
}

template <class T, class Count>
void counted_storm(void (*work)(Value<T>, SharedMemory, std::size_t), Count counted) {
  Value<T> value(T{});
  Crew crew(work, value, seed());
  crew.storm(kStormRounds);
  crew.end();
  const long sum = counted(value.load());
  EXPECT_GE(sum, crew.rounds());
  EXPECT_LE(sum, crew.rounds() + crew.kills());
}

TEST_P(SyncKillTest, ThoseWhoCountInAValue) {
  counted_storm<long>(&count, [](long sum) { return sum; });
}

TEST_P(SyncKillTest, ThoseWhoChangeAValueOfManyWords) {
  counted_storm<Wide>(&count_all_words, [](const Wide& wide) {
    EXPECT_TRUE(whole(wide));
    return static_cast<long>(wide.front());
  });
}

}  // namespace
}  // namespace tandem::test
