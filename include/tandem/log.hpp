/// \file
/// What tandem has to say beside its errors: a child that had to be killed, a buffer that is still
/// being flushed, a client that was refused. Silent unless asked:
///
///     TANDEM_LOG=debug ./program          # debug, info, warning or error
///     tandem::log_to_stderr(tandem::LogLevel::warning);
///     tandem::set_log_handler([](tandem::LogLevel, std::string_view line) { syslog(...); });
///
/// Every line carries the name and the pid of its process:
///
///     tandem warning MainProcess[4711]: Queue tandem-queue-7f3a: 12 items wait to be flushed
#pragma once

#include <string_view>

#include "tandem/detail/export.hpp"

namespace tandem {

/// How much a line matters.
enum class LogLevel { debug, info, warning, error };

/// Receives a whole line, without a newline and of at most 4 KiB; what is longer ends in "...".
/// Called by any thread, also by several at once and from destructors, so it must not throw; it
/// must not call tandem either.
using LogHandler = void (*)(LogLevel level, std::string_view line);

/// Writes lines of this level and above to standard error, each in one write(2), from now on in
/// this process and in those it forks or starts. Overrides the environment's TANDEM_LOG. Any
/// thread; may be called before `init`.
TANDEM_EXPORT void log_to_stderr(LogLevel level);

/// Hands lines of every level to `handler` as well; null takes the old one away, after which
/// another thread may still be inside it. Independent of what goes to standard error. Any thread.
/// Call it before `init` to have it in spawned children too.
TANDEM_EXPORT void set_log_handler(LogHandler handler);

}  // namespace tandem
