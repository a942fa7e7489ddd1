// The right to one side of a queue whose maker promised that one thread puts (or gets).
//
// While it lasts that thread holds the side's lock, so that an operation needs no lock instruction.
// It ends when the thread resigns, or with the thread: then the kernel marks the lock, and the next
// thread takes over. The buffer in front of the ring belongs to it too: while something is in there,
// its feeder takes the lock, and the tenant is the process.
//
// Invariants
// 1. Only who holds the lock works on the side of the ring, tenant or not.
// 2. `tenant` is nobody, the thread that may take the lock, or the process whose feeder may. It
//    becomes another's only from nobody, or from one that is gone, by the holder of the lock. A
//    tenant is gone when it has ended, or died with the lock held.
// 3. A mapping stays where it is while a thread of this process holds a lock in it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "os/liveness.hpp"
#include "os/robust_mutex.hpp"
#include "shm/segment.hpp"
#include "tandem/detail/deadline.hpp"

namespace tandem::detail {

/// One side of a queue, as this process sees it. Without a promise it is just the side's lock.
class Tenure {
 public:
  Tenure() = default;
  Tenure(const Tenure&) = delete;
  Tenure& operator=(const Tenure&) = delete;

  /// \param option, call, role: for what is thrown, such as single_producer, put, producer
  struct Words {
    std::string_view option;
    std::string_view call;
    std::string_view role;
  };
  /// \param name the queue's; all that is passed outlives this
  void attach(os::RobustMutex& lock, std::atomic<std::uint64_t>& tenant, bool promised,
              const Words& words, std::string_view name) noexcept;

  [[nodiscard]] bool promised() const noexcept { return promised_; }
  /// Whether the calling thread has the lock already, by the promise.
  [[nodiscard]] bool held() const noexcept { return promised_ && lock_->held_by_caller(); }

  /// Takes the lock, which the caller has not got; of a promised side, only for the tenant, which
  /// the caller becomes if there is none. \throws Error when another live thread is
  [[nodiscard]] os::Acquired acquire(Deadline deadline) {
    return promised_ ? become_tenant(deadline) : lock_->lock(deadline);
  }
  /// Takes the lock for others than the tenant: the feeder of its process, a reader that looks
  /// whether the writer is gone. Ends with `release`.
  [[nodiscard]] os::Acquired acquire_beside(Deadline deadline) { return lock_->lock(deadline); }
  void release() { lock_->unlock(); }
  /// Ends the tenant's `acquire`.
  /// \param stays whether the operation went well; else the caller is the tenant no more
  void leave(bool stays);
  /// The caller, if it is the tenant, is that no more, and releases the lock if it has it.
  void resign() noexcept;

  // With a buffer in front of the ring. Nothing without a promise.

  /// Whether the caller is the tenant, maybe through its process. \throws Error as `acquire`, when
  /// that can be told
  [[nodiscard]] bool is_mine();
  /// The tenant has put something into the buffer: the lock is the feeder's. Like the next one
  /// called with the buffer's mutex held.
  void pass_to_process();
  /// Nothing is in the buffer any more.
  void pass_to_thread() noexcept;

  /// In a forked child: the parent's thread is the tenant, not this one.
  void forget() noexcept { claimed_.store(0, std::memory_order_relaxed); }
  /// Lets go of `segment`, in which `first` and `second` are: later, if a thread holds one of them.
  static void unmap(shm::Segment segment, const Tenure& first, const Tenure& second) noexcept;

 private:
  friend class HeldMapping;

  [[nodiscard]] os::Acquired become_tenant(Deadline deadline);
  void claim_in_process();
  [[nodiscard]] os::Task tenant() const noexcept {
    return os::Task(tenant_->load(std::memory_order_acquire));
  }
  [[nodiscard]] bool is_others(os::Task tenant) const;
  [[nodiscard]] os::Task held_by_other_thread() const noexcept;
  [[noreturn]] void refuse(os::Task tenant);

  os::RobustMutex* lock_ = nullptr;
  std::atomic<std::uint64_t>* tenant_ = nullptr;
  bool promised_ = false;
  // Which thread of this process is the tenant, if one is; 0 or one that has ended if not.
  std::atomic<std::uint64_t> claimed_{0};
  Words words_;
  std::string_view name_;
};

}  // namespace tandem::detail
