// A mutex in shared memory whose owner may die. glibc's robust process-shared mutex with three
// rules built in: sleeps are cut in slices, because a wake-up given to a waiter that is then killed
// is lost; an owner's death is told exactly once, with the mutex held and already consistent;
// nobody waits past the deadline.
//
// "Exactly once" ends with unlock: whoever was told and dies before it unlocks is itself an owner
// that died, and the next is told again.
#pragma once

#include <linux/futex.h>
#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "os/thread_id.hpp"
#include "tandem/detail/deadline.hpp"

namespace tandem::os {

enum class Acquired {
  no,  // timed out, or busy
  yes,
  owner_died,  // held, and consistent; what it protects is the caller's to judge
};

/// Standard layout; lives in zero-filled shared memory until `init`. It must not be unmapped while
/// a thread of this process may still be in one of its calls, nor while this process holds it.
class RobustMutex {
 public:
  /// \param checked relocking by the owner and unlocking by another are errors instead of deadlocks
  void init(bool checked);
  /// Spins shortly before it sleeps. \throws SystemError EDEADLK (checked, the caller holds it),
  /// ENOTRECOVERABLE
  [[nodiscard]] Acquired lock(detail::Deadline deadline = detail::Deadline::never());
  /// `no` also when the caller itself holds it.
  [[nodiscard]] Acquired try_lock();
  /// As try_lock, but of a checked one \returns nothing when the caller itself holds it.
  [[nodiscard]] std::optional<Acquired> try_lock_unless_mine();
  /// \throws SystemError EPERM when checked and the caller is not the owner
  void unlock();

  /// The thread that holds it, 0 when nobody does. Only a hint, unless it is the caller.
  [[nodiscard]] pid_t holder() const noexcept;
  /// Exact, because only the caller itself takes or releases it for the caller.
  [[nodiscard]] bool held_by_caller() const noexcept {
    return holder() == ThreadId::mine().thread();
  }
  /// Whether its holder has died and nobody has taken it since. A look, no system call.
  [[nodiscard]] bool holder_died() const noexcept { return (word() & FUTEX_OWNER_DIED) != 0; }
  /// Whether somebody sleeps until it is free, or did and nobody has released it since.
  [[nodiscard]] bool contended() const noexcept { return (word() & FUTEX_WAITERS) != 0; }

 private:
  [[nodiscard]] unsigned word() const noexcept;
  [[nodiscard]] Acquired lock_slowly(detail::Deadline deadline);

  pthread_mutex_t mutex_;
  std::atomic<std::uint32_t> average_wait_ns_;  // written by the holder
};
static_assert(std::is_standard_layout_v<RobustMutex>);

#if !defined(__GLIBC__)
#error "RobustMutex::holder reads the lock word where glibc has it"
#endif
// The word is the kernel's robust futex: the holder's thread id and two flags, one of which the
// kernel sets when that thread ends. A look does not take the cache line from the holder, as a
// failing trylock does.
inline unsigned RobustMutex::word() const noexcept {
  return static_cast<unsigned>(__atomic_load_n(&mutex_.__data.__lock, __ATOMIC_RELAXED));
}
inline pid_t RobustMutex::holder() const noexcept {
  return static_cast<pid_t>(word() & FUTEX_TID_MASK);
}

}  // namespace tandem::os
