/// \file
/// Locks that live in a Manager's server: between processes of any machines.
///
///     auto lock = manager.lock();
///     tandem::Process child(work, lock);          // the child has the same lock
///     std::scoped_lock guard(lock);
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <utility>

#include "tandem/detail/manager_proxy.hpp"

namespace tandem {

/// Names a lock of a manager. What DictProxy says about copies, lifetime, threads and errors holds
/// here too. Meets the standard's TimedLockable; who waits gets it in the order of arrival.
///
/// The owner is a thread of a process. When the process ends while it holds the lock, nobody waits
/// for ever: every call that would take the lock throws `OwnerDied`, in all processes, until one
/// caller's `recover()` has returned true. A thread that ends before its process is not noticed.
///
/// \tparam kind LockProxy or RLockProxy; an RLockProxy may be taken again by its owner, and is then
/// to be unlocked as often
template <detail::ObjectKind kind>
class BasicLockProxy : public detail::ManagerProxy<BasicLockProxy<kind>> {
  using Op = detail::ManagerOp;
  static constexpr bool kRecursive = kind == detail::ObjectKind::rlock;

 public:
  /// Names nothing.
  BasicLockProxy() = default;

  /// Waits until the caller holds it.
  /// \throws OwnerDied the lock is not held
  /// \throws SystemError EDEADLK when the caller holds it already (not of an RLockProxy)
  void lock() const {
    (void)acquire(detail::Deadline::never(), kRecursive ? "RLockProxy::lock" : "LockProxy::lock");
  }
  /// \returns whether the caller holds it now; false also when it held it before (not of an
  ///          RLockProxy)
  /// \throws OwnerDied
  [[nodiscard]] bool try_lock() const {
    return acquire(detail::Deadline::now(),
                   kRecursive ? "RLockProxy::try_lock" : "LockProxy::try_lock");
  }
  /// Waits at most that long. Zero or negative means try once. \throws as `lock`
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& d) const {
    return acquire(detail::Deadline::after(d),
                   kRecursive ? "RLockProxy::try_lock_for" : "LockProxy::try_lock_for");
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] bool try_lock_until(
      const std::chrono::time_point<std::chrono::steady_clock, Duration>& tp) const {
    return acquire(detail::Deadline::at(tp),
                   kRecursive ? "RLockProxy::try_lock_until" : "LockProxy::try_lock_until");
  }
  /// \throws SystemError EPERM when the caller does not hold it
  void unlock() const {
    detail::ManagerRequest(this->object_, Op::lock_release,
                           kRecursive ? "RLockProxy::unlock" : "LockProxy::unlock")
        .raw(detail::manager_thread())
        .run();
  }
  /// After `OwnerDied`: the way back into use. Never waits.
  /// \returns true when the caller holds the lock (an RLockProxy once), and what it protects is the
  ///          caller's to mend; false when another was first, or nobody had died
  [[nodiscard]] bool recover() const {
    return detail::ManagerRequest(this->object_, Op::lock_recover,
                                  kRecursive ? "RLockProxy::recover" : "LockProxy::recover")
        .raw(detail::manager_thread())
        .send()
        .found();
  }

  // For the library.
  static constexpr detail::ObjectKind kKind = kind;
  static constexpr std::uint32_t type() { return 1; }
  explicit BasicLockProxy(detail::ManagerObject object) noexcept
      : detail::ManagerProxy<BasicLockProxy>(std::move(object)) {}

 private:
  friend class ConditionProxy;

  [[nodiscard]] bool acquire(detail::Deadline deadline, std::string_view call) const {
    return this->wait_in_server(Op::lock_acquire, call, deadline, detail::manager_thread());
  }
};

/// A lock that its owner cannot take twice.
using LockProxy = BasicLockProxy<detail::ObjectKind::lock>;
/// A lock that its owner may take again.
using RLockProxy = BasicLockProxy<detail::ObjectKind::rlock>;

}  // namespace tandem
