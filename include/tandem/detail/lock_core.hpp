/// \file
/// The core of Lock and RLock: one holder at a time among all threads of all processes that share
/// it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"

namespace tandem::detail {

class Decoder;
class Encoder;

/// Any thread of any process. `call` is the caller's name for messages, such as "Lock::lock".
class TANDEM_EXPORT LockCore {
 public:
  LockCore() = default;
  LockCore(const LockCore&) = delete;
  LockCore& operator=(const LockCore&) = delete;
  virtual ~LockCore() = default;

  /// \param recursive its holder may take it again, and unlocks it as often
  [[nodiscard]] static std::shared_ptr<LockCore> create(bool recursive);
  /// Rebuilds what `hand_over` wrote. \throws DecodeError if it is not a lock of this sort
  [[nodiscard]] static std::shared_ptr<LockCore> adopt(Decoder& from, bool recursive);
  virtual void hand_over(Encoder& to) const = 0;

  /// \returns false when it was not free until the deadline
  /// \throws OwnerDied not held, until somebody's `recover`
  /// \throws SystemError EDEADLK when the caller holds it and it is not recursive (one try just
  /// fails);
  ///         EAGAIN when it is and the caller holds it 2^32 - 1 times
  [[nodiscard]] virtual bool lock(Deadline deadline, const char* call) = 0;
  /// \throws SystemError EPERM when the caller does not hold it
  virtual void unlock(const char* call) = 0;
  /// \returns true when the lock is now held and its state the caller's to mend; false when nothing
  ///   is to be recovered
  [[nodiscard]] virtual bool recover(const char* call) = 0;
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;

  // What Condition needs.

  /// Unlocks it as often as it was locked. \returns how often that was
  /// \throws SystemError EPERM when the caller does not hold it
  [[nodiscard]] virtual std::uint32_t unlock_wholly(const char* call) = 0;
  /// Waits until it is held as before unlock_wholly. \throws OwnerDied not held
  virtual void lock_again(std::uint32_t times, const char* call) = 0;
  /// Whether a holder died and nobody has recovered yet. A hint, and cheap.
  [[nodiscard]] virtual bool owner_died() const noexcept = 0;
};

}  // namespace tandem::detail
