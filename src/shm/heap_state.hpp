// What the memory of a SharedHeap begins with; Boost's allocator follows. shm/heap.cpp has its
// invariants. Frozen.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "os/robust_mutex.hpp"

namespace tandem::detail {

class HeapState {
 public:
  static constexpr std::uint64_t kMagic = 0x315045484d444e54;  // "TNDMHEP1", little-endian

  std::uint64_t magic;
  std::uint64_t room;
  char name[40];
  std::atomic<std::uint32_t> damaged;
  os::RobustMutex allocating;
  os::RobustMutex naming;
  std::atomic<std::uint64_t> first;

  [[nodiscard]] std::string_view called() const noexcept {
    return {name, ::strnlen(name, sizeof name)};
  }
};
static_assert(offsetof(HeapState, name) == 16 && offsetof(HeapState, damaged) == 56);

}  // namespace tandem::detail
