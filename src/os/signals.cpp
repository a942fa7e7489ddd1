#include "os/signals.hpp"

#include <csignal>

#include <unistd.h>

#include "os/check.hpp"

namespace tandem::os {

void ignore_interrupts() {
  struct sigaction action = {};
  check(::sigaction(SIGINT, nullptr, &action), "ask about SIGINT");
  if (action.sa_handler == SIG_IGN) return;
  action = {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  check(::sigaction(SIGINT, &action, nullptr), "ignore SIGINT");
}

void wait_for_signal() noexcept { ::pause(); }

// The C library refuses those it keeps for itself; they stay as they are.
SignalDispositions::SignalDispositions() noexcept {
  for (int signal = 1; signal < NSIG; ++signal) {
    ::sigaction(signal, nullptr, &actions_[static_cast<std::size_t>(signal)]);
  }
}

void SignalDispositions::restore() const noexcept {
  for (int signal = 1; signal < NSIG; ++signal) {
    ::sigaction(signal, &actions_[static_cast<std::size_t>(signal)], nullptr);
  }
}

}  // namespace tandem::os
