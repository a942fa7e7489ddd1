/// \file
/// A lock that its holder may take again.
///
///     tandem::RLock lock;
///     std::scoped_lock outer(lock);
///     std::scoped_lock inner(lock);   // the same thread: not a deadlock
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/lock_core.hpp"

namespace tandem {

/// As Lock in everything but this: the thread that holds it may lock it again, and holds it until
/// it has unlocked it as often. Other threads of its process wait like anybody else.
class TANDEM_EXPORT RLock {
 public:
  using TandemHandle = void;

  /// \throws SystemError when there is no memory or no descriptor left
  RLock();
  RLock(const RLock&) = default;
  RLock& operator=(const RLock&) = default;
  ~RLock() = default;

  /// Waits until the caller holds it. \throws OwnerDied the lock is not held
  void lock();
  /// \returns whether the caller holds it now. \throws OwnerDied
  [[nodiscard]] bool try_lock();
  /// Waits at most that long. Zero or negative means try once. \throws OwnerDied
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& d) {
    return core_->lock(detail::Deadline::after(d), "RLock::try_lock_for");
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] bool try_lock_until(
      const std::chrono::time_point<std::chrono::steady_clock, Duration>& tp) {
    return core_->lock(detail::Deadline::at(tp), "RLock::try_lock_until");
  }
  /// \throws SystemError EPERM when the caller does not hold it
  void unlock();
  /// After `OwnerDied`, as `Lock::recover`; when true the lock is to be unlocked once.
  [[nodiscard]] bool recover();

  /// As messages call it; the same in every process.
  [[nodiscard]] const std::string& name() const noexcept { return core_->name(); }

  void save(detail::Encoder& to) const;
  [[nodiscard]] static RLock detail_decode(detail::Decoder& from);

 private:
  friend class Condition;

  explicit RLock(std::shared_ptr<detail::LockCore> core) noexcept;

  std::shared_ptr<detail::LockCore> core_;
};

}  // namespace tandem
