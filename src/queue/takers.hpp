// Who has taken items of a JoinableQueue and not yet said task_done: one slot for each process that
// gets, in the queue's segment.
//
// Unfinished is what waits in the ring and what the slots say is held; there is no counter beside
// them that a death could leave behind. An item moves from the ring to a slot in three steps
// (pending, head published, held) by the holder of get_lock, so that whoever inherits the lock can
// tell on which side of the publication it died. Every other change is one store.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "os/futex.hpp"
#include "shm/ring.hpp"

namespace tandem::detail {

/// In the segment; zero-filled is free.
struct TakerSlot {
  std::atomic<std::uint32_t> pid;  // 0: free
  std::atomic<std::uint32_t> birth;
  std::atomic<std::uint64_t> counts;  // held | pending << 32
  std::atomic<std::uint64_t> head;    // from which the pending ones are being taken
};
static_assert(sizeof(TakerSlot) == 24);

/// In the segment; zero-filled is a queue nobody has used.
struct JoinState {
  static constexpr std::size_t kSlots = 128;

  os::FutexWord changed;               // grows when something was finished
  std::atomic<std::uint32_t> waiters;  // who sleeps there; one too many after a death costs a call
  std::atomic<std::uint32_t> lost;     // items whose taker died within a stream, not yet reported
  alignas(8) TakerSlot slots[kSlots];
};
static_assert(sizeof(JoinState) == 16 + JoinState::kSlots * sizeof(TakerSlot));

/// A process's view of it.
class Takers {
 public:
  explicit Takers(JoinState& state) noexcept : state_(&state) {}

  // Held: get_lock.

  /// Before head moves on from `head` by `items`. \throws Error when too many processes take items
  void take(shm::Cursor head, std::uint32_t items);
  /// After it did.
  void taken(std::uint32_t items) noexcept;
  /// A taker died with get_lock held: settles what it was about to take.
  void settle(shm::Cursor head) noexcept;
  /// A message that was half taken is dropped: its taker is dead.
  void lose_one() noexcept { state_->lost.fetch_add(1, std::memory_order_relaxed); }

  // Any thread.

  /// Items this process has taken and not finished.
  [[nodiscard]] std::uint32_t held() const noexcept;
  /// \returns false when this process holds none
  [[nodiscard]] bool finish_one() noexcept;
  /// Whether nobody holds an item. Exact if the ring's head and tail are the same before and after.
  [[nodiscard]] bool none_held() const noexcept;

  /// Whether a process died while it took an item, so that `settle` is needed.
  [[nodiscard]] bool died_taking() const;
  /// Items that dead processes held; they count as finished once they were reported here.
  struct Loss {
    int pid = 0;  // 0: not known
    std::uint32_t items = 0;
  };
  [[nodiscard]] std::optional<Loss> report_loss();

  [[nodiscard]] std::uint32_t changes() const noexcept {
    return state_->changed.load(std::memory_order_acquire);
  }
  /// Sleeps while nothing has changed since `seen`, for a slice at most.
  void wait_for_change(std::uint32_t seen, Deadline deadline) noexcept;

  /// In a forked child: the slot is the parent's.
  void forget_own_slot() noexcept { own_.store(nullptr, std::memory_order_relaxed); }

 private:
  [[nodiscard]] TakerSlot& own_slot();
  void tell_change() noexcept;

  JoinState* state_;
  std::atomic<TakerSlot*> own_{nullptr};
};

}  // namespace tandem::detail
