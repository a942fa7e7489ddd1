// The worker's side of a pool.
#pragma once

#include <cstddef>
#include <optional>

#include "pool/message.hpp"
#include "pool/output.hpp"
#include "tandem/memory.hpp"

namespace tandem::detail {

struct WorkerOptions {
  std::size_t max_memory_bytes = 0;  // it ends after a task when it has more; 0 = no limit
  std::optional<std::size_t> cpu;    // of those it may use, counted round and round
  std::optional<int> niceness;
};

/// Runs what comes over `pool` until it is told to end or the pool is gone.
/// \param memory holds this worker's Slot
/// \param output where this process's output shall go
void run_worker(PoolEnd pool, SharedMemory memory, OutputEnd output, WorkerOptions options);

}  // namespace tandem::detail
