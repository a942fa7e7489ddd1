// One side's lock of a RingQueue, held while an operation runs.
#pragma once

#include <atomic>
#include <chrono>

#include "os/fence.hpp"
#include "os/futex.hpp"
#include "queue/ring_queue.hpp"
#include "queue/tenure.hpp"

namespace tandem::detail {

/// How long a call that never waits stands at a lock that is held for a few instructions, unless its
/// holder was stopped or preempted there.
inline constexpr duration kBriefHold = std::chrono::milliseconds(20);

/// The lock of one side while it is held. Wakes both sides when it came from a dead process, which
/// may not have got to it.
class RingQueue::Hold {
 public:
  Hold(RingQueue& queue, Tenure& side) : queue_(queue), side_(side) {}
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  ~Hold() {
    if (!held_) return;
    if (!side_.promised()) {
      side_.release();
      return;
    }
    if (puts()) queue_.header_->putting.store(0, std::memory_order_release);
    if (!was_ours_ || !went_well_) leave();
  }

  [[nodiscard]] bool acquire(Deadline deadline) {
    if (side_.held()) {
      was_ours_ = true;
      return took(os::Acquired::yes);
    }
    return took(side_.acquire(deadline));
  }
  [[nodiscard]] bool try_acquire() { return acquire(Deadline::now()); }
  /// Though the caller is not the single producer or consumer.
  [[nodiscard]] bool acquire_beside(Deadline deadline) {
    beside_ = true;
    return took(side_.acquire_beside(deadline));
  }
  /// Without this the caller is not the single producer or consumer any more.
  /// \param done something was put or taken; nobody becomes one by trying in vain
  void went_well(bool done) noexcept { went_well_ = done || was_ours_; }
  /// For calls that never wait: a lock held for a moment is no reason to fail, unless `wanted`
  /// turns false.
  template <class Wanted>
  [[nodiscard]] bool acquire_briefly(Wanted wanted) {
    if (try_acquire()) return true;
    const Deadline patience = Deadline::after(kBriefHold);
    while (wanted() && !patience.passed()) {
      if (acquire(Deadline::after(std::chrono::microseconds(100)))) return true;
    }
    return false;
  }

 private:
  [[nodiscard]] bool puts() const noexcept { return &side_ == &queue_.put_side_; }
  bool took(os::Acquired acquired) {
    held_ = acquired != os::Acquired::no;
    if (acquired == os::Acquired::owner_died) [[unlikely]]
      inherit();
    if (held_ && side_.promised() && puts()) {
      queue_.header_->putting.store(1, std::memory_order_relaxed);
      // Before the look at the state, see no_put_is_under_way.
      os::light_fence(queue_.ring_.state().fences_needed.load(std::memory_order_relaxed) != 0);
    }
    return held_;
  }
  void leave() {
    if (beside_) {
      side_.release();
    } else {
      side_.leave(went_well_);
    }
    // Who waits to hear that the last put is over.
    if (puts() && !went_well_) queue_.wake(queue_.ring_.state().reader_parked);
  }
  void inherit() {
    queue_.header_->put_lock_kept.store(0, std::memory_order_relaxed);
    if (queue_.takers_ && !puts()) queue_.takers_->settle(queue_.ring_.head());
    os::futex_wake_all(queue_.ring_.state().reader_parked);
    os::futex_wake_all(queue_.ring_.state().writer_parked);
  }

  RingQueue& queue_;
  Tenure& side_;
  bool held_ = false;
  bool beside_ = false;
  bool was_ours_ = false;
  bool went_well_ = false;
};

}  // namespace tandem::detail
