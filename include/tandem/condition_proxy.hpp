/// \file
/// Wait, with a lock of a manager, until another thread or process says that something has changed.
///
///     std::unique_lock guard(lock);                             // a tandem::LockProxy or RLockProxy
///     changed.wait(guard, [&] { return dict.contains("result"); });
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <utility>

#include "tandem/detail/manager_proxy.hpp"
#include "tandem/error.hpp"
#include "tandem/lock_proxy.hpp"

namespace tandem {

/// What a ConditionProxy can be waited for with.
template <class L>
concept ConditionLockProxy = std::same_as<L, LockProxy> || std::same_as<L, RLockProxy>;

/// Names a condition of a manager; its lock is one of the same manager. What DictProxy says about
/// copies, lifetime, threads and errors holds here too.
///
/// `wait` unlocks (an RLockProxy wholly, however often it was locked), waits, and locks as before,
/// all in the server: one trip. Waiters that are killed harm nobody: a notification one of them had
/// been given goes to another. When the lock's holder dies all who wait throw `OwnerDied`, until one
/// has recovered the lock; out of a `wait` that throws, the unique_lock owns nothing.
class ConditionProxy : public detail::ManagerProxy<ConditionProxy> {
  using Op = detail::ManagerOp;

 public:
  /// Names nothing.
  ConditionProxy() = default;

  /// Returns once it was notified.
  /// \throws OwnerDied; SystemError EPERM when the lock is not held
  template <ConditionLockProxy L>
  void wait(std::unique_lock<L>& lock) const {
    (void)wait_once(lock, detail::Deadline::never(), "ConditionProxy::wait");
  }
  /// Returns once the predicate, called with the lock held, is true.
  template <ConditionLockProxy L, std::predicate Predicate>
  void wait(std::unique_lock<L>& lock, Predicate predicate) const {
    (void)wait_for_true(lock, detail::Deadline::never(), predicate, "ConditionProxy::wait");
  }
  /// \returns false when it was not notified in that time. The lock is held either way.
  template <ConditionLockProxy L, class Rep, class Period>
  [[nodiscard]] bool wait_for(std::unique_lock<L>& lock,
                              const std::chrono::duration<Rep, Period>& d) const {
    return wait_once(lock, detail::Deadline::after(d), "ConditionProxy::wait_for");
  }
  /// \returns what the predicate said last
  template <ConditionLockProxy L, class Rep, class Period, std::predicate Predicate>
  [[nodiscard]] bool wait_for(std::unique_lock<L>& lock,
                              const std::chrono::duration<Rep, Period>& d,
                              Predicate predicate) const {
    return wait_for_true(lock, detail::Deadline::after(d), predicate, "ConditionProxy::wait_for");
  }
  /// As the above, until a point of the steady clock.
  template <ConditionLockProxy L, class Duration>
  [[nodiscard]] bool wait_until(
      std::unique_lock<L>& lock,
      const std::chrono::time_point<std::chrono::steady_clock, Duration>& tp) const {
    return wait_once(lock, detail::Deadline::at(tp), "ConditionProxy::wait_until");
  }
  /// As the above, until a point of the steady clock.
  template <ConditionLockProxy L, class Duration, std::predicate Predicate>
  [[nodiscard]] bool wait_until(
      std::unique_lock<L>& lock,
      const std::chrono::time_point<std::chrono::steady_clock, Duration>& tp,
      Predicate predicate) const {
    return wait_for_true(lock, detail::Deadline::at(tp), predicate, "ConditionProxy::wait_until");
  }

  /// Wakes one of those who wait; nothing when nobody does.
  void notify_one() const { notify(1, "ConditionProxy::notify_one"); }
  /// Wakes all of those who wait.
  void notify_all() const { notify(~std::uint64_t{0}, "ConditionProxy::notify_all"); }

  // For the library.
  static constexpr detail::ObjectKind kKind = detail::ObjectKind::condition;
  static constexpr std::uint32_t type() { return 1; }
  explicit ConditionProxy(detail::ManagerObject object) noexcept
      : ManagerProxy(std::move(object)) {}

 private:
  void notify(std::uint64_t n, std::string_view call) const {
    detail::ManagerRequest(object_, Op::condition_notify, call).raw(n).run();
  }
  template <class L>
  bool wait_once(std::unique_lock<L>& held, detail::Deadline deadline,
                 std::string_view call) const {
    if (!held.owns_lock()) {
      throw SystemError(std::make_error_code(std::errc::operation_not_permitted),
                        std::string(call) + " on " + object_.description() +
                            ": the unique_lock does not own its lock");
    }
    detail::ManagerRequest request(object_, Op::condition_wait, call);
    request.timeout(deadline).raw(detail::manager_thread()).id_of(held.mutex()->object_);
    L& lock = *held.release();
    held = std::unique_lock<L>(lock, std::defer_lock);
    const bool notified = request.send().found();
    held = std::unique_lock<L>(lock, std::adopt_lock);
    return notified;
  }
  template <class L, class Predicate>
  bool wait_for_true(std::unique_lock<L>& held, detail::Deadline deadline, Predicate& predicate,
                     std::string_view call) const {
    while (!predicate()) {
      if (!wait_once(held, deadline, call)) return predicate();
    }
    return true;
  }
};

}  // namespace tandem
