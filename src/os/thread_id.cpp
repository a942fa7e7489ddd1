#include "os/thread_id.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tandem::os {

constinit pid_t cached_process_id = 0;
constinit thread_local pid_t cached_thread_id = 0;

namespace {

// In a forked child: of the one thread that is left.
void remember() noexcept {
  cached_process_id = ::getpid();
  cached_thread_id = 0;
}

[[gnu::constructor(101)]] void remember_at_load() noexcept {
  remember();
  ::pthread_atfork(nullptr, nullptr, remember);
}

}  // namespace

bool is_own_thread(pid_t thread) noexcept {
  return thread > 0 && ::tgkill(cached_process_id, thread, 0) == 0;
}

pid_t ask_for_thread_id() noexcept {
  return cached_thread_id = static_cast<pid_t>(::syscall(SYS_gettid));
}

}  // namespace tandem::os
