// What lies in the segment of a Lock or RLock; sync/lock.cpp has its invariants. Frozen.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "os/robust_mutex.hpp"
#include "sync/header.hpp"

namespace tandem::sync {

struct LockState {
  Header header;
  std::atomic<std::uint64_t> owner;  // a ThreadId
  std::atomic<std::int32_t> died;
  std::uint32_t again;  // the holder's: how often it took a recursive one beyond the first time
  os::RobustMutex mutex;
};
static_assert(offsetof(LockState, owner) == 16 && offsetof(LockState, died) == 24 &&
              offsetof(LockState, mutex) == 32);

}  // namespace tandem::sync
