// How long to look before sleeping. A wake-up costs tens of microseconds, a look costs nanoseconds,
// so waits that are short on average are spun through and long ones sleep at once.
#pragma once

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "tandem/detail/deadline.hpp"

namespace tandem::os {

/// A hint to the CPU that this is a spin loop.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

/// count_usable_cpus() as it was when this was first called.
[[nodiscard]] unsigned usable_cpus();

/// What a spin does between two looks, once the first few have found nothing.
enum class Between {
  relax,  // whom it waits for runs on another CPU
  yield,  // whom it waits for may be ready to run on this one
};

/// For SpinBudget::spin: the wait may end at any time.
struct NeverInVain {
  [[nodiscard]] constexpr bool operator()() const noexcept { return false; }
};

/// One waiting place's memory of how long its waits were. Not shared between threads without a
/// lock.
///
/// A wait that sleeps costs the wake-up, so it is worth spinning for about as long as that, but
/// only where waits have lately been short. Long waits count as kLongestCounted, so that a place
/// that was idle for hours needs some twenty short waits to spin again, not thousands; an idle one
/// gives up after the first few looks.
class SpinBudget {
 public:
  constexpr SpinBudget() noexcept = default;
  constexpr explicit SpinBudget(std::uint32_t average_ns) noexcept : average_ns_(average_ns) {}

  /// Spins until `done()`, the budget is used up, the deadline has passed, or `in_vain()` says that
  /// it cannot be done before the caller sleeps. \returns done()
  template <class Done, class InVain = NeverInVain>
  [[nodiscard]] bool spin(Done done, detail::Deadline deadline = detail::Deadline::never(),
                          Between between = Between::relax, InVain in_vain = {});
  /// Tells how long a wait took that went on to sleep.
  void slept(long long ns) noexcept { learn(ns); }
  /// For one that lives in shared memory between two waits.
  [[nodiscard]] std::uint32_t average_ns() const noexcept { return average_ns_; }
  /// Nanoseconds of CLOCK_MONOTONIC.
  [[nodiscard]] static long long now_ns() noexcept {
    return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  }

 private:
  static constexpr int kFreeLooks = 64;
  static constexpr int kLooksPerClock = 32;
  static constexpr std::uint32_t kLongestCounted = 1'000'000;
  static constexpr std::uint32_t kWorthSpinning = 100'000;  // two sleepers' round trip is below it
  static constexpr std::uint32_t kLeast = 50'000;           // one wake-up
  static constexpr std::uint32_t kMost = 100'000;

  // Far more than was lost. Where the peer cannot run while we spin (it shares our CPU, or all are
  // busy) the sleep that follows is short every time, and would have us spin every time.
  static constexpr std::uint32_t kSpunInVain = 500'000;

  void learn(long long waited_ns) noexcept {
    const std::uint32_t waited =
        waited_ns < kLongestCounted ? static_cast<std::uint32_t>(waited_ns) : kLongestCounted;
    average_ns_ = average_ns_ - average_ns_ / 8 + waited / 8;
  }
  [[nodiscard]] long long budget_ns() const noexcept {
    return average_ns_ < kWorthSpinning ? std::clamp(2 * average_ns_, kLeast, kMost) : 0;
  }

  std::uint32_t average_ns_ = 0;
};

template <class Done, class InVain>
bool SpinBudget::spin(Done done, detail::Deadline deadline, Between between, InVain in_vain) {
  if (done()) return true;
  if (usable_cpus() == 1 || in_vain()) return false;
  // These looks are free of any clock: most waits of a busy exchange end here.
  for (int i = 0; i < kFreeLooks; ++i) {
    cpu_relax();
    if (done()) {
      learn(0);
      return true;
    }
  }
  const long long budget = budget_ns();
  if (budget == 0) return false;
  const long long start = now_ns();
  const long long end = std::min(start + budget, deadline.ns());
  const int looks_per_clock = between == Between::yield ? 1 : kLooksPerClock;
  for (long long now = start; now < end; now = now_ns()) {
    if (in_vain()) return false;
    if (between == Between::yield) ::sched_yield();
    for (int i = 0; i < looks_per_clock; ++i) {
      if (done()) {
        learn(now_ns() - start);
        return true;
      }
      cpu_relax();
    }
  }
  learn(kSpunInVain);
  return false;
}

}  // namespace tandem::os
