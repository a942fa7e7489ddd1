/// \file
/// The core of Semaphore and BoundedSemaphore: a number of permits for all threads of all processes
/// that share it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"

namespace tandem::detail {

class Decoder;
class Encoder;

/// Any thread of any process. `call` is the caller's name for messages, such as
/// "Semaphore::release".
class TANDEM_EXPORT SemaphoreCore {
 public:
  SemaphoreCore() = default;
  SemaphoreCore(const SemaphoreCore&) = delete;
  SemaphoreCore& operator=(const SemaphoreCore&) = delete;
  virtual ~SemaphoreCore() = default;

  /// \param bounded never more permits than at the beginning
  /// \throws SystemError EINVAL for more permits than can be counted
  [[nodiscard]] static std::shared_ptr<SemaphoreCore> create(std::size_t permits, bool bounded);
  /// Rebuilds what `hand_over` wrote. \throws DecodeError if it is not a semaphore of this sort
  [[nodiscard]] static std::shared_ptr<SemaphoreCore> adopt(Decoder& from, bool bounded);
  virtual void hand_over(Encoder& to) const = 0;

  /// \returns false when there was no permit until the deadline
  [[nodiscard]] virtual bool acquire(Deadline deadline) = 0;
  /// \throws SystemError EOVERFLOW when there would be too many; then there are as many as before
  virtual void release(std::size_t permits, const char* call) = 0;
  [[nodiscard]] virtual std::size_t value() const noexcept = 0;
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
};

}  // namespace tandem::detail
