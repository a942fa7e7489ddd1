#include "os/self.hpp"

#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <new>

namespace tandem::os {

int process_id() noexcept { return ::getpid(); }

int parent_process_id() noexcept { return ::getppid(); }

void exit_now(int code) noexcept { ::_exit(code); }

void write_to_stderr(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written == -1 && errno == EINTR) continue;
    if (written <= 0) return;  // nobody is left to be told
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void at_fork(void (*before)(), void (*after_in_parent)(), void (*after_in_child)()) {
  // Its only error is a lack of memory.
  if (::pthread_atfork(before, after_in_parent, after_in_child) != 0) throw std::bad_alloc();
}

}  // namespace tandem::os
