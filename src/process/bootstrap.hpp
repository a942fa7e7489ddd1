// What a child does around its target, however it was started.
#pragma once

#include <functional>

#include "tandem/detail/fd.hpp"

namespace tandem::detail {

/// From now on this process ends when the one that `owner` (a pidfd) names has ended; at once if it
/// has. Descriptors rather than PR_SET_PDEATHSIG, which follows the thread that started us.
void end_with(Fd owner);

/// Runs `body`, then ends the process by std::exit: 0, or 1 after an exception, which is reported.
[[noreturn]] void run_to_the_end(const std::function<void()>& body);

/// In a forked child: at its end run what it registered itself and the hooks of at_process_end, but
/// not its parent's exit handlers and destructors of globals.
void end_as_forked_child();

/// What ps is to show for a program that was started as `path`.
[[nodiscard]] const char* command_name(const char* path);

/// One line about the exception being handled, in one write to standard error.
void report_uncaught() noexcept;

/// Both standard libraries' buffered output.
void flush_standard_streams();

}  // namespace tandem::detail
