// Chance for stress and fault tests, such that a failure can be repeated.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <random>

namespace tandem::test {

/// The seed of this test: TANDEM_SEED if set, else a new one. Printed, so that it can be set.
std::uint64_t seed();

/// Kills (SIGKILL) the process at a random moment within `span` from now, in which it runs on. Then
/// it may still be a zombie.
void kill_within(pid_t pid, std::chrono::nanoseconds span, std::mt19937_64& random);

}  // namespace tandem::test
