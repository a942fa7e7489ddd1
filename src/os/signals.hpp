// Signal dispositions.
#pragma once

#include <signal.h>

#include <array>

namespace tandem::os {

/// Makes SIGINT do nothing in this process. A handler, not SIG_IGN, which would survive exec, unless
/// it is ignored already; calls that can be restarted are.
void ignore_interrupts();

/// Returns when a signal was handled.
void wait_for_signal() noexcept;

/// What this process did with each signal when this was made.
class SignalDispositions {
 public:
  SignalDispositions() noexcept;
  /// Async-signal-safe.
  void restore() const noexcept;

 private:
  std::array<struct sigaction, NSIG> actions_{};
};

}  // namespace tandem::os
