// The seam between Process and the ways to start one. A start method makes a process that becomes `child`
// and runs `target`; that is all that differs between them.
#pragma once

#include <string>

#include "os/exec.hpp"
#include "process/context.hpp"
#include "tandem/call.hpp"
#include "tandem/detail/process_core.hpp"

namespace tandem::detail {

/// Once it returns, what the target's arguments handed over is the child's.
/// \throws StartError, SystemError: nothing is left behind. NotSendable, and what the arguments'
///   own functions throw while they are encoded, passes through
[[nodiscard]] os::ChildProcess start_spawn(Target& target, const Identity& child);
[[nodiscard]] os::ChildProcess start_fork(Target& target, const Identity& child);

/// A process that is not a child of this one.
struct ServedProcess {
  os::ChildProcess process;
  Fd report;  // where its parent, the fork server, says how it ended
};
[[nodiscard]] ServedProcess start_forkserver(Target& target, const Identity& child);

/// start_spawn for those who hold the start gate and have seen to `init`.
[[nodiscard]] os::ChildProcess exec_child(Target& target, const Identity& child);
/// \throws StartError when the program has not called `init`
void require_init(const std::string& child);

/// The other side of exec_child: this program was executed with `descriptors` (a decimal number)
/// handed to it, the payload first.
[[noreturn]] void run_spawned_child(const char* program, const char* descriptors);

}  // namespace tandem::detail
