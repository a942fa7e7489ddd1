// How long to look before sleeping. A wake-up costs tens of microseconds, a look costs nanoseconds, so
// waits that are short on average are spun through and long ones sleep at once.
#pragma once

#include <cstdint>

namespace tandem::os {

/// A hint to the CPU that this is a spin loop.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

/// CPUs this process may use: affinity and cgroup quota count. At least 1. Read once.
[[nodiscard]] unsigned usable_cpus();

/// One waiting place's memory of how long its waits were. Not shared between threads without a lock.
class SpinBudget {
 public:
  /// Spins until `done()` or the budget is used up. \returns done()
  template <class Done>
  [[nodiscard]] bool spin(Done done);
  /// Tells how long a wait took that went on to sleep.
  void slept(long long ns) noexcept { learn(ns); }
  /// Nanoseconds of CLOCK_MONOTONIC.
  [[nodiscard]] static long long now_ns() noexcept;

 private:
  void learn(long long waited_ns) noexcept {
    average_ns_ += (static_cast<double>(waited_ns) - average_ns_) / 8;
  }
  [[nodiscard]] long long budget_ns() const noexcept;

  double average_ns_ = 0;
};

template <class Done>
bool SpinBudget::spin(Done done) {
  // The first looks are free of any clock: most waits of a busy exchange end here.
  for (int i = 0; i < 64; ++i) {
    if (done()) return true;
    cpu_relax();
  }
  const long long budget = budget_ns();
  if (budget == 0) return false;
  const long long start = now_ns();
  for (;;) {
    for (int i = 0; i < 32; ++i) {
      if (done()) {
        learn(now_ns() - start);
        return true;
      }
      cpu_relax();
    }
    if (now_ns() - start > budget) return false;
  }
}

}  // namespace tandem::os
