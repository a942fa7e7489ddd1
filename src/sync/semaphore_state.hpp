// What lies in the segment of a semaphore; sync/semaphore.cpp has its invariants. Frozen.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "os/futex.hpp"
#include "sync/header.hpp"

namespace tandem::sync {

inline constexpr std::uint32_t kMaySleep = 1;
inline constexpr std::uint32_t kPermit = 2;
inline constexpr std::uint32_t kMostPermits = 0x7fff'ffff;

[[nodiscard]] constexpr std::uint32_t permits_of(std::uint32_t word) { return word / kPermit; }

struct SemaphoreState {
  Header header;
  std::uint32_t limit;                         // constant
  os::FutexWord word;                          // permits * kPermit, and kMaySleep
  std::atomic<std::uint32_t> average_wait_ns;  // of whoever waited last; a hint
};
static_assert(offsetof(SemaphoreState, limit) == 16 && offsetof(SemaphoreState, word) == 20);

}  // namespace tandem::sync
