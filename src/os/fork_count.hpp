// Telling a process from the copies that fork makes of it.
#pragma once

#include <cstdint>

namespace tandem::os {

/// How many forks lie between the program's start and this process: another number than in any
/// process this one was forked from. No system call.
[[nodiscard]] std::uint64_t fork_count() noexcept;

}  // namespace tandem::os
