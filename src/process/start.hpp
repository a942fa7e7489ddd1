// The seam between Process and the ways to start one. A start method makes a process that becomes `child`
// and runs `target`; that is all that differs between them.
#pragma once

#include "os/exec.hpp"
#include "process/context.hpp"
#include "tandem/detail/process_core.hpp"

namespace tandem::detail {

/// Once it returns, what the target's arguments handed over is the child's.
/// \throws StartError, SystemError: nothing is left behind. NotSendable, and what the arguments'
///   own functions throw while they are encoded, passes through
[[nodiscard]] os::ChildProcess start_spawn(Target& target, const Identity& child);
[[nodiscard]] os::ChildProcess start_fork(Target& target, const Identity& child);

/// The other side of start_spawn: this program was executed with `descriptors` (a decimal number)
/// handed to it, the payload first.
[[noreturn]] void run_spawned_child(const char* program, const char* descriptors);

}  // namespace tandem::detail
