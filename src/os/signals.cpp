#include "os/signals.hpp"

#include <csignal>

#include "os/check.hpp"

namespace tandem::os {

void ignore_interrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  check(::sigaction(SIGINT, &action, nullptr), "ignore SIGINT");
}

}  // namespace tandem::os
