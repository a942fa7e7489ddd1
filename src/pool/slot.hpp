// What a worker says about itself in shared memory, readable when it is dead, and by the program
// `tandem`, which finds it by its label.
#pragma once

#include <atomic>
#include <cstdint>

#include "os/fence.hpp"
#include "os/futex.hpp"

namespace tandem::detail {

inline constexpr char kSlotLabel[] = "pool-worker";

enum class WorkerState : std::uint64_t {
  starting,      // library code, the pipe's first messages
  initializing,  // the user's initializer
  idle,          // waits for a chunk
  running,       // decoding, running, encoding a task
  sending,       // a task's outcome: lost unless it arrived whole
  finishing,     // the user's finalizer
};

/// What the pool makes of what a worker is doing.
enum class ClaimKind : std::uint64_t {
  none,
  asking,  // decides just now
  kill,    // it is given up, and the worker killed
  alone,   // whatever else the worker was sent is taken back
};

/// A kind, and the task if it is of one; in one word.
template <class Kind>
class OfTask {
 public:
  constexpr OfTask() noexcept = default;
  constexpr explicit OfTask(Kind kind, std::uint64_t task = 0) noexcept
      : word_(task << kKindBits | static_cast<std::uint64_t>(kind)) {}

  [[nodiscard]] constexpr Kind kind() const noexcept {
    return static_cast<Kind>(word_ & ((1u << kKindBits) - 1));
  }
  [[nodiscard]] constexpr std::uint64_t task() const noexcept { return word_ >> kKindBits; }
  friend constexpr bool operator==(OfTask, OfTask) noexcept = default;

 private:
  static constexpr unsigned kKindBits = 3;
  std::uint64_t word_ = 0;
};
using Activity = OfTask<WorkerState>;
using Claim = OfTask<ClaimKind>;

// Zero-filled shared memory is a Slot, but for the magic, which the pool stores before it starts the
// worker; for those who look from outside.
//
// 1. The worker alone stores `activity`, the pool alone, under its lock, `claim`.
// 2. Who is first decides whether a task has ended or is given up, and whether the worker goes on
//    with what else it was sent: it leaves `running n`, and the pool claims it there. It is Dekker's
//    handshake with one cheap side (os/fence.hpp), since a worker leaves a million tasks for each
//    that is claimed, and a locked instruction would wait for the lines of its last result:
//
//        worker, in `leave`              pool, in `claim`
//        activity = sending n            claim = asking n
//        light fence                     heavy fence
//        claim == none: it was first     activity == running n: claim = kill n, or alone n
//        asking: wait; kill: no more     else it was too late: claim = what it was before
//
//    At least one of them sees what the other has stored. If the pool finds `running n`, the worker
//    will find the claim, and obey. If it finds anything else, the worker was first, whether it saw
//    the pool ask or not. The same for the user's initializer and finalizer, whose task is 0.
// 3. `since_ns` is stored before the activity that it belongs to.
// 4. An outcome is in the pipe before the activity leaves sending.
// Who reads the rest has seen the worker's death, which orders every store before it, or wants no
// more than a recent figure.
struct alignas(64) Slot {
  static constexpr std::uint64_t kMagic = 0x31576d65646e6174;  // "tandemW1"

  std::atomic<Activity> activity;
  std::atomic<Claim> claim;
  os::FutexWord asking;  // 1 while the claim is `asking`
  std::atomic<std::uint32_t>
      fences_needed;                    // the pool has no heavy fence; before the worker starts
  std::atomic<std::uint64_t> since_ns;  // CLOCK_MONOTONIC; 0 in a chunk that is not timed
  std::atomic<std::uint64_t> tasks_done;
  std::atomic<std::uint64_t> busy_ns;
  // CLOCK_MONOTONIC; 0: not, or not yet.
  std::atomic<std::uint64_t> initializer_ns;  // when that began
  std::atomic<std::uint64_t> ready_ns;
  std::atomic<std::uint64_t> magic;
};
static_assert(sizeof(Slot) == 128);
static_assert(std::atomic<Activity>::is_always_lock_free);
static_assert(std::atomic<Claim>::is_always_lock_free);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// By the pool, before the worker starts.
void prepare(Slot& slot) noexcept;

/// By the pool, under its lock. \returns false when the worker has ended this activity before
[[nodiscard]] bool claim(Slot& slot, Activity activity, ClaimKind kind) noexcept;

/// What a worker finds that leaves an activity while its slot has a claim: see `leave`.
[[nodiscard]] bool obey(const Slot& slot, Activity from) noexcept;

/// By the worker: from what can be claimed to what comes next. Does not return where the pool was
/// first to give it up: it kills. \returns whether the pool has taken back what else was sent
[[nodiscard]] inline bool leave(Slot& slot, Activity from, Activity to) noexcept {
  slot.activity.store(to, std::memory_order_release);
  os::light_fence(slot.fences_needed.load(std::memory_order_relaxed) != 0);
  if (slot.claim.load(std::memory_order_acquire) == Claim()) [[likely]] {
    return false;
  }
  return obey(slot, from);
}

}  // namespace tandem::detail
