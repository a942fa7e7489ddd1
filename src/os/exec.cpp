#include "os/exec.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "os/check.hpp"

// glibc's own name for clone(2). ThreadSanitizer takes `clone` for a fork and prepares "the child"
// for it, which with CLONE_VM is the parent: it would not see this thread's mutexes any more.
extern "C" int __clone(int (*run)(void*), void* stack, int flags, void* argument, ...);

#define TANDEM_UNINSTRUMENTED __attribute__((no_sanitize("address", "thread", "undefined")))

namespace tandem::os {
namespace {

constexpr int kFirstDescriptor = 3;

struct ExecPlan {
  const char* path;
  char* const* argv;
  std::span<int> descriptors;
  // Written by the child, whose memory is ours until it has executed the program.
  const char* failed_step = nullptr;
  int error = 0;
};

// The child of exec_program. It runs in the parent's memory while the parent's thread is suspended:
// no allocation, no lock, and none of the functions that sanitizers wrap, since what those would
// note down about the child they would note down for the parent.
class ExecChild {
 public:
  TANDEM_UNINSTRUMENTED static int run(void* argument) {
    auto& plan = *static_cast<ExecPlan*>(argument);
    plan.failed_step = arrange(plan);
    if (plan.failed_step == nullptr) {
      call(SYS_execve, plan.path, plan.argv, environ);
      plan.failed_step = "exec";
    }
    plan.error = errno;
    call(SYS_exit_group, 127);
    return 0;
  }

 private:
  template <class... A>
  TANDEM_UNINSTRUMENTED static long call(long number, A... arguments) {
    return ::syscall(number, arguments...);
  }

  // \returns the step that failed
  TANDEM_UNINSTRUMENTED static const char* arrange(ExecPlan& plan) {
    reset_signals();

    // Descriptors that lie where others are to go step aside first.
    const int end = kFirstDescriptor + static_cast<int>(plan.descriptors.size());
    for (int& fd : plan.descriptors) {
      if (fd >= end) continue;
      const long moved = call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, end);
      if (moved == -1) return "hand over descriptors";
      fd = static_cast<int>(moved);
    }
    int target = kFirstDescriptor;
    for (const int fd : plan.descriptors) {
      if (call(SYS_dup3, fd, target++, 0) == -1) return "hand over descriptors";
    }
    if (const char* failed = arrange_standard_streams()) return failed;
    return close_from(end) ? nullptr : "close descriptors";
  }

  // A descriptor of the parent's that happens to be number 1, because its stdout was closed, must
  // not be written to as the child's stdout; neither may one that the child opens later.
  TANDEM_UNINSTRUMENTED static const char* arrange_standard_streams() {
    const long null = call(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
    if (null == -1) return "open /dev/null";
    for (int stream = 0; stream < kFirstDescriptor; ++stream) {
      if (stream != 0) {
        const long flags = call(SYS_fcntl, stream, F_GETFD);
        if (flags != -1 && (flags & FD_CLOEXEC) == 0) continue;
      }
      if (null == stream) {
        call(SYS_fcntl, stream, F_SETFD, 0);
      } else if (call(SYS_dup3, null, stream, 0) == -1) {
        return "hand over descriptors";
      }
    }
    return nullptr;
  }

  TANDEM_UNINSTRUMENTED static bool close_from(int first) {
    if (call(SYS_close_range, first, ~0U, 0) == 0) return true;
    if (errno != ENOSYS) return false;
    const long limit = ::sysconf(_SC_OPEN_MAX);
    for (long fd = first; fd < limit; ++fd) call(SYS_close, fd);
    return true;
  }

  // The parent's handlers must not run here, where they would work on the parent's memory.
  TANDEM_UNINSTRUMENTED static void reset_signals() {
    // All zero is SIG_DFL in the kernel's struct, whose first word is the handler.
    struct KernelAction {
      unsigned long words[8];
    };
    const KernelAction default_action{};
    constexpr std::size_t kSetBytes = 8;
    for (int signal = 1; signal <= 64; ++signal) {
      KernelAction now{};
      if (call(SYS_rt_sigaction, signal, nullptr, &now, kSetBytes) != 0) continue;
      if (now.words[0] == 0 || now.words[0] == 1) continue;  // SIG_DFL, SIG_IGN
      call(SYS_rt_sigaction, signal, &default_action, nullptr, kSetBytes);
    }
    const unsigned long none = 0;
    call(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, kSetBytes);
  }
};

void reap_failed(const detail::Fd& pidfd) noexcept {
  siginfo_t info;
  static_cast<void>(
      retry([&] { return ::waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &info, WEXITED); }));
}

}  // namespace

