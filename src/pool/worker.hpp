// The worker's side of a pool.
#pragma once

#include "pool/message.hpp"
#include "pool/output.hpp"
#include "tandem/memory.hpp"

namespace tandem::detail {

/// Runs what comes over `pool` until it is told to end or the pool is gone.
/// \param memory holds this worker's Slot
/// \param output where this process's output shall go
void run_worker(PoolEnd pool, SharedMemory memory, OutputEnd output);

}  // namespace tandem::detail
