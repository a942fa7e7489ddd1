#include "os/self.hpp"

#include <unistd.h>

#include <cerrno>

#include "os/thread_id.hpp"

namespace tandem::os {

int process_id() noexcept { return cached_process_id; }

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

bool stderr_is_terminal() noexcept { return ::isatty(STDERR_FILENO) == 1; }

}  // namespace tandem::os
