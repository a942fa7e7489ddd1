// What a Value of more than 8 bytes begins with in shared memory; its two copies follow.
// shm/shared_cell.cpp has its invariants. Frozen.
#pragma once

#include <atomic>
#include <cstdint>

#include "os/robust_mutex.hpp"

namespace tandem::detail {

struct CellState {
  os::RobustMutex lock;
  std::atomic<std::uint64_t> number;
};

}  // namespace tandem::detail
