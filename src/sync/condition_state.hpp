// What lies in the segment of a Condition; sync/condition.cpp has its invariants. Frozen.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "os/futex.hpp"
#include "sync/header.hpp"

namespace tandem::sync {

struct ConditionState {
  Header header;
  os::FutexWord bell;                          // grows after every notification
  std::atomic<std::uint32_t> average_wait_ns;  // of whoever waited last; a hint
  std::atomic<std::uint64_t> state;
};
static_assert(offsetof(ConditionState, bell) == 16 && offsetof(ConditionState, state) == 24);

/// ConditionState::state, read once.
class ConditionView {
 public:
  constexpr ConditionView() noexcept = default;
  constexpr explicit ConditionView(std::uint64_t raw) noexcept : raw_(raw) {}
  [[nodiscard]] constexpr std::uint64_t raw() const noexcept { return raw_; }
  [[nodiscard]] constexpr std::uint32_t notified() const noexcept {
    return static_cast<std::uint32_t>(raw_ >> 32);
  }
  [[nodiscard]] constexpr std::uint32_t waiters() const noexcept {
    return static_cast<std::uint32_t>(raw_ >> 16) & kMost;
  }
  [[nodiscard]] constexpr std::uint32_t tokens() const noexcept {
    return static_cast<std::uint32_t>(raw_) & kMost;
  }

  [[nodiscard]] constexpr bool full() const noexcept { return waiters() == kMost; }
  [[nodiscard]] constexpr ConditionView one_more() const noexcept {
    return ConditionView(raw_ + kWaiter);
  }
  [[nodiscard]] constexpr ConditionView one_less() const noexcept {
    return ConditionView(raw_ - kWaiter - (tokens() == waiters() ? 1 : 0));
  }
  [[nodiscard]] constexpr ConditionView token_taken() const noexcept {
    return ConditionView(raw_ - kWaiter - 1);
  }
  [[nodiscard]] constexpr ConditionView notified_more(std::uint32_t tokens) const noexcept {
    return ConditionView(raw_ + kNotification + tokens);
  }

 private:
  static constexpr std::uint32_t kMost = 0xffff;
  static constexpr std::uint64_t kWaiter = std::uint64_t{1} << 16;
  static constexpr std::uint64_t kNotification = std::uint64_t{1} << 32;

  std::uint64_t raw_ = 0;
};

}  // namespace tandem::sync
