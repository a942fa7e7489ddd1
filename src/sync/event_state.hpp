// What lies in the segment of an Event; sync/event.cpp has its invariants. Frozen.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "os/futex.hpp"
#include "sync/header.hpp"

namespace tandem::sync {

struct EventState {
  static constexpr std::uint32_t kSet = 1;
  static constexpr std::uint32_t kWaits = 2;
  static constexpr std::uint32_t kOneTime = 4;

  Header header;
  os::FutexWord word;
  std::atomic<std::uint32_t> average_wait_ns;  // of whoever waited last; a hint
};
static_assert(offsetof(EventState, word) == 16);

}  // namespace tandem::sync
