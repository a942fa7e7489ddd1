/// \file
/// What wait_any needs of a thing that tells through shared memory that it is ready.
#pragma once

#include "tandem/detail/export.hpp"

namespace tandem::detail {

/// A waiter looks at `ready` for a while; then it arms all its sources, calls one heavy fence for
/// all of them, looks at `ready` of each once more, sleeps until a `doorbell` is readable, and
/// disarms. Each `arm` is followed by one `disarm`; a source may be given several times.
class TANDEM_EXPORT WaitSource {
 public:
  WaitSource() = default;
  WaitSource(const WaitSource&) = delete;
  WaitSource& operator=(const WaitSource&) = delete;
  virtual ~WaitSource() = default;

  /// Whether something waits, as far as can be told without a system call.
  [[nodiscard]] virtual bool ready() = 0;
  /// Says that the caller is about to sleep: whatever comes after the fence rings the doorbell.
  virtual void arm() = 0;
  virtual void disarm() = 0;
  /// Readable when it was rung, and at the end of file. \throws Closed
  [[nodiscard]] virtual int doorbell() const = 0;
  /// After the doorbell: hears it out and says whether something waits, the end of file included.
  [[nodiscard]] virtual bool ready_after_doorbell() = 0;
};

}  // namespace tandem::detail
