// Processes that do the same work on one shared object for ever, of which one after the other is stopped for
// a moment, or killed and replaced by another.
//
//     Crew crew(&work, object, seed());        // void work(Object, SharedMemory, std::size_t place)
//     crew.storm(rounds);
//     crew.end();
//     EXPECT... crew.rounds(), crew.kills(), crew.ledger()
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <thread>

#include "support/random.hpp"
#include "support/supervisor.hpp"
#include "tandem/memory.hpp"
#include "tandem/process.hpp"

namespace tandem::test {

inline constexpr std::size_t kCrew = 3;
inline constexpr int kStormRounds = kTsan || kAsan ? 3 : 8;

/// What a crew has in common beside its object; zero-filled is the beginning. Those that need more are
/// derived from it.
struct Ledger {
  std::array<std::atomic<long>, kCrew>
      done;  // rounds told of, by those who had the place before too
};

template <class L = Ledger>
L& ledger_in(const SharedMemory& memory) {
  return memory.span<L>()[0];
}

template <class Object, class L = Ledger>
class Crew {
 public:
  using Work = void (*)(Object, SharedMemory, std::size_t place);

  Crew(Work work, Object object, std::uint64_t seed)
      : work_(work), object_(std::move(object)), random_(seed) {
    for (std::size_t i = 0; i < kCrew; ++i) start(i);
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  ~Crew() { end(); }

  [[nodiscard]] L& ledger() const { return ledger_in<L>(memory_); }
  [[nodiscard]] long kills() const { return kills_; }
  /// Of all, as far as they have told.
  [[nodiscard]] long rounds() const {
    long sum = 0;
    for (const auto& done : ledger().done) sum += done.load(std::memory_order_relaxed);
    return sum;
  }

  /// Returns once each place has done another round; the watchdog says which of them never does.
  void see_all_at_work() const {
    see_all_at_work([] {});
  }
  /// \param meanwhile called again and again
  template <class Meanwhile>
  void see_all_at_work(Meanwhile meanwhile) const {
    for (std::size_t i = 0; i < kCrew; ++i) {
      const std::atomic<long>& done = ledger().done[i];
      const long before = done.load(std::memory_order_relaxed);
      await([&] {
        meanwhile();
        return done.load(std::memory_order_relaxed) != before;
      });
    }
  }
  /// Waits for what the survivors are to bring about.
  template <class Condition>
  void await(Condition condition) const {
    while (!condition()) {
      if (somebody_ended()) return;
      std::this_thread::yield();
    }
  }

  /// Stops one for a moment, or kills it. \returns its place, which is free, if it was killed
  std::optional<std::size_t> strike() {
    const std::size_t which = random_() % kCrew;
    if (!strike_within(workers_[which]->pid(), std::chrono::microseconds(300), random_)) return {};
    bury(which);
    return which;
  }
  void start(std::size_t place) {
    workers_[place] = std::make_unique<Process>(work_, object_, memory_, place);
    workers_[place]->start();
  }
  void strike_and_replace() {
    if (const auto free = strike()) start(*free);
  }

  void storm(int strikes) {
    for (int i = 0; i < strikes && !testing::Test::HasFatalFailure(); ++i) {
      see_all_at_work();
      strike_and_replace();
    }
    see_all_at_work();
  }

  /// Kills all.
  void end() {
    for (std::size_t i = 0; i < kCrew; ++i) {
      if (workers_[i] == nullptr) continue;
      workers_[i]->kill();
      bury(i);
    }
  }

 private:
  // By itself, which none should. A fatal failure, which only a function that returns nothing can have.
  [[nodiscard]] bool somebody_ended() const {
    for (const auto& worker : workers_) {
      if (worker == nullptr || worker->is_alive()) continue;
      [&] { FAIL() << worker->name() << ": exit code " << *worker->exitcode(); }();
      return true;
    }
    return false;
  }
  void bury(std::size_t place) {
    workers_[place]->join();
    EXPECT_EQ(workers_[place]->exitcode(), -SIGKILL) << "place " << place;
    workers_[place].reset();
    ++kills_;
  }

  Work work_;
  Object object_;
  SharedMemory memory_{sizeof(L)};
  std::mt19937_64 random_;
  std::array<std::unique_ptr<Process>, kCrew> workers_;
  long kills_ = 0;
};

}  // namespace tandem::test