ChildProcess exec_program(const char* path, char* const argv[], std::span<const int> descriptors) {
  std::vector<int> sources(descriptors.begin(), descriptors.end());
  ExecPlan plan{path, argv, sources};
  // Only as deep as a few system calls; this thread is suspended for as long as the child uses it.
  alignas(16) std::byte stack[16 * 1024];
  int pidfd = -1;

  pid_t pid = -1;
  {
    const SignalsBlocked blocked;
    pid = ::__clone(&ExecChild::run, stack + sizeof stack,
                    CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &plan, &pidfd);
  }
  if (pid == -1) throw_last_error("clone");
  ChildProcess child{pid, detail::Fd(pidfd)};
  if (plan.failed_step != nullptr) {
    reap_failed(child.pidfd);
    throw_error(plan.error, plan.failed_step);
  }
  return child;
}

pid_t fork_process() { return check(::fork(), "fork"); }

void kill_and_reap(pid_t pid) noexcept {
  ::kill(pid, SIGKILL);
  static_cast<void>(retry([&] { return ::waitpid(pid, nullptr, 0); }));
}

void at_fork(void (*before)(), void (*after_in_parent)(), void (*after_in_child)()) {
  if (const int error = ::pthread_atfork(before, after_in_parent, after_in_child)) {
    throw_error(error, "pthread_atfork");
  }
}

detail::Fd open_null() {
  return detail::Fd(check(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open /dev/null"));
}

void replace_stdin(detail::Fd null) {
  const int flags = ::fcntl(STDIN_FILENO, F_GETFD);
  if (null.get() == STDIN_FILENO) {
    check(::fcntl(null.release(), F_SETFD, 0), "fcntl stdin");
  } else if (flags == -1 || (flags & FD_CLOEXEC) == 0) {
    check(::dup2(null.get(), STDIN_FILENO), "dup2 stdin");
  }  // else stdin was closed, and its number is that of a descriptor in use
  ::__fpurge(stdin);
  std::clearerr(stdin);
}

void replace_output(detail::Fd fd) { check(::dup2(fd.get(), STDOUT_FILENO), "dup2 stdout"); }
void replace_error(detail::Fd fd) { check(::dup2(fd.get(), STDERR_FILENO), "dup2 stderr"); }

void silence_output() {
  const detail::Fd null(check(::open("/dev/null", O_WRONLY | O_CLOEXEC), "open /dev/null"));
  check(::dup2(null.get(), STDOUT_FILENO), "dup2 stdout");
  check(::dup2(null.get(), STDERR_FILENO), "dup2 stderr");
}

detail::Fd copy_of_stream(int stream) {
  const int flags = ::fcntl(stream, F_GETFD);
  if (flags == -1 || (flags & FD_CLOEXEC) != 0) return {};
  return detail::Fd(check(::fcntl(stream, F_DUPFD_CLOEXEC, kFirstDescriptor), "copy a stream"));
}

void fill_standard_streams() {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    if (::fcntl(stream, F_GETFD) != -1) continue;
    // The lowest free number is this one: those below it are taken. Opened the wrong way round, so
    // that using it fails as using the closed one would.
    const int flags = stream == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    check(::open("/dev/null", flags), "open /dev/null");
  }
}

void unblock_all_signals() {
  sigset_t none;
  sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

void set_close_on_exec(int fd) { check(::fcntl(fd, F_SETFD, FD_CLOEXEC), "fcntl F_SETFD"); }

void set_command_name(const char* name) { ::prctl(PR_SET_NAME, name, 0, 0, 0); }

SignalsBlocked::SignalsBlocked() noexcept {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

}  // namespace tandem::os
