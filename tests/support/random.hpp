// Chance for stress and fault tests, such that a failure can be repeated.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <random>

namespace tandem::test {

/// The seed of this test: TANDEM_SEED if set, else a new one. Printed, so that it can be set.
std::uint64_t seed();

/// Sends the signal at a random moment within `span` from now, in which the process runs on.
void signal_within(pid_t pid, int signal, std::chrono::nanoseconds span, std::mt19937_64& random);
/// SIGKILL. Then it may still be a zombie.
void kill_within(pid_t pid, std::chrono::nanoseconds span, std::mt19937_64& random);
/// SIGSTOP, and SIGCONT after a random time up to `span`.
void stop_within(pid_t pid, std::chrono::nanoseconds span, std::mt19937_64& random);
/// Once in four times the latter; else SIGKILL, now and then after SIGSTOP. \returns whether it was SIGKILL
[[nodiscard]] bool strike_within(pid_t pid, std::chrono::nanoseconds span, std::mt19937_64& random);

}  // namespace tandem::test
