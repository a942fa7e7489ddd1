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

void kill_within(pid_t pid, std::chrono::nanoseconds span, std::mt19937_64& random) {
  std::uniform_int_distribution<std::int64_t> moment(0, span.count());
  std::this_thread::sleep_for(std::chrono::nanoseconds(moment(random)));
  EXPECT_EQ(::kill(pid, SIGKILL), 0) << "kill of " << pid;
}

}  // namespace tandem::test
