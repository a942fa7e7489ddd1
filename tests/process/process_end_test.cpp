// How processes end: codes, uncaught exceptions, output, exit handlers, destructors, daemons.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>

#include "process/passed_fd.hpp"
#include "support/start_methods.hpp"
#include "tandem/detail/context.hpp"
#include "tandem/process.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

using ProcessEndTest = StartMethodTest;
TANDEM_OVER_START_METHODS(ProcessEndTest);

[[noreturn]] void pause_for_ever() {
  for (;;) ::pause();
}
[[noreturn]] void spin_for_ever() {
  for (volatile int i = 0;;) i = i + 1;
}

template <class F, class... A>
int exit_code_of(F f, A... args) {
  Process process(f, args...);
  process.start();
  process.join();
  return process.exitcode().value();
}

TEST_P(ProcessEndTest, ExitCodeTellsHowItEnded) {
  EXPECT_EQ(exit_code_of([] { return 5; }), 0);
  EXPECT_EQ(exit_code_of([] { std::exit(3); }), 3);
  EXPECT_EQ(exit_code_of([] { std::exit(259); }), 3);
  EXPECT_EQ(exit_code_of([] { ::_exit(4); }), 4);
  EXPECT_EQ(exit_code_of([] { ::raise(SIGKILL); }), -SIGKILL);
  EXPECT_EQ(exit_code_of([] { ::raise(SIGTERM); }), -SIGTERM);
}

TEST_P(ProcessEndTest, SignalsEndIt) {
  Process process(pause_for_ever);
  process.start();
  process.terminate();
  process.join();
  EXPECT_EQ(process.exitcode(), -SIGTERM);
  process.terminate();
  process.kill();

  Process interrupted(pause_for_ever);
  interrupted.start();
  interrupted.interrupt();
  interrupted.join();
  EXPECT_EQ(interrupted.exitcode(), -SIGINT);
}

TEST_P(ProcessEndTest, SignalsEndItThoughItsStarterBlocksThem) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  Process process(pause_for_ever);
  process.start();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  process.terminate();
  process.join();
  EXPECT_EQ(process.exitcode(), -SIGTERM);
}

struct Oops : std::runtime_error {
  using std::runtime_error::runtime_error;
};

TEST_P(ProcessEndTest, UncaughtExceptionIsReported) {
  Redirected err(STDERR_FILENO);
  Process process({.name = "boom"}, [] { throw Oops("it went wrong"); });
  process.start();
  process.join();
  EXPECT_EQ(process.exitcode(), 1);
  const std::string said = err.take();
  EXPECT_THAT(said, HasSubstr("Process boom (pid " + std::to_string(process.pid()) + "): "));
  EXPECT_THAT(said, HasSubstr("Oops: it went wrong\n"));
}

TEST_P(ProcessEndTest, UncaughtValueIsReported) {
  Redirected err(STDERR_FILENO);
  Process process({.name = "boom"}, [] { throw 7; });
  process.start();
  process.join();
  EXPECT_EQ(process.exitcode(), 1);
  EXPECT_EQ(err.take(), "Process boom (pid " + std::to_string(process.pid()) + "): int\n");
}

TEST_P(ProcessEndTest, OutputIsFlushedOnce) {
  Redirected out(STDOUT_FILENO);
  std::printf("parent ");
  Process returns([] {
    std::printf("one ");
    std::cout << "two ";
  });
  returns.start();
  returns.join();
  Process exits([] {
    std::printf("three ");
    std::exit(0);
  });
  exits.start();
  exits.join();
  std::fflush(stdout);
  EXPECT_EQ(out.take(), "parent one two three ");
}

TEST_P(ProcessEndTest, ReadsNothingFromStandardInput) {
  EXPECT_EQ(exit_code_of([] {
              char byte = 0;
              std::exit(std::getchar() == EOF && ::read(STDIN_FILENO, &byte, 1) == 0 ? 0 : 1);
            }),
            0);
}

TEST_P(ProcessEndTest, WorksWithClosedOutput) {
  auto [reader, writer] = make_pipe();
  const int out = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  const int err = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  std::fflush(stdout);
  ::close(STDOUT_FILENO);
  ::close(STDERR_FILENO);
  Process talks(
      [](const PassedFd& to) {
        std::cout << "lost" << std::flush;
        to.write("kept");
      },
      std::move(writer));
  Process throws([] { throw std::runtime_error("unheard"); });
  talks.start();
  throws.start();
  talks.join();
  throws.join();
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  ::close(out);
  ::close(err);
  EXPECT_EQ(talks.exitcode(), 0);
  EXPECT_EQ(throws.exitcode(), 1);
  EXPECT_EQ(reader.read_all(), "kept");
}

int exit_report = -1;
int exit_report_owner = 0;

TEST_P(ProcessEndTest, ExitHandlersOfTheParentDoNotRunInTheChild) {
  auto pipe = make_pipe();
  // There is no way to take an atexit handler back: registered once, and silent in the parent.
  exit_report = pipe.writer.get();
  exit_report_owner = ::getpid();
  static const int registered = std::atexit([] {
    if (::getpid() == exit_report_owner) return;
    static_cast<void>(!::write(exit_report, "parent's handler ran", 20));
  });
  ASSERT_EQ(registered, 0);
  EXPECT_EQ(exit_code_of([] {}), 0);
  EXPECT_EQ(exit_code_of([] { std::exit(2); }), 2);
  pipe.writer = PassedFd(detail::Fd());
  EXPECT_EQ(pipe.reader.read_all(), "");
}

int hook_output = -1;

