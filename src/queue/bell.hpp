// A queue's descriptor for epoll, poll and wait_any: one for all processes, made with the queue. It
// is an eventfd; of a named queue a FIFO, since an eventfd cannot be opened by a name.
//
// Invariants while somebody watches
// 1. While an item waits the descriptor is readable. So it is rung before the item is published,
//    and silenced only when the ring is empty and nobody publishes. A death between any two steps
//    leaves at worst a readable descriptor with nothing behind it.
// 2. `rung` implies readable. In any other state the next publication must ring first; the
//    descriptor may be readable all the same, after a death or just before that publication.
// 3. A call that found nothing leaves the bell armed and silent. If it cannot, because somebody is
//    inside a put, it rings anew: who waits for an edge gets one, and looks again.
//
// Who silences has the grip, a robust lock, and keeps publishers out. Where they share put_lock, it
// has that too. A single producer keeps put_lock whether it puts or not; instead it says that it
// puts before it looks at the bell, and gets the grip where it has to ring.
//
// One who is killed while it watches is counted for ever, which costs the others a system call at
// the first item after nothing and one at the last, and nobody an item.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "os/event_fd.hpp"
#include "os/robust_mutex.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::detail {

class Bell {
 public:
  /// In the segment: watchers * 4 + state; 0 while nobody watches.
  using Word = std::atomic<std::uint32_t>;

  Bell() = default;
  /// \param shares_put_lock publishers are kept out by put_lock, not by the grip
  Bell(Word& word, os::RobustMutex& grip, bool shares_put_lock, Fd descriptor) noexcept
      : word_(&word),
        grip_(&grip),
        shares_put_lock_(shares_put_lock),
        descriptor_(std::move(descriptor)) {}

  [[nodiscard]] const Fd& descriptor() const noexcept { return descriptor_; }
  [[nodiscard]] bool watched() const noexcept {
    return word_->load(std::memory_order_relaxed) != 0;
  }
  /// From here on the descriptor tells; it may be readable for nothing until it is first silenced.
  /// Takes no lock: a put may hold put_lock for as long as nobody takes what it waits with.
  void watch() noexcept;
  void unwatch() noexcept;
  /// Armed and silent: nothing was published, and nobody is about to.
  [[nodiscard]] bool at_rest() const;
  void ring() const noexcept { os::ring_bell(descriptor_); }

  /// Before the store that publishes, by who may publish.
  void announce() {
    const std::uint32_t state = state_of(word_->load(std::memory_order_relaxed));
    if (state != kRung && state != 0) [[unlikely]]
      ring_first();
  }

  /// The right to silence. Waits for it for a moment, longer only for one that was stopped there.
  class Grip {
   public:
    explicit Grip(Bell& bell)
        : lock_(*bell.grip_), held_(lock_.lock(Deadline::after(kPatience)) != os::Acquired::no) {}
    Grip(const Grip&) = delete;
    Grip& operator=(const Grip&) = delete;
    ~Grip() {
      if (held_) lock_.unlock();
    }
    [[nodiscard]] explicit operator bool() const noexcept { return held_; }

   private:
    os::RobustMutex& lock_;
    bool held_;
  };

  // With the grip.

  /// From here on who publishes rings first. \returns what `restore` takes
  [[nodiscard]] std::uint32_t seize() noexcept;
  void restore(std::uint32_t state) noexcept;
  /// The ring is empty, and nobody publishes.
  void silence() noexcept;

 private:
  static constexpr duration kPatience = std::chrono::milliseconds(20);
  static constexpr std::uint32_t kRung = 1;
  static constexpr std::uint32_t kArmed = 2;
  static constexpr std::uint32_t kSeized = 3;
  static constexpr std::uint32_t kWatcher = 4;

  [[nodiscard]] static constexpr std::uint32_t state_of(std::uint32_t word) noexcept {
    return word % kWatcher;
  }
  void ring_first();
  std::uint32_t set_state(std::uint32_t state) noexcept;

  Word* word_ = nullptr;
  os::RobustMutex* grip_ = nullptr;
  bool shares_put_lock_ = true;
  Fd descriptor_;
};

}  // namespace tandem::detail
