// Processes that take a lock, or wait for an event, are killed at random instants: the others go on,
// and are told of every death that left something half done.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>

#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "tandem/error.hpp"
#include "tandem/event.hpp"
#include "tandem/lock.hpp"
#include "tandem/process.hpp"
#include "tandem/rlock.hpp"
#include "tandem/shared_memory.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;

using LockKillTest = StartMethodTest;
TANDEM_OVER_START_METHODS(LockKillTest);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kRounds = 5;
#else
constexpr int kRounds = 15;
#endif
constexpr std::size_t kWorkers = 3;
constexpr int kTornUnseen = 3;

/// Zero-filled is the beginning.
struct Ledger {
  volatile long first, second;  // guarded by the lock, equal whenever nobody is inside
  std::array<std::atomic<long>, kWorkers> rounds;
};
Ledger& ledger_in(const SharedMemory& memory) { return memory.span<Ledger>()[0]; }

template <class L>
void take_turns(L lock, SharedMemory memory, std::size_t self) {
  Ledger& ledger = ledger_in(memory);
  for (;;) {
    try {
      lock.lock();
    } catch (const OwnerDied&) {
      if (!lock.recover()) continue;
      ledger.second = ledger.first;
    }
    if (ledger.first != ledger.second) std::exit(kTornUnseen);
    ledger.first = ledger.first + 1;
    ledger.second = ledger.second + 1;
    lock.unlock();
    ledger.rounds[self].fetch_add(1, std::memory_order_relaxed);
  }
}

void wait_again_and_again(Event go, SharedMemory memory, std::size_t self) {
  for (;;) {
    go.wait();
    ledger_in(memory).rounds[self].fetch_add(1, std::memory_order_relaxed);
  }
}

/// kWorkers processes, one of which is killed and replaced at a time.
template <class Target, class Object>
class Crew {
 public:
  Crew(Target target, Object object) : target_(target), object_(object) {
    for (std::size_t i = 0; i < kWorkers; ++i) start(i);
  }
  ~Crew() {
    for (const auto& worker : workers_) worker->kill();
  }
  /// Returns once each has done something; the watchdog says which of them never does.
  void see_all_at_work() const {
    for (std::size_t i = 0; i < kWorkers; ++i) {
      const std::atomic<long>& rounds = ledger_in(memory_).rounds[i];
      const long before = rounds.load(std::memory_order_relaxed);
      while (rounds.load(std::memory_order_relaxed) == before) {
        ASSERT_TRUE(workers_[i]->is_alive()) << "exit code " << *workers_[i]->exitcode();
        std::this_thread::yield();
      }
    }
  }
  void kill_one(std::mt19937_64& random) {
    const std::size_t which = random() % kWorkers;
    kill_within(workers_[which]->pid(), 300us, random);
    workers_[which]->join();
    EXPECT_EQ(workers_[which]->exitcode(), -SIGKILL);
    start(which);
  }
  [[nodiscard]] const SharedMemory& memory() const { return memory_; }

 private:
  void start(std::size_t i) {
    workers_[i] = std::make_unique<Process>(target_, object_, memory_, i);
    workers_[i]->start();
  }

  Target target_;
  Object object_;
  SharedMemory memory_{sizeof(Ledger)};
  std::array<std::unique_ptr<Process>, kWorkers> workers_;
};

template <class L>
void storm() {
  std::mt19937_64 random(seed());
  Crew crew(&take_turns<L>, L());
  for (int round = 0; round < kRounds && !testing::Test::HasFatalFailure(); ++round) {
    crew.see_all_at_work();
    crew.kill_one(random);
  }
  crew.see_all_at_work();
}

TEST_P(LockKillTest, HoldersAndWaitersOfALock) { storm<Lock>(); }

TEST_P(LockKillTest, HoldersAndWaitersOfAnRLock) { storm<RLock>(); }

TEST_P(LockKillTest, WaitersOfAnEvent) {
  std::mt19937_64 random(seed());
  Event go;
  Crew crew(&wait_again_and_again, go);
  for (int round = 0; round < kRounds && !HasFatalFailure(); ++round) {
    go.set();
    crew.see_all_at_work();
    go.clear();
    crew.kill_one(random);  // mostly while it waits
  }
  go.set();
  crew.see_all_at_work();
}

void set_and_clear(Event go, SharedMemory memory, std::size_t self) {
  for (;;) {
    go.set();
    ledger_in(memory).rounds[self].fetch_add(1, std::memory_order_relaxed);
    go.clear();
  }
}

TEST_P(LockKillTest, ThoseWhoSetAnEvent) {
  std::mt19937_64 random(seed());
  Event go;
  Crew crew(&set_and_clear, go);
  for (int round = 0; round < kRounds && !HasFatalFailure(); ++round) {
    go.wait();  // two of them live, whoever was killed
    crew.kill_one(random);
  }
  crew.see_all_at_work();
}

}  // namespace
}  // namespace tandem::test
