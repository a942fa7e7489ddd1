/// \file
/// A mutual exclusion lock between threads and processes that survives the death of its holder.
///
///     tandem::Lock lock;
///     tandem::Process child(work, lock);          // the child has the same lock
///     child.start();
///     try {
///       std::scoped_lock guard(lock);
///       ...
///     } catch (const tandem::OwnerDied&) {
///       if (lock.recover()) {                     // we hold it, and mend what the dead one left
///         std::unique_lock guard(lock, std::adopt_lock);
///         ...
///       }
///     }
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/lock_core.hpp"

namespace tandem {

/// Meets the standard's TimedLockable. A copy names the same lock; it lives as long as a handle
/// does in any process. Sendable to processes and over connections of this machine.
///
/// The owner is a thread. When it ends while it holds the lock, be it by SIGKILL, nobody waits for
/// ever: every call that would take the lock throws `OwnerDied`, in all processes, until one
/// caller's `recover()` has returned true. Waiters that are killed harm nobody.
///
/// As Python's `multiprocessing.Lock`, except that only the owner may unlock it.
class TANDEM_EXPORT Lock {
 public:
  using TandemHandle = void;

  /// \throws SystemError when there is no memory or no descriptor left
  Lock();
  Lock(const Lock&) = default;
  Lock& operator=(const Lock&) = default;
  ~Lock() = default;

  /// Waits until the caller holds it.
  /// \throws OwnerDied the lock is not held
  /// \throws SystemError EDEADLK when the caller holds it already
  void lock();
  /// \returns whether the caller holds it now; false also when it held it before
  /// \throws OwnerDied
  [[nodiscard]] bool try_lock();
  /// Waits at most that long. Zero or negative means try once. \throws as `lock`
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& d) {
    return core_->lock(detail::Deadline::after(d), "Lock::try_lock_for");
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] bool try_lock_until(
      const std::chrono::time_point<std::chrono::steady_clock, Duration>& tp) {
    return core_->lock(detail::Deadline::at(tp), "Lock::try_lock_until");
  }
  /// \throws SystemError EPERM when the caller does not hold it
  void unlock();

  /// After `OwnerDied`: the way back into use. Waits only for other callers who are about to be
  /// told.
  /// \returns true when the caller holds the lock, and what it protects is the caller's to mend
  ///          before it unlocks; false when another was first, or nobody had died
  [[nodiscard]] bool recover();

  /// As messages call it; the same in every process.
  [[nodiscard]] const std::string& name() const noexcept { return core_->name(); }

  void save(detail::Encoder& to) const;
  [[nodiscard]] static Lock detail_decode(detail::Decoder& from);

 private:
  friend class Condition;

  explicit Lock(std::shared_ptr<detail::LockCore> core) noexcept;

  std::shared_ptr<detail::LockCore> core_;
};

}  // namespace tandem
