#include "tandem/condition.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <concepts>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "support/cross.hpp"
#include "support/forked.hpp"
#include "support/proc.hpp"
#include "support/random.hpp"
#include "tandem/error.hpp"
#include "tandem/memory.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using test::Forked;
using test::Step;

template <class L>
concept TimedLockable = requires(L lock, std::chrono::steady_clock::time_point time) {
  lock.lock();
  lock.unlock();
  { lock.try_lock() } -> std::same_as<bool>;
  { lock.try_lock_for(1s) } -> std::same_as<bool>;
  { lock.try_lock_until(time) } -> std::same_as<bool>;
};
static_assert(TimedLockable<Lock> && TimedLockable<RLock>);

template <class L>
class ConditionTest : public testing::Test {
 protected:
  using Guard = std::unique_lock<L>;

  /// Returns once that many wait for `condition_`, by which the lock is free again.
  void await_waiting(int n) {
    for (;;) {
      {
        const Guard guard(lock_);
        if (waiting_ >= n) return;
      }
      std::this_thread::yield();
    }
  }
  void wait_once() {
    Guard guard(lock_);
    ++waiting_;
    condition_.wait(guard);
    --waiting_;
    EXPECT_TRUE(guard.owns_lock());
  }

  L lock_;
  Condition condition_;
  SharedMemory memory_{sizeof(int)};
  int& waiting_ = memory_.span<int>()[0];
};

struct NameOfLock {
  template <class L>
  static std::string GetName(int) {
    return std::is_same_v<L, Lock> ? "Lock" : "RLock";
  }
};
using Locks = testing::Types<Lock, RLock>;
TYPED_TEST_SUITE(ConditionTest, Locks, NameOfLock);

TYPED_TEST(ConditionTest, NotifyOneWakesOneAndNotifyAllTheRest) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([this] { this->wait_once(); });
  this->await_waiting(4);
  this->condition_.notify_one();
  for (;;) {
    const std::unique_lock guard(this->lock_);
    if (this->waiting_ < 4) break;
  }
  // Longer than a sleeper's slice: nobody takes a notification twice, or one that is not there.
  Condition never;
  {
    std::unique_lock guard(this->lock_);
    EXPECT_FALSE(never.wait_for(guard, 120ms));
    EXPECT_EQ(this->waiting_, 3);
  }
  this->condition_.notify_all();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(this->waiting_, 0);
}

TYPED_TEST(ConditionTest, WaitsUntilThePredicateIsTrue) {
  bool ready = false;
  std::thread waiter([&] {
    std::unique_lock guard(this->lock_);
    ++this->waiting_;
    this->condition_.wait(guard, [&] { return ready; });
    EXPECT_TRUE(ready);
  });
  this->await_waiting(1);
  this->condition_.notify_all();
  {
    const std::unique_lock guard(this->lock_);
    ready = true;
  }
  this->condition_.notify_one();
  waiter.join();
}

TYPED_TEST(ConditionTest, GivesUpAfterTheTimeWithTheLockHeld) {
  std::unique_lock guard(this->lock_);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(this->condition_.wait_for(guard, 70ms));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 70ms);
  EXPECT_FALSE(this->condition_.wait_until(guard, start));
  EXPECT_FALSE(this->condition_.wait_for(guard, -1h, [] { return false; }));
  EXPECT_TRUE(this->condition_.wait_for(guard, 0s, [] { return true; }));
  EXPECT_FALSE(this->condition_.wait_until(guard, start, [] { return false; }));
  EXPECT_TRUE(guard.owns_lock());
  EXPECT_EQ(guard.mutex(), &this->lock_);
}

TYPED_TEST(ConditionTest, AWaitThatTimedOutDoesNotEatALaterNotify) {
  std::thread waiter;
  {
    std::unique_lock guard(this->lock_);
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(this->condition_.wait_for(guard, 0s));
    waiter = std::thread([this] { this->wait_once(); });
  }
  this->await_waiting(1);
  this->condition_.notify_one();
  waiter.join();
}

TYPED_TEST(ConditionTest, ANotificationWithoutWaitersIsForgotten) {
  this->condition_.notify_one();
  this->condition_.notify_all();
  std::unique_lock guard(this->lock_);
  EXPECT_FALSE(this->condition_.wait_for(guard, 1ms));
}

TYPED_TEST(ConditionTest, WaitingWithoutTheLockIsAnError) {
  std::unique_lock guard(this->lock_, std::defer_lock);
  try {
    this->condition_.wait(guard);
    FAIL();
  } catch (const SystemError& error) {
    EXPECT_EQ(error.code().value(), EPERM);
  }
  guard.lock();
  guard.unlock();
}

