/// \file
/// The one time type behind every timeout: an absolute point of the steady clock, or never.
#pragma once

#include <chrono>
#include <limits>

namespace tandem {

/// What timeouts are measured in; longer or shorter units convert.
using duration = std::chrono::nanoseconds;

namespace detail {

/// When to give up. Saturating: any duration and any steady time point can be turned into one
/// without overflow; what lies beyond the clock's range is `never`.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] static constexpr Deadline never() noexcept { return Deadline(kNever); }
  /// Already past: try once.
  [[nodiscard]] static constexpr Deadline now() noexcept { return Deadline(kPast); }

  template <class Rep, class Period>
  [[nodiscard]] static Deadline after(std::chrono::duration<Rep, Period> d) {
    using Seconds = std::chrono::duration<long double>;
    if (!(d > d.zero())) return now();
    const long double seconds = std::chrono::duration_cast<Seconds>(d).count();
    if (!(seconds < kLongestSeconds)) return never();
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
    const long long start = now_ns();
    return Deadline(ns > kNever - start ? kNever : start + ns);
  }

  template <class Duration>
  [[nodiscard]] static Deadline at(std::chrono::time_point<Clock, Duration> tp) {
    using Seconds = std::chrono::duration<long double>;
    const long double seconds = std::chrono::duration_cast<Seconds>(tp.time_since_epoch()).count();
    if (!(seconds > 0)) return now();
    if (!(seconds < kLongestSeconds)) return never();
    return Deadline(
        std::chrono::duration_cast<std::chrono::nanoseconds>(tp.time_since_epoch()).count());
  }

  [[nodiscard]] constexpr bool is_never() const noexcept { return ns_ == kNever; }
  /// True for `now()`: the caller asks for one try and no look at the clock.
  [[nodiscard]] constexpr bool is_now() const noexcept { return ns_ == kPast; }
  [[nodiscard]] bool passed() const { return is_now() || (!is_never() && now_ns() >= ns_); }
  /// Nanoseconds of CLOCK_MONOTONIC.
  [[nodiscard]] constexpr long long ns() const noexcept { return ns_; }
  /// Time left, zero when passed; the longest duration when never.
  [[nodiscard]] duration left() const {
    if (is_never()) return duration::max();
    const long long left_ns = ns_ - now_ns();
    return duration(left_ns > 0 ? left_ns : 0);
  }
  [[nodiscard]] constexpr Deadline earlier(Deadline other) const noexcept {
    return ns_ < other.ns_ ? *this : other;
  }

 private:
  static constexpr long long kNever = std::numeric_limits<long long>::max();
  static constexpr long long kPast = 0;
  static constexpr long double kLongestSeconds = 9.0e9L;

  constexpr explicit Deadline(long long ns) noexcept : ns_(ns) {}
  [[nodiscard]] static long long now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
        .count();
  }

  long long ns_;
};

}  // namespace detail
}  // namespace tandem
