/// \file
/// The core of Condition: waiters of any process, and notifications for them.
#pragma once

#include <memory>
#include <string>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/lock_core.hpp"

namespace tandem::detail {

class Decoder;
class Encoder;

class TANDEM_EXPORT ConditionCore {
 public:
  ConditionCore() = default;
  ConditionCore(const ConditionCore&) = delete;
  ConditionCore& operator=(const ConditionCore&) = delete;
  virtual ~ConditionCore() = default;

  [[nodiscard]] static std::shared_ptr<ConditionCore> create();
  /// Rebuilds what `hand_over` wrote. \throws DecodeError if it is not a condition
  [[nodiscard]] static std::shared_ptr<ConditionCore> adopt(Decoder& from);
  virtual void hand_over(Encoder& to) const = 0;

  /// The caller holds the lock, and holds it again as often as before when this returns. It does
  /// not when this throws.
  /// \returns false when it was not notified until the deadline
  /// \throws OwnerDied when the lock's holder died
  /// \throws SystemError EPERM when the caller does not hold the lock
  [[nodiscard]] virtual bool wait(LockCore& lock, Deadline deadline, const char* call) = 0;
  virtual void notify_one() noexcept = 0;
  virtual void notify_all() noexcept = 0;
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;

  /// The unique_lock that was to be waited with holds nothing.
  [[noreturn]] void throw_not_held(const char* call) const;
};

}  // namespace tandem::detail
