#include "support/supervisor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>

#include "support/proc.hpp"

namespace tandem::test {
namespace {

using std::chrono::steady_clock;

constexpr char kMarker[] = "TANDEM_TEST_SUPERVISED";  // "pid of the supervisor:descriptor"
constexpr int kWatchdogExit = 124;
constexpr auto kTick = std::chrono::milliseconds(100);

// Shared by supervisor and test process; the name may be garbled only while it changes.
struct WatchPage {
  std::atomic<steady_clock::rep> started;
  char what[248];
};
static_assert(std::atomic<steady_clock::rep>::is_always_lock_free);

WatchPage* page = nullptr;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "test supervisor: %s: %s\n", what, std::strerror(errno));
  std::_Exit(kWatchdogExit);
}

WatchPage* map_page(int memfd) {
  void* memory = ::mmap(nullptr, sizeof(WatchPage), PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  if (memory == MAP_FAILED) fail("mmap");
  return static_cast<WatchPage*>(memory);
}

void set_watch(std::string_view what) {
  const std::size_t size = std::min(what.size(), sizeof(page->what) - 1);
  std::memcpy(page->what, what.data(), size);
  page->what[size] = '\0';
  page->started.store(steady_clock::now().time_since_epoch().count(), std::memory_order_release);
}

// Kills everything below this process. New ones may appear while we look, so until none is left.
void kill_descendants() {
  for (;;) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    const std::vector<pid_t> left = descendants(::getpid());
    if (left.empty()) return;
    for (const pid_t pid : left) ::kill(pid, SIGKILL);
    ::poll(nullptr, 0, 1);
  }
}

// Where gdb is at hand, it says more than /proc does.
void print_user_stacks(const std::vector<pid_t>& processes) {
  constexpr std::size_t kMost = 10;
  std::string commands;
  for (std::size_t i = 0; i < std::min(processes.size(), kMost); ++i) {
    commands += "timeout -s KILL 20 gdb -nx -batch -ex 'thread apply all bt' -p " +
                std::to_string(processes[i]) + " 2>/dev/null | grep -E '^(Thread|#)';";
  }
  const std::string script = "if command -v gdb >/dev/null; then { " + commands + " } >&2; fi";
  if (std::system(script.c_str()) != 0) std::fprintf(stderr, "(no user stacks)\n");
}

[[noreturn]] void end_hanging_test(std::chrono::seconds limit) {
  std::fflush(stdout);
  std::fprintf(stderr, "\nwatchdog: %s takes longer than %lld s. Where everybody is:\n", page->what,
               static_cast<long long>(limit.count()));
  const std::vector<pid_t> processes = descendants(::getpid());
  for (const pid_t pid : processes) print_where_it_hangs(pid);
  print_user_stacks(processes);
  std::fprintf(stderr, "watchdog: %s killed\n", page->what);
  kill_descendants();
  std::_Exit(kWatchdogExit);
}

// What the test program left running has a moment to end; the rest is reported and killed.
bool nothing_survives(int child_signals) {
  const auto deadline = steady_clock::now() + leak_grace();
  for (;;) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    const std::vector<pid_t> left = descendants(::getpid());
    if (left.empty()) return true;
    if (steady_clock::now() >= deadline) {
      std::fprintf(stderr, "leak check: the test program ended before these processes:\n");
      for (const pid_t pid : left) print_where_it_hangs(pid);
      kill_descendants();
      return false;
    }
    pollfd ready{child_signals, POLLIN, 0};
    ::poll(&ready, 1, 10);
    signalfd_siginfo info;
    while (::read(child_signals, &info, sizeof(info)) > 0) {
    }
  }
}

[[noreturn]] void watch(pid_t test, int child_signals, std::chrono::seconds limit) {
  for (;;) {
    pollfd ready{child_signals, POLLIN, 0};
    ::poll(&ready, 1, static_cast<int>(kTick.count()));
    signalfd_siginfo info;
    while (::read(child_signals, &info, sizeof(info)) > 0) {
    }
    int status = 0;
    for (pid_t ended; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended != test) continue;  // an orphan
      int result = WEXITSTATUS(status);
      if (WIFSIGNALED(status)) {
        std::fprintf(stderr, "%s: the test program was ended by signal %d (%s)\n", page->what,
                     WTERMSIG(status), ::strsignal(WTERMSIG(status)));
        result = 128 + WTERMSIG(status);
      }
      if (!nothing_survives(child_signals) && result == 0) result = 1;
      std::_Exit(result);
    }
    const steady_clock::time_point started(
        steady_clock::duration(page->started.load(std::memory_order_acquire)));
    if (steady_clock::now() - started > limit) end_hanging_test(limit);
  }
}

}  // namespace

bool full_form() {
  const char* text = std::getenv("TANDEM_FULL");
  return text != nullptr && std::string_view(text) == "1";
}

std::chrono::seconds test_limit() {
  const char* text = std::getenv("TANDEM_TEST_TIMEOUT");
  return std::chrono::seconds(text != nullptr ? std::atoi(text) : 60 * kSlowdown);
}

std::chrono::milliseconds leak_grace() {
  const char* text = std::getenv("TANDEM_TEST_GRACE");
  return std::chrono::milliseconds(text != nullptr ? std::atoi(text) : 2000 * kSlowdown);
}

bool supervised() { return page != nullptr; }

void begin_watch(std::string_view what) {
  if (supervised()) set_watch(what);
}

void supervise(int argc, char** argv) {
  if (const char* marker = std::getenv(kMarker)) {
    int supervisor = 0;
    int memfd = -1;
    if (std::sscanf(marker, "%d:%d", &supervisor, &memfd) == 2 && supervisor == ::getppid()) {
      page = map_page(memfd);
      ::close(memfd);
      ::setenv(kMarker, "0:-1", 1);  // an orphan of ours may have the supervisor for a parent, too
    }
    return;  // a test process, or a child made by one
  }
  const std::chrono::seconds limit = test_limit();
  const bool lists_only = std::any_of(argv, argv + argc, [](std::string_view argument) {
    return argument == "--gtest_list_tests" || argument == "--help";
  });
  if (limit <= std::chrono::seconds::zero() || lists_only) return;

  const int memfd = ::memfd_create("test-watch", 0);
  if (memfd < 0 || ::ftruncate(memfd, sizeof(WatchPage)) != 0) fail("memfd_create");
  page = map_page(memfd);
  set_watch("start of the test program");

  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) fail("prctl");
  sigset_t child_signal;
  sigset_t before;
  ::sigemptyset(&child_signal);
  ::sigaddset(&child_signal, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child_signal, &before);
  const int child_signals = ::signalfd(-1, &child_signal, SFD_CLOEXEC | SFD_NONBLOCK);
  if (child_signals < 0) fail("signalfd");

  const pid_t supervisor = ::getpid();
  ::setenv(kMarker, (std::to_string(supervisor) + ":" + std::to_string(memfd)).c_str(), 1);
  const pid_t test = ::fork();
  if (test < 0) fail("fork");
  if (test == 0) {
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != supervisor) std::_Exit(kWatchdogExit);
    // The link itself would do, but would make "exe" the name of every process.
    std::error_code error;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
    ::execv(program.c_str(), argv);
    fail("execv");
  }
  ::close(memfd);
  watch(test, child_signals, limit);
}

}  // namespace tandem::test
