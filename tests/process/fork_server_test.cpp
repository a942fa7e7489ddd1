// The fork server's own life: prepared once, killed, restarted, left by its last client; and what it makes of
// a request that is none.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "process/descriptor_limit.hpp"
#include "process/passed_fd.hpp"
#include "support/forked.hpp"
#include "support/proc.hpp"
#include "support/start_methods.hpp"
#include "tandem/error.hpp"
#include "tandem/log.hpp"
#include "tandem/process.hpp"

namespace tandem::test {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

class ForkServerTest : public testing::Test {
 protected:
  void TearDown() override {
    set_forkserver_preload([] {});
    end_fork_servers();
  }
};

void nothing() {}

template <class F, class... A>
int exit_code_of(F f, A... args) {
  Process process(start::forkserver, f, args...);
  process.start();
  process.join();
  return process.exitcode().value();
}

// Who the server is, as its children see it.
int server_pid() {
  auto [reader, writer] = make_pipe();
  Process process(
      start::forkserver, [](const PassedFd& out) { out.write(std::to_string(::getppid())); },
      std::move(writer));
  process.start();
  process.join();
  return std::stoi(reader.read_all());
}

void kill_server(int pid) {
  const detail::Fd server = os::open_pidfd(pid);
  os::send_signal(server, SIGKILL);
  static_cast<void>(os::wait_readable(server.get(), detail::Deadline::never()));
}

TEST_F(ForkServerTest, OneServerServesAllStarts) {
  const int server = server_pid();
  EXPECT_NE(server, ::getpid());
  EXPECT_EQ(server_pid(), server);
  EXPECT_EQ(children(::getpid()), (std::set<pid_t>{server}));
  EXPECT_TRUE(active_children().empty());
}

TEST_F(ForkServerTest, HasOneThreadAndNothingOpenOfItsChildren) {
  const int server = server_pid();
  const auto count = [&](const char* what) {
    const std::filesystem::path path = "/proc/" + std::to_string(server) + "/" + what;
    return std::distance(std::filesystem::directory_iterator(path), {});
  };
  const auto descriptors = count("fd");
  std::vector<Process> processes;
  for (int i = 0; i < 5; ++i) {
    processes.emplace_back(start::forkserver, nothing);
    processes.back().start();
  }
  for (Process& process : processes) {
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
  }
  // What they said is heard after the server has let go of them, except for the last.
  EXPECT_EQ(server_pid(), server);
  EXPECT_LE(count("fd"), descriptors + 2);
  if (!kTsan) {  // which has a thread of its own
    EXPECT_EQ(count("task"), 1);
  }
}

int preloaded = 0;
int preloads = 0;

TEST_F(ForkServerTest, PreloadRunsOnceAndItsStateIsShared) {
  auto [reader, writer] = make_pipe();
  set_forkserver_preload(
      [](int value, const PassedFd& out) {
        preloaded = value;
        ++preloads;
        out.write("preload ");
      },
      42, std::move(writer));
  const auto check = [](int by) { std::exit(preloaded == 42 && preloads == 1 ? by : 1); };
  EXPECT_EQ(exit_code_of(check, 11), 11);
  EXPECT_EQ(exit_code_of(check, 12), 12);
  EXPECT_EQ(preloaded, 0);
  set_forkserver_preload([] {});
  EXPECT_EQ(exit_code_of([] { std::exit(preloaded); }), 0);
  end_fork_servers();
  EXPECT_EQ(reader.read_all(), "preload ");
}

TEST_F(ForkServerTest, WhatAChildChangesIsItsOwn) {
  set_forkserver_preload([] { preloaded = 1; });
  EXPECT_EQ(exit_code_of([] { std::exit(preloaded++); }), 1);
  EXPECT_EQ(exit_code_of([] { std::exit(preloaded++); }), 1);
}

TEST_F(ForkServerTest, APreloadThatThrowsFailsTheStart) {
  set_forkserver_preload([] { throw std::runtime_error("no model"); });
  Redirected err(STDERR_FILENO);
  Process process(start::forkserver, nothing);
  std::string error;
  try {
    process.start();
  } catch (const StartError& refused) {
    error = refused.what();
  }
  const std::string said = err.take();
  EXPECT_THAT(said, HasSubstr("no model"));
  EXPECT_THAT(error, HasSubstr("exited with code 1 before it was prepared"));
  set_forkserver_preload([] {});
  process.start();
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
}

TEST_F(ForkServerTest, APreloadThatKillsTheServerFailsTheStart) {
  set_forkserver_preload([] { ::raise(SIGKILL); });
  Process process(start::forkserver, nothing);
  EXPECT_THROW(process.start(), StartError);
}

TEST_F(ForkServerTest, KilledItIsStartedAgainAndItsProcessesLiveOn) {
  auto hold = make_pipe();
  auto report = make_pipe();
  Process process(
      start::forkserver,
      [](const PassedFd& from, const PassedFd& to) {
        static_cast<void>(from.read_byte());
        to.write("alive");
        std::exit(7);
      },
      std::move(hold.reader), std::move(report.writer));
  process.start();
  const int server = server_pid();
  kill_server(server);
  const int other = server_pid();
  EXPECT_NE(other, server);
  EXPECT_TRUE(process.is_alive());
  EXPECT_EQ(process.exitcode(), std::nullopt);
  hold.writer.write("x");
  EXPECT_EQ(report.reader.read_all(), "alive");
  process.join();
  EXPECT_FALSE(process.is_alive());
  EXPECT_THAT(process.exitcode().value(), AnyOf(7, 255));
}

TEST_F(ForkServerTest, TheRestartedServerIsPreparedAgain) {
  set_forkserver_preload([] { preloaded = 5; });
  kill_server(server_pid());
  EXPECT_EQ(exit_code_of([] { std::exit(preloaded); }), 5);
}

TEST_F(ForkServerTest, KilledAtAnyTimeItCostsAtMostAnError) {
  int ran = 0;
  for (int i = 0; i < 30; ++i) {
    const int server = server_pid();
    const detail::Fd pidfd = os::open_pidfd(server);
    Process process(start::forkserver, [] { std::exit(9); });
    std::thread killer([&] {
      for (int spin = 0; spin < i * 2000; ++spin)
        std::atomic_signal_fence(std::memory_order_seq_cst);
      os::send_signal(pidfd, SIGKILL);
    });
    process.start();
    killer.join();
    process.join();
    EXPECT_THAT(process.exitcode().value(), AnyOf(9, 255));
    if (process.exitcode() == 9) ++ran;
    static_cast<void>(os::wait_readable(pidfd.get(), detail::Deadline::never()));
  }
  EXPECT_GE(ran, 1);
}

TEST_F(ForkServerTest, EndsWithItsLastClient) {
  auto hold = make_pipe();
  auto report = make_pipe();
  Process client(
      start::spawn,
      [](const PassedFd& from, const PassedFd& to) {
        to.write(std::to_string(server_pid()) + ".");
        static_cast<void>(from.read_byte());
        ::raise(SIGKILL);
      },
      std::move(hold.reader), std::move(report.writer));
  client.start();
  std::string pid;
  for (char c = 0; (c = report.reader.read_byte()) != '.';) pid += c;
  const detail::Fd server = os::open_pidfd(std::stoi(pid));
  EXPECT_FALSE(os::wait_readable(server.get(), detail::Deadline::now()));
  hold.writer.write("x");
  client.join();
  EXPECT_TRUE(os::wait_readable(server.get(), detail::Deadline::never()));
}

TEST_F(ForkServerTest, ChildrenAreClients) {
  auto hold = make_pipe();
  auto report = make_pipe();
  Process child(
      start::forkserver,
      [](const PassedFd& from, const PassedFd& to) {
        static_cast<void>(from.read_byte());
        to.write(std::to_string(::getppid()) + " " + std::to_string(server_pid()));
      },
      std::move(hold.reader), std::move(report.writer));
  child.start();
  const int server = server_pid();
  const auto left = detail::fork_server::leave_server();
  hold.writer.write("x");
  EXPECT_EQ(report.reader.read_all(), std::to_string(server) + " " + std::to_string(server));
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
  ASSERT_EQ(left.size(), 1U);
  EXPECT_TRUE(os::wait_readable(left.front()->get(), detail::Deadline::never()));
  EXPECT_EQ(os::reap(*left.front()), 0);
}

TEST_F(ForkServerTest, ParentIsWhoAsked) {
  auto [reader, writer] = make_pipe();
  auto hold = make_pipe();
  Process middle(
      start::spawn,
      [](PassedFd out, PassedFd until) {
        auto* child = new Process(
            start::forkserver,
            [](const PassedFd& to, const PassedFd& from) {
              const auto parent = parent_process();
              to.write(std::to_string(parent->pid() != ::getppid()) +
                       std::to_string(parent->is_alive()) + ".");
              static_cast<void>(from.read_byte());
              to.write(std::to_string(parent->is_alive()));
            },
            std::move(out), std::move(until));
        child->start();
        ::pause();
      },
      std::move(writer), std::move(hold.reader));
  middle.start();
  std::string said;
  for (char c = 0; (c = reader.read_byte()) != '.';) said += c;
  EXPECT_EQ(said, "11");
  middle.kill();
  middle.join();
  hold.writer.write("x");
  EXPECT_EQ(reader.read_all(), "0");
}

TEST_F(ForkServerTest, OutputIsThatOfWhoAsks) {
  const int server = server_pid();
  Redirected out(STDOUT_FILENO);
  EXPECT_EQ(exit_code_of([] { std::printf("here"); }), 0);
  EXPECT_EQ(out.take(), "here");
  EXPECT_EQ(server_pid(), server);
}

TEST_F(ForkServerTest, DirectoryIsThatOfTheServer) {
  const auto before = std::filesystem::current_path();
  static_cast<void>(server_pid());
  std::filesystem::current_path("/dev");
  Process process(
      start::forkserver,
      [](const std::string& expected) {
        std::exit(std::filesystem::current_path() == expected ? 0 : 1);
      },
      before.string());
  process.start();
  process.join();
  std::filesystem::current_path(before);
  EXPECT_EQ(process.exitcode(), 0);
}

TEST_F(ForkServerTest, InterruptsEndProcessesAndNotTheServer) {
  const int server = server_pid();
  Process process(start::forkserver, [] {
    for (;;) ::pause();
  });
  process.start();
  ::kill(server, SIGINT);
  process.interrupt();
  process.join();
  EXPECT_EQ(process.exitcode(), -SIGINT);
  EXPECT_EQ(server_pid(), server);
}

TEST_F(ForkServerTest, SignalsAreAsInANewProgram) {
  set_forkserver_preload([] { ::signal(SIGUSR1, [](int) {}); });
  EXPECT_EQ(exit_code_of([] {
              struct sigaction user {};
              struct sigaction interrupt {};
              ::sigaction(SIGUSR1, nullptr, &user);
              ::sigaction(SIGINT, nullptr, &interrupt);
              sigset_t mask;
              ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
              std::exit(user.sa_handler == SIG_DFL && interrupt.sa_handler == SIG_DFL &&
                                sigisemptyset(&mask) == 1
                            ? 0
                            : 1);
            }),
            0);
}

TEST_F(ForkServerTest, IgnoredInterruptsStayIgnored) {
  ::signal(SIGINT, SIG_IGN);
  const int code = exit_code_of([] {
    struct sigaction interrupt {};
    ::sigaction(SIGINT, nullptr, &interrupt);
    std::exit(interrupt.sa_handler == SIG_IGN ? 0 : 1);
  });
  ::signal(SIGINT, SIG_DFL);
  EXPECT_EQ(code, 0);
}

TEST_F(ForkServerTest, MoreDescriptorsThanOnePacketTakes) {
  std::vector<PassedFd> many;
  auto [reader, writer] = make_pipe();
  for (int i = 0; i < 300; ++i) many.push_back(writer.duplicate());
  writer = PassedFd(detail::Fd());
  Process process(
      start::forkserver,
      [](const std::vector<PassedFd>& all) {
        for (const PassedFd& one : all) one.write("x");
      },
      std::move(many));
  process.start();
  EXPECT_EQ(reader.read_all(), std::string(300, 'x'));
  process.join();
}

TEST_F(ForkServerTest, AServerWithoutDescriptorsSaysSo) {
  set_forkserver_preload([] {
    // For the types that a sanitizer has to meet while there are descriptors.
    { const DescriptorLimit harmless(100); }
    const rlimit limit{40, 40};
    ::setrlimit(RLIMIT_NOFILE, &limit);
  });
  std::vector<Process> processes;
  auto hold = make_pipe();
  std::string error;
  while (error.empty() && processes.size() < 100) {
    Process process(
        start::forkserver, [](const PassedFd& from) { static_cast<void>(from.read_all()); },
        hold.reader.duplicate());
    try {
      process.start();
      processes.push_back(std::move(process));
    } catch (const StartError& refused) {
      error = refused.what();
    }
  }
  EXPECT_THAT(error, HasSubstr("(forkserver): fork server: "));
  EXPECT_THAT(error, HasSubstr("Too many open files"));
  EXPECT_GE(processes.size(), 5U);
  hold.writer = PassedFd(detail::Fd());
  for (Process& process : processes) process.join();
  EXPECT_EQ(exit_code_of([] { std::exit(3); }), 3);
}

TEST_F(ForkServerTest, StartingTheServerFailsWithoutDescriptorsAndLeaksNothing) {
  {  // what a sanitizer must have met before descriptors run out: descriptor_limit.hpp
    Process process(start::forkserver, nothing);
    process.start();
    process.join();
    end_fork_servers();
  }
  Process process(start::forkserver, nothing);
  const std::set<std::string> before = open_descriptors();
  int failures = 0;
  for (int extra = 0; process.pid() == 0; ++extra) {
    ASSERT_LT(extra, 100);
    try {
      const DescriptorLimit limit(extra);
      process.start();
    } catch (const StartError& refused) {
      EXPECT_THAT(refused.what(), HasSubstr("(forkserver)"));
      ++failures;
    }
    if (process.pid() != 0) break;
    // A server that was started has the limit for life.
    for (const auto& server : detail::fork_server::leave_server()) {
      static_cast<void>(os::wait_readable(server->get(), detail::Deadline::never()));
      static_cast<void>(os::reap(*server));
    }
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_EQ(children(::getpid()), std::set<pid_t>());
  }
  EXPECT_GE(failures, 5);
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
}

TEST_F(ForkServerTest, AForkOfItsClientIsAClient) {
  const int server = server_pid();
  Forked other([&] { return server_pid() == server ? 0 : 1; });
  EXPECT_EQ(other.wait(), 0);
}

TEST_F(ForkServerTest, StartsFromManyThreadsShareOneServer) {
  std::vector<std::thread> threads;
  std::vector<int> servers(4);
  for (int& server : servers) threads.emplace_back([&server] { server = server_pid(); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(servers, testing::Each(servers.front()));
}

}  // namespace
}  // namespace tandem::test
