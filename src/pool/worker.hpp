// The worker's side of a pool.
#pragma once

#include "pool/message.hpp"
#include "tandem/memory.hpp"

namespace tandem::detail {

/// Runs what comes over `pool` until it is told to end or the pool is gone.
/// \param memory holds this worker's Slot
void run_worker(PoolEnd pool, SharedMemory memory);

}  // namespace tandem::detail
