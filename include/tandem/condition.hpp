/// \file
/// Wait, with a lock, until another thread or process says that something has changed.
///
///     std::unique_lock guard(lock);                            // a tandem::Lock or RLock
///     changed.wait(guard, [&] { return shared->ready; });
///
///     { std::scoped_lock guard(lock); shared->ready = true; }  // elsewhere
///     changed.notify_all();
#pragma once

#include <chrono>
#include <concepts>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "tandem/detail/condition_core.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/lock.hpp"
#include "tandem/rlock.hpp"

namespace tandem {

/// What a Condition can be waited for with.
template <class L>
concept ConditionLock = std::same_as<L, Lock> || std::same_as<L, RLock>;

/// As std::condition_variable_any, between processes. A copy names the same condition; it lives as
/// long as a handle does in any process. Sendable to processes and over connections of this
/// machine. All who wait at a time should use the same lock.
///
/// `wait` unlocks (an RLock wholly, however often it was locked), waits, and locks as before. It
/// may wake spuriously, so give it a predicate or ask again.
///
/// Waiters that are killed harm nobody: a notification one of them had been given is taken by
/// another within 50 ms. When the lock's holder dies all who wait throw `OwnerDied` within that
/// time, until one has recovered the lock; the unique_lock then owns nothing, and after
/// `lock.recover()` is made anew with std::adopt_lock. Who recovers calls `notify_all`: the dead one
/// may have been notified of what it did not come to do, and others who looked too late for its
/// death wait on.
class TANDEM_EXPORT Condition {
 public:
  using TandemHandle = void;

  /// \throws SystemError when there is no memory or no descriptor left
  Condition();
  Condition(const Condition&) = default;
  Condition& operator=(const Condition&) = default;
  ~Condition() = default;

  /// Returns once it was notified.
  /// \throws OwnerDied the unique_lock owns nothing
  /// \throws SystemError EPERM when the lock is not held
  template <ConditionLock L>
  void wait(std::unique_lock<L>& lock) {
    (void)wait_once(lock, detail::Deadline::never(), "Condition::wait");
  }
  /// Returns once the predicate, called with the lock held, is true.
  template <ConditionLock L, std::predicate Predicate>
  void wait(std::unique_lock<L>& lock, Predicate predicate) {
    (void)wait_for_true(lock, detail::Deadline::never(), predicate, "Condition::wait");
  }
  /// \returns false when it was not notified in that time. The lock is held either way.
  template <ConditionLock L, class Rep, class Period>
  [[nodiscard]] bool wait_for(std::unique_lock<L>& lock,
                              const std::chrono::duration<Rep, Period>& d) {
    return wait_once(lock, detail::Deadline::after(d), "Condition::wait_for");
  }
  /// \returns what the predicate said last
  template <ConditionLock L, class Rep, class Period, std::predicate Predicate>
  [[nodiscard]] bool wait_for(std::unique_lock<L>& lock,
                              const std::chrono::duration<Rep, Period>& d, Predicate predicate) {
    return wait_for_true(lock, detail::Deadline::after(d), predicate, "Condition::wait_for");
  }
  /// As the above, until a point of the steady clock.
  template <ConditionLock L, class Duration>
  [[nodiscard]] bool wait_until(
      std::unique_lock<L>& lock,
      const std::chrono::time_point<std::chrono::steady_clock, Duration>& tp) {
    return wait_once(lock, detail::Deadline::at(tp), "Condition::wait_until");
  }
  /// As the above, until a point of the steady clock.
  template <ConditionLock L, class Duration, std::predicate Predicate>
  [[nodiscard]] bool wait_until(
      std::unique_lock<L>& lock,
      const std::chrono::time_point<std::chrono::steady_clock, Duration>& tp, Predicate predicate) {
    return wait_for_true(lock, detail::Deadline::at(tp), predicate, "Condition::wait_until");
  }

  /// Wakes one of those who wait; nothing when nobody does. Best called with the lock held or just
  /// released; who is killed between the change and this call notifies nobody.
  void notify_one() noexcept { core_->notify_one(); }
  /// Wakes all of those who wait.
  void notify_all() noexcept { core_->notify_all(); }

  /// As messages call it; the same in every process.
  [[nodiscard]] const std::string& name() const noexcept { return core_->name(); }

  void save(detail::Encoder& to) const;
  [[nodiscard]] static Condition detail_decode(detail::Decoder& from);

 private:
  explicit Condition(std::shared_ptr<detail::ConditionCore> core) noexcept;

  template <class L>
  bool wait_once(std::unique_lock<L>& held, detail::Deadline deadline, const char* call) {
    if (!held.owns_lock()) core_->throw_not_held(call);
    L& lock = *held.release();
    held = std::unique_lock<L>(lock, std::defer_lock);
    const bool notified = core_->wait(*lock.core_, deadline, call);
    held = std::unique_lock<L>(lock, std::adopt_lock);
    return notified;
  }
  template <class L, class Predicate>
  bool wait_for_true(std::unique_lock<L>& held, detail::Deadline deadline, Predicate& predicate,
                     const char* call) {
    while (!predicate()) {
      if (!wait_once(held, deadline, call)) return predicate();
    }
    return true;
  }

  std::shared_ptr<detail::ConditionCore> core_;
};

}  // namespace tandem
