// What starting a process takes and gives back: descriptors, threads, signals; and starts that fail.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "os/exec.hpp"
#include "process/descriptor_limit.hpp"
#include "process/passed_fd.hpp"
#include "support/forked.hpp"
#include "support/proc.hpp"
#include "support/start_methods.hpp"
#include "tandem/error.hpp"
#include "tandem/process.hpp"

namespace tandem::test {
namespace {

using testing::HasSubstr;

using ProcessResourceTest = StartMethodTest;
TANDEM_OVER_START_METHODS(ProcessResourceTest);

std::set<int> descriptor_numbers() {
  std::set<int> numbers;
  for (int fd = 0; fd < 256; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1) numbers.insert(fd);
  }
  return numbers;
}

TEST_P(ProcessResourceTest, EachChildSeesTheSameNumberOfDescriptors) {
  // Each child starts while those before it still run and the parent holds their sentinels.
  std::vector<Process> processes;
  std::vector<std::string> counts;
  for (int i = 0; i < 5; ++i) {
    auto report = make_pipe();
    const PassedFd& reader = report.reader;
    processes.emplace_back(
        ProcessOptions{.daemon = true},
        [](const PassedFd& out) {
          out.write(std::to_string(descriptor_numbers().size()) + ".");
          ::pause();
        },
        std::move(report.writer));
    processes.back().start();
    std::string count;
    for (char c = 0; (c = reader.read_byte()) != '.';) count += c;
    counts.push_back(count);
  }
  EXPECT_THAT(counts, testing::Each(counts.front()));
}

TEST(ProcessSpawnTest, HandsOverNothingElse) {
  auto [reader, writer] = make_pipe();
  // Without close-on-exec: a descriptor of some careless library.
  const int stray = ::open("/dev/null", O_RDONLY);
  Process process(
      [](const PassedFd& out) {
        std::string seen;
        for (const int fd : descriptor_numbers()) {
          // Standard streams, what was passed, and nothing that survives a further exec.
          if (fd > 2 && fd != out.get()) seen += std::to_string(fd) + " ";
          if (fd > 2 && (::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0) seen += "not close-on-exec ";
        }
        out.write(seen);
      },
      std::move(writer));
  process.start();
  EXPECT_EQ(reader.read_all(), "");
  process.join();
  ::close(stray);
}

TEST(ProcessSpawnTest, ResetsSignals) {
  auto [reader, writer] = make_pipe();
  ::signal(SIGUSR1, [](int) {});
  ::signal(SIGUSR2, SIG_IGN);
  sigset_t some;
  sigset_t before;
  sigemptyset(&some);
  sigaddset(&some, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &some, &before);
  Process process(
      [](const PassedFd& out) {
        struct sigaction handled {};
        struct sigaction ignored {};
        ::sigaction(SIGUSR1, nullptr, &handled);
        ::sigaction(SIGUSR2, nullptr, &ignored);
        sigset_t mask;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        out.write(std::to_string(handled.sa_handler == SIG_DFL) +
                  std::to_string(ignored.sa_handler == SIG_IGN) +
                  std::to_string(sigisemptyset(&mask)));
      },
      std::move(writer));
  process.start();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::signal(SIGUSR1, SIG_DFL);
  ::signal(SIGUSR2, SIG_DFL);
  EXPECT_EQ(reader.read_all(), "111");
  process.join();
}

TEST_P(ProcessResourceTest, HasTheDirectoryAndEnvironmentOfItsStarter) {
  auto [reader, writer] = make_pipe();
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path("/dev");
  ::setenv("TANDEM_TEST_VARIABLE", "set", 1);
  Process process(
      [](const PassedFd& out) {
        out.write(std::filesystem::current_path().string() + std::getenv("TANDEM_TEST_VARIABLE"));
      },
      std::move(writer));
  process.start();
  std::filesystem::current_path(before);
  ::unsetenv("TANDEM_TEST_VARIABLE");
  EXPECT_EQ(reader.read_all(), "/devset");
  process.join();
}

void say_started(const PassedFd& out) { out.write("started"); }

TEST_P(ProcessResourceTest, FailsWithoutProcessesAndLeaksNothing) {
  Forked limited([] {
    if (::geteuid() == 0 && ::setuid(65534) != 0) return 2;  // root is not limited
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_NPROC, &none) != 0) return 3;
    const std::set<int> before = descriptor_numbers();
    Process process([] {});
    try {
      process.start();
      return 4;
    } catch (const StartError& refused) {
      const std::string_view what = refused.what();
      if (what.find("Resource temporarily unavailable") == what.npos) return 5;
    }
    return descriptor_numbers() == before && process.pid() == 0 ? 0 : 6;
  });
  EXPECT_EQ(limited.wait(), 0);
}

TEST(ProcessExecTest, AMissingProgramIsAnErrorOfThatStepAndLeaksNothing) {
  std::string name = "nothing";
  char* const arguments[] = {name.data(), nullptr};
  const std::set<std::string> before = open_descriptors();
  try {
    static_cast<void>(os::exec_program("/nonexistent/nothing", arguments, {}));
    FAIL() << "was executed";
  } catch (const SystemError& refused) {
    EXPECT_EQ(refused.code(), std::errc::no_such_file_or_directory);
    EXPECT_THAT(refused.what(), HasSubstr("exec"));
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_P(ProcessResourceTest, FailsWithoutDescriptorsAndLeaksNothing) {
  {
    // Once with no limit: see DescriptorLimit::know_types.
    auto pipe = make_pipe();
    Process process({.daemon = true}, say_started, std::move(pipe.writer));
    process.start();
    process.join();
  }
  auto [reader, writer] = make_pipe();
  Process process({.daemon = true}, say_started, std::move(writer));
  const std::set<std::string> before = open_descriptors();
  const std::set<pid_t> children_before = children(::getpid());
  int failures = 0;
  // One more descriptor each time, so that every one of those the start needs is refused once.
  for (int extra = 0; process.pid() == 0; ++extra) {
    std::string error;
    {
      const DescriptorLimit limit(extra);
      try {
        process.start();
      } catch (const StartError& refused) {
        error = refused.what();
      }
    }
    if (process.pid() != 0) break;
    ASSERT_LT(extra, 100);
    ++failures;
    EXPECT_THAT(error, HasSubstr("Process::start on " + process.name()));
    EXPECT_THAT(error, HasSubstr("Too many open files"));
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_EQ(children(::getpid()), children_before);
  }
  EXPECT_GE(failures, 3);
  EXPECT_EQ(reader.read_all(), "started");
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
}

struct Refused {
  void operator()() const {}
  template <class Archive>
  void save(Archive&) const {
    throw NotSendable("not today");
  }
  template <class Archive>
  void load(Archive&) {}
};

TEST_P(ProcessResourceTest, WhatCannotBeEncodedFailsInStart) {
  auto [reader, writer] = make_pipe();
  Process process([](const PassedFd&, const Refused&) {}, std::move(writer), Refused{});
  EXPECT_THROW(process.start(), NotSendable);
  EXPECT_THROW(process.start(), NotSendable);
  EXPECT_EQ(process.pid(), 0);
}

TEST(ProcessForkTest, ChildrenAreWholeThoughTheirSignalIsIgnored) {
  ::signal(SIGCHLD, SIG_IGN);
  for (int i = 0; i < 20; ++i) {
    Process process(start::fork, [] {});
    process.start();
    process.join();
    EXPECT_FALSE(process.is_alive());
  }
  ::signal(SIGCHLD, SIG_DFL);
}

}  // namespace
}  // namespace tandem::test
