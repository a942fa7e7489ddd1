// What a worker says about itself in shared memory, readable when it is dead.
#pragma once

#include <atomic>
#include <cstdint>

namespace tandem::detail {

enum class WorkerState : std::uint32_t {
  starting,      // library code, the pipe's first messages
  initializing,  // the user's initializer
  idle,          // waits for a chunk
  running,       // decoding, running, encoding `task`
  sending,       // the outcome of `task`: lost unless it arrived whole
  finishing,     // the user's finalizer
};

// Written by the worker alone. Zero-filled shared memory is a Slot.
//
// 1. `task` is stored before the state becomes running, and stays while it is running or sending.
// 2. An outcome is in the pipe before the state leaves sending.
// The reader has seen the worker's death, which orders every store before it.
struct alignas(64) Slot {
  std::atomic<WorkerState> state;
  std::atomic<std::uint64_t> task;
  std::atomic<std::uint64_t> tasks_done;
  std::atomic<std::uint64_t> busy_ns;
  // CLOCK_MONOTONIC; 0: not, or not yet.
  std::atomic<std::uint64_t> initializer_ns;  // when that began
  std::atomic<std::uint64_t> ready_ns;
  std::atomic<std::uint64_t> task_began_ns;  // of a chunk that is timed
};
static_assert(sizeof(Slot) == 64);
static_assert(std::atomic<WorkerState>::is_always_lock_free);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace tandem::detail
