// Is the process that left its pid in shared memory still there? A pid alone may have been given to
// another.
#pragma once

#include <cstdint>
#include <optional>

namespace tandem::os {

/// When the process started, in clock ticks since boot, modulo 2^32; nothing when it is gone or a
/// zombie.
[[nodiscard]] std::optional<std::uint32_t> birth_of(int pid);

}  // namespace tandem::os
