// Making processes: clone and exec, fork, and what has to be done to descriptors and signals around
// them.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <span>

#include "tandem/detail/fd.hpp"

namespace tandem::os {

/// A child and the descriptor that names it, opened before anybody could have reaped the child.
struct ChildProcess {
  pid_t pid = 0;
  detail::Fd pidfd;
};

/// Runs the program at `path` in a new process, and returns once that program has been loaded.
///
/// It finds /dev/null at descriptor 0, this process's 1 and 2 (/dev/null where they are closed or
/// close-on-exec here), `descriptors` at 3, 4, 5, ... and nothing else. No signal is blocked in it;
/// those that are ignored here stay ignored, as exec has it.
/// \throws SystemError naming the step that failed; nothing is left behind
[[nodiscard]] ChildProcess exec_program(const char* path, char* const argv[],
                                        std::span<const int> descriptors);

/// fork(2), handlers of at_fork included. \throws SystemError
[[nodiscard]] pid_t fork_process();
/// Ends a child of fork_process that nobody else knows of.
void kill_and_reap(pid_t pid) noexcept;
/// pthread_atfork(3): calls around every fork of this process, the user's own included. \throws
/// SystemError
void at_fork(void (*before)(), void (*after_in_parent)(), void (*after_in_child)());

/// \returns /dev/null, open for reading
[[nodiscard]] detail::Fd open_null();
/// Makes `null` this process's standard input and forgets what had been read ahead from the old
/// one.
void replace_stdin(detail::Fd null);
/// Makes `fd` this process's standard output, or standard error.
void replace_output(detail::Fd fd);
void replace_error(detail::Fd fd);
/// Makes both /dev/null.
void silence_output();
/// \returns a copy of a standard stream; nothing if it is closed, or its number that of a
///   close-on-exec descriptor
[[nodiscard]] detail::Fd copy_of_stream(int stream);
/// Occupies the descriptor of each standard stream that is closed, or the next file that is opened
/// would be it. Reading and writing them still fail with EBADF.
void fill_standard_streams();
void unblock_all_signals();
void set_close_on_exec(int fd);
/// What ps shows for this process; cut after 15 bytes.
void set_command_name(const char* name);

/// Blocks every signal in this thread for its scope, so that threads and processes made in it take
/// none.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept;
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked();

 private:
  sigset_t before_;
};

}  // namespace tandem::os
