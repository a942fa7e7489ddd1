// This process: its number, its end, its last words.
#pragma once

#include <string_view>

namespace tandem::os {

[[nodiscard]] int process_id() noexcept;
[[nodiscard]] int parent_process_id() noexcept;

/// Ends the process at once: no destructors, no exit hooks, nothing flushed. Async-signal-safe.
[[noreturn]] void exit_now(int code) noexcept;

/// Writes all of it to standard error, if there is one; async-signal-safe.
void write_to_stderr(std::string_view text) noexcept;
[[nodiscard]] bool stderr_is_terminal() noexcept;

}  // namespace tandem::os
