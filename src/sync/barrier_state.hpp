// What lies in the segment of a Barrier; sync/barrier.cpp has its invariants. Frozen.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "os/futex.hpp"
#include "os/robust_mutex.hpp"
#include "sync/header.hpp"

namespace tandem::sync {

enum class Broken : std::uint64_t { no, aborted, timed_out, party_died, action_failed };

/// BarrierState::state, read once.
class BarrierView {
 public:
  constexpr explicit BarrierView(std::uint64_t raw) noexcept : raw_(raw) {}
  [[nodiscard]] constexpr std::uint64_t raw() const noexcept { return raw_; }
  [[nodiscard]] constexpr std::uint32_t round() const noexcept {
    return static_cast<std::uint32_t>(raw_ >> 32);
  }
  [[nodiscard]] constexpr std::uint32_t arrived() const noexcept { return raw_ >> 8 & 0xff'ffff; }
  [[nodiscard]] constexpr bool complete() const noexcept { return (raw_ & kComplete) != 0; }
  [[nodiscard]] constexpr Broken broken() const noexcept { return Broken(raw_ & kWhy); }
  [[nodiscard]] constexpr bool is_broken() const noexcept { return broken() != Broken::no; }

  [[nodiscard]] constexpr BarrierView one_more(std::uint32_t parties) const noexcept {
    return BarrierView(raw_ + kOne + (arrived() + 1 == parties ? kComplete : 0));
  }
  [[nodiscard]] constexpr BarrierView broken_by(Broken why) const noexcept {
    return BarrierView((raw_ & ~kWhy) | static_cast<std::uint64_t>(why));
  }
  [[nodiscard]] constexpr BarrierView released() const noexcept { return at_round(round() + 1); }
  [[nodiscard]] constexpr BarrierView reset() const noexcept { return at_round(round() + 4); }
  friend constexpr bool operator==(BarrierView, BarrierView) noexcept = default;

 private:
  static constexpr std::uint64_t kWhy = 0x7f;
  static constexpr std::uint64_t kComplete = 0x80;
  static constexpr std::uint64_t kOne = 0x100;
  [[nodiscard]] static constexpr BarrierView at_round(std::uint32_t round) noexcept {
    return BarrierView(std::uint64_t{round} << 32);
  }

  std::uint64_t raw_;
};

struct alignas(64) BarrierState {  // two banks of `parties` seats follow
  Header header;
  std::uint32_t parties;                       // constant
  std::atomic<std::uint32_t> average_wait_ns;  // of whoever waited last; a hint
  std::int64_t timeout_ns;                     // constant; negative: none
  os::FutexWord bell;                          // grows after every change that ends a wait
  std::atomic<std::uint64_t> state;
  os::RobustMutex door;
};
static_assert(offsetof(BarrierState, parties) == 16 && offsetof(BarrierState, bell) == 32 &&
              offsetof(BarrierState, state) == 40 && offsetof(BarrierState, door) == 48);
struct alignas(64) Seat {
  os::RobustMutex mutex;
};
static_assert(sizeof(Seat) == 64 && sizeof(BarrierState) % alignof(Seat) == 0);

inline constexpr std::size_t kMostParties = 1 << 16;

}  // namespace tandem::sync
