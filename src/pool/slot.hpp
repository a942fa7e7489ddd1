// What a worker says about itself in shared memory, readable when it is dead, and by the program
// `tandem`, which finds it by its label.
#pragma once

#include <atomic>
#include <cstdint>

namespace tandem::detail {

inline constexpr char kSlotLabel[] = "pool-worker";

enum class WorkerState : std::uint64_t {
  starting,       // library code, the pipe's first messages
  initializing,   // the user's initializer
  idle,           // waits for a chunk
  running,        // decoding, running, encoding a task
  running_alone,  // the same, and the pool has taken back what else the worker was sent
  sending,        // a task's outcome: lost unless it arrived whole
  killing,        // the pool has decided to kill it for what it was doing
  finishing,      // the user's finalizer
};

/// What a worker is doing, in one word: a state, and the task if the state is of one.
class Activity {
 public:
  constexpr Activity() noexcept = default;
  constexpr explicit Activity(WorkerState state, std::uint64_t task = 0) noexcept
      : word_(task << kStateBits | static_cast<std::uint64_t>(state)) {}

  [[nodiscard]] constexpr WorkerState state() const noexcept {
    return static_cast<WorkerState>(word_ & ((1u << kStateBits) - 1));
  }
  [[nodiscard]] constexpr std::uint64_t task() const noexcept { return word_ >> kStateBits; }
  [[nodiscard]] constexpr bool is_running() const noexcept {
    return state() == WorkerState::running || state() == WorkerState::running_alone;
  }
  friend constexpr bool operator==(Activity, Activity) noexcept = default;

 private:
  static constexpr unsigned kStateBits = 3;
  std::uint64_t word_ = 0;
};

// Zero-filled shared memory is a Slot, but for the magic, which the pool stores before it starts the
// worker; for those who look from outside.
//
// 1. The worker alone stores here, but for two steps of the pool's, both by compare-and-swap: from
//    a running, initializing or finishing activity to killing, and from running to running alone.
//    The worker leaves those states by compare-and-swap too. So who is first decides whether what
//    it did has ended or is given up, and a worker that comes second does nothing more; and whether
//    it goes on to its next task or drops what it was sent.
// 2. `since_ns` is stored before the activity that it belongs to.
// 3. An outcome is in the pipe before the activity leaves sending.
// Who reads the rest has seen the worker's death, which orders every store before it, or wants no
// more than a recent figure.
struct alignas(64) Slot {
  static constexpr std::uint64_t kMagic = 0x31576d65646e6174;  // "tandemW1"

  std::atomic<Activity> activity;
  std::atomic<std::uint64_t> since_ns;  // CLOCK_MONOTONIC; 0 in a chunk that is not timed
  std::atomic<std::uint64_t> tasks_done;
  std::atomic<std::uint64_t> busy_ns;
  // CLOCK_MONOTONIC; 0: not, or not yet.
  std::atomic<std::uint64_t> initializer_ns;  // when that began
  std::atomic<std::uint64_t> ready_ns;
  std::atomic<std::uint64_t> magic;
};
static_assert(sizeof(Slot) == 64);
static_assert(std::atomic<Activity>::is_always_lock_free);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace tandem::detail
