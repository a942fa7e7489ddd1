// A coarse and very cheap clock, to do something "at most every few microseconds".
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#else
#include <chrono>
#endif

namespace tandem::os {

#if defined(__x86_64__)
/// Counts of the time stamp counter: 1 to 5 in a nanosecond.
[[nodiscard]] inline std::uint64_t ticks() noexcept { return __rdtsc(); }
inline constexpr std::uint64_t kTicksPerMicrosecond = 2500;
#else
[[nodiscard]] inline std::uint64_t ticks() noexcept {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                    std::chrono::nanoseconds(1));
}
inline constexpr std::uint64_t kTicksPerMicrosecond = 1000;
#endif

}  // namespace tandem::os
