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

/// Has malloc keep up to so much freed memory, in blocks of up to 32 MiB, for what is allocated next:
/// to get a page from the kernel again costs more than to fill it.
void keep_freed_memory(std::size_t bytes) noexcept;

}  // namespace tandem::os
