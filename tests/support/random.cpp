#include "support/random.hpp"

#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>

namespace tandem::test {

std::uint64_t seed() {
  const char* text = std::getenv("TANDEM_SEED");
  const std::uint64_t value =
      text != nullptr ? std::strtoull(text, nullptr, 10)
                      : (std::uint64_t{std::random_device()()} << 32) | std::random_device()();
  std::cout << "TANDEM_SEED=" << value << " repeats this run" << std::endl;
  testing::Test::RecordProperty("seed", std::to_string(value));
  return value;
}

void signal_within(pid_t pid, int signal, std::chrono::nanoseconds span, std::mt19937_64& random) {
  std::uniform_int_distribution<std::int64_t> moment(0, span.count());
  std::this_thread::sleep_for(std::chrono::nanoseconds(moment(random)));
  EXPECT_EQ(::kill(pid, signal), 0) << "signal " << signal << " to " << pid;
}

void kill_within(pid_t pid, std::chrono::nanoseconds span, std::mt19937_64& random) {
  signal_within(pid, SIGKILL, span, random);
}

void stop_within(pid_t pid, std::chrono::nanoseconds span, std::mt19937_64& random) {
  signal_within(pid, SIGSTOP, span, random);
  signal_within(pid, SIGCONT, span, random);
}

bool strike_within(pid_t pid, std::chrono::nanoseconds span, std::mt19937_64& random) {
  const auto kind = random() % 4;
  if (kind == 0) {
    stop_within(pid, span, random);
    return false;
  }
  if (kind == 1) signal_within(pid, SIGSTOP, span, random);
  kill_within(pid, span, random);
  return true;
}

}  // namespace tandem::test