TEST_P(ProcessEndTest, HooksRunLastRegisteredFirst) {
  for (const int code : {0, 3}) {
    auto [reader, writer] = make_pipe();
    Process process(
        [](PassedFd out, int exit_code) {
          hook_output = ::dup(out.get());
          detail::at_process_end([] { static_cast<void>(!::write(hook_output, "first ", 6)); });
          detail::at_process_end([] { static_cast<void>(!::write(hook_output, "last ", 5)); });
          if (exit_code != 0) std::exit(exit_code);
        },
        std::move(writer), code);
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), code);
    EXPECT_EQ(reader.read_all(), "last first ");
  }
}

TEST_P(ProcessEndTest, HandlersTheChildRegisteredRun) {
  auto [reader, writer] = make_pipe();
  Process process(
      [](PassedFd out) {
        hook_output = ::dup(out.get());
        std::atexit([] { static_cast<void>(!::write(hook_output, "atexit", 6)); });
      },
      std::move(writer));
  process.start();
  process.join();
  EXPECT_EQ(reader.read_all(), "atexit");
}

TEST_P(ProcessEndTest, DestructorJoins) {
  auto [reader, writer] = make_pipe();
  {
    Process process([](const PassedFd& out) { out.write("done"); }, std::move(writer));
    process.start();
  }
  EXPECT_EQ(reader.read_all(), "done");
  EXPECT_TRUE(active_children().empty());
}

TEST_P(ProcessEndTest, DestructorEndsADaemon) {
  {
    Process process({.daemon = true}, pause_for_ever);
    process.start();
  }
  EXPECT_TRUE(active_children().empty());
}

TEST_P(ProcessEndTest, DestructorKillsADaemonThatIgnoresSigterm) {
  auto [reader, writer] = make_pipe();
  {
    Process process(
        {.daemon = true},
        [](const PassedFd& out) {
          ::signal(SIGTERM, SIG_IGN);
          out.write("x");
          pause_for_ever();
        },
        std::move(writer));
    process.start();
    EXPECT_EQ(reader.read_byte(), 'x');
  }
  EXPECT_EQ(reader.read_all(), "");
}

TEST_P(ProcessEndTest, UnwindingEndsAProcess) {
  try {
    Process process(pause_for_ever);
    process.start();
    throw std::runtime_error("on the way out");
  } catch (const std::runtime_error&) {
  }
  EXPECT_TRUE(active_children().empty());
}

enum class Kind { idle, busy };

// Starts a child of its own that holds `out` for as long as it lives, and says so.
void start_holder(bool daemon, Kind kind, PassedFd out, const PassedFd& ready) {
  auto* holder = new Process(
      {.daemon = daemon},
      [](const PassedFd& held, Kind how) {
        held.write("x");
        if (how == Kind::busy) spin_for_ever();
        pause_for_ever();
      },
      std::move(out), kind);
  holder->start();
  ready.write("r");
  pause_for_ever();
}

TEST_P(ProcessEndTest, DaemonsEndWithTheirKilledParent) {
  for (const Kind kind : {Kind::idle, Kind::busy}) {
    auto [reader, writer] = make_pipe();
    auto ready = make_pipe();
    Process parent(start_holder, true, kind, std::move(writer), std::move(ready.writer));
    parent.start();
    EXPECT_EQ(reader.read_byte(), 'x');
    parent.kill();
    parent.join();
    EXPECT_EQ(reader.read_all(), "");
  }
}

TEST_P(ProcessEndTest, DaemonsEndWithAParentThatDiesFirst) {
  for (int i = 0; i < 10; ++i) {
    auto [reader, writer] = make_pipe();
    Process parent(
        [](PassedFd out) {
          auto* daemon = new Process(
              {.daemon = true}, [](const PassedFd&) { pause_for_ever(); }, std::move(out));
          daemon->start();
          ::raise(SIGKILL);
        },
        std::move(writer));
    parent.start();
    parent.join();
    EXPECT_EQ(parent.exitcode(), -SIGKILL);
    EXPECT_EQ(reader.read_all(), "");
  }
}

TEST_P(ProcessEndTest, OthersOutliveTheirKilledParent) {
  auto [reader, writer] = make_pipe();
  auto hold = make_pipe();
  auto ready = make_pipe();
  Process parent(
      [](PassedFd out, PassedFd until, const PassedFd& started) {
        auto* child = new Process(
            [](const PassedFd& to, const PassedFd& from) {
              static_cast<void>(from.read_byte());
              to.write(parent_process()->is_alive() ? "parent lives" : "orphan");
            },
            std::move(out), std::move(until));
        child->start();
        started.write("r");
        pause_for_ever();
      },
      std::move(writer), std::move(hold.reader), std::move(ready.writer));
  parent.start();
  EXPECT_EQ(ready.reader.read_byte(), 'r');
  parent.kill();
  parent.join();
  hold.writer.write("x");
  EXPECT_EQ(reader.read_all(), "orphan");
}

TEST_P(ProcessEndTest, ADaemonOutlivesTheThreadThatStartedIt) {
  auto [reader, writer] = make_pipe();
  auto hold = make_pipe();
  Process process(
      {.daemon = true},
      [](const PassedFd& to, const PassedFd& from) {
        static_cast<void>(from.read_byte());
        to.write("alive");
      },
      std::move(writer), std::move(hold.reader));
  std::thread([&] { process.start(); }).join();
  EXPECT_FALSE(process.join_for(50ms));
  hold.writer.write("x");
  EXPECT_EQ(reader.read_all(), "alive");
}

}  // namespace
}  // namespace tandem::test