// A party that waits again at once must not take the notification meant for one that has waited
// longer.
TYPED_TEST(ConditionTest, NotifyAllReachesEverybodyWhoWaited) {
  constexpr int kRounds = 300, kThreads = 3;
  int round = 0;
  int seen[kThreads] = {};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      std::unique_lock guard(this->lock_);
      while (seen[i] < kRounds) {
        this->condition_.wait(guard, [&] { return seen[i] < round; });
        seen[i] = round;
        this->condition_.notify_all();
      }
    });
  }
  {
    std::unique_lock guard(this->lock_);
    while (round < kRounds) {
      ++round;
      this->condition_.notify_all();
      this->condition_.wait(guard, [&] {
        return std::all_of(seen, seen + kThreads, [&](int value) { return value == round; });
      });
    }
  }
  for (auto& thread : threads) thread.join();
}

TYPED_TEST(ConditionTest, AWaiterKilledWhileItWaitsHarmsNobody) {
  std::vector<std::unique_ptr<Forked>> victims;
  for (int i = 0; i < 3; ++i) {
    victims.push_back(std::make_unique<Forked>([this] {
      this->wait_once();
      return 0;
    }));
  }
  this->await_waiting(3);
  // Stopped, so that notifications may go to them and are not taken.
  for (auto& victim : victims) ::kill(victim->pid(), SIGSTOP);
  Forked survivor([this] {
    this->wait_once();
    return 0;
  });
  this->await_waiting(4);
  for (int i = 0; i < 4; ++i) this->condition_.notify_one();
  for (auto& victim : victims) victim->kill();
  EXPECT_EQ(survivor.wait(), 0);
  // What the dead left behind is no notification for those who come later.
  std::unique_lock guard(this->lock_);
  EXPECT_FALSE(this->condition_.wait_for(guard, 60ms));
}

TYPED_TEST(ConditionTest, TheDeathOfTheLocksHolderReachesWhoWaits) {
  Step holds;
  std::unique_lock guard(this->lock_);
  Forked holder([&] {
    std::unique_lock inner(this->lock_);
    holds.done();
    for (;;) ::pause();
    return 0;
  });
  std::thread killer([&] {
    holds.await();
    holder.kill();
  });
  EXPECT_THROW(this->condition_.wait(guard), OwnerDied);
  killer.join();
  EXPECT_FALSE(guard.owns_lock());
  EXPECT_EQ(guard.mutex(), &this->lock_);
  EXPECT_TRUE(this->lock_.recover());
  guard = std::unique_lock(this->lock_, std::adopt_lock);
  EXPECT_FALSE(this->condition_.wait_for(guard, 1ms));
}

TEST(ConditionRLockTest, IsReleasedWhollyAndRestored) {
  RLock lock;
  Condition condition;
  const std::unique_lock outer(lock);
  const std::unique_lock middle(lock);
  std::unique_lock inner(lock);
  bool ready = false;
  std::thread other([&] {
    const std::unique_lock guard(lock);
    ready = true;
    condition.notify_one();
  });
  condition.wait(inner, [&] { return ready; });
  other.join();
  lock.unlock();
  lock.unlock();
  EXPECT_FALSE(std::invoke([&] {
    bool got = false;
    std::thread([&] { got = lock.try_lock(); }).join();
    return got;
  }));
  lock.lock();
  lock.lock();
}

TEST(ConditionCrossTest, CrossesToProcessesAndOverConnectionsOnly) {
  Condition condition;
  const Condition other = test::cross(condition, detail::Route::connection);
  EXPECT_EQ(other.name(), condition.name());
  EXPECT_THROW((void)test::cross(condition, detail::Route::queue), NotSendable);
}

// A bounded buffer, the textbook's use, against a plain count of what went in and came out.
TYPED_TEST(ConditionTest, CarriesABoundedBuffer) {
  constexpr int kItems = 2'000;
  constexpr std::size_t kMost = 3;
  Condition not_full, not_empty;
  std::vector<int> buffer;
  std::atomic<long> sum{0};
  const auto put = [&] {
    for (int i = 1; i <= kItems; ++i) {
      std::unique_lock guard(this->lock_);
      not_full.wait(guard, [&] { return buffer.size() < kMost; });
      buffer.push_back(i);
      not_empty.notify_one();
    }
  };
  const auto get = [&] {
    for (int i = 1; i <= kItems; ++i) {
      std::unique_lock guard(this->lock_);
      not_empty.wait(guard, [&] { return !buffer.empty(); });
      sum += buffer.back();
      buffer.pop_back();
      not_full.notify_one();
    }
  };
  std::thread first(put), second(put), third(get), fourth(get);
  for (std::thread* thread : {&first, &second, &third, &fourth}) thread->join();
  EXPECT_EQ(sum, 1L * kItems * (kItems + 1));
  EXPECT_TRUE(buffer.empty());
}

}  // namespace
}  // namespace tandem
