// What this process takes of the machine, and what it may take.
#pragma once

#include <cstddef>

namespace tandem::os {

/// Bytes of its memory that are in RAM (RSS). \throws SystemError
[[nodiscard]] std::size_t resident_bytes();

/// From now on the process stays on one CPU: number `n` of those it may use, counted round and
/// round. \throws SystemError
void stay_on_cpu(std::size_t n);

/// -20 to 19, the higher the more it gives way to others. \throws SystemError
void set_niceness(int niceness);

}  // namespace tandem::os
