// The life of a Process: what it is told, what it answers, how it may be used.

#include "tandem/process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "process/passed_fd.hpp"
#include "support/forked.hpp"
#include "support/start_methods.hpp"
#include "tandem/error.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Property;

using ProcessTest = StartMethodTest;
TANDEM_OVER_START_METHODS(ProcessTest);

void nothing() {}
void wait_for_byte(const PassedFd& from) { static_cast<void>(from.read_byte()); }

// What the call throws, or nothing.
template <class Expected>
std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Expected& error) {
    return error.what();
  }
  return "no error";
}

bool is_listed(const Process& process) {
  const auto children = active_children();
  return std::any_of(children.begin(), children.end(),
                     [&](const ProcessInfo& info) { return info.pid() == process.pid(); });
}

TEST_P(ProcessTest, LivesOnce) {
  auto hold = make_pipe();
  Process process(wait_for_byte, std::move(hold.reader));
  EXPECT_FALSE(process.is_alive());
  EXPECT_EQ(process.exitcode(), std::nullopt);
  EXPECT_EQ(process.pid(), 0);
  EXPECT_TRUE(active_children().empty());

  process.start();
  EXPECT_TRUE(process.is_alive());
  EXPECT_EQ(process.exitcode(), std::nullopt);
  EXPECT_TRUE(is_listed(process));

  hold.writer.write("x");
  process.join();
  EXPECT_FALSE(process.is_alive());
  EXPECT_EQ(process.exitcode(), 0);
  EXPECT_FALSE(is_listed(process));
  process.join();
  EXPECT_TRUE(process.join_for(0s));
}

TEST_P(ProcessTest, TellsTheChildWhoItIs) {
  auto [reader, writer] = make_pipe();
  Process process(
      {.name = "worker", .daemon = true},
      [](const PassedFd& out) {
        const ProcessInfo self = current_process();
        const auto parent = parent_process();
        out.write(self.name() + " " + std::to_string(self.pid() == ::getpid()) +
                  std::to_string(self.daemon()) + " " + parent->name() + " " +
                  std::to_string(parent->pid()) + " " + std::to_string(parent->is_alive()));
      },
      std::move(writer));
  process.start();
  EXPECT_EQ(reader.read_all(), "worker 11 MainProcess " + std::to_string(::getpid()) + " 1");
  EXPECT_EQ(process.name(), "worker");
  EXPECT_TRUE(process.daemon());
  EXPECT_EQ(current_process().name(), "MainProcess");
  EXPECT_FALSE(parent_process().has_value());
  process.join();
}

TEST_P(ProcessTest, PassesArgumentsIntact) {
  auto [reader, writer] = make_pipe();
  std::vector<int> big(1 << 20);
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<int>(i);
  const std::map<std::string, std::vector<std::string>> nested{{"a", {"b", ""}}, {"", {}}};
  Process process(
      [](const PassedFd& out, const std::vector<int>& numbers,
         const std::map<std::string, std::vector<std::string>>& map, std::unique_ptr<int> owned) {
        for (std::size_t i = 0; i < numbers.size(); ++i) {
          if (numbers[i] != static_cast<int>(i)) out.write("wrong number ");
        }
        out.write(map.at("a").at(0) + std::to_string(map.size()) + std::to_string(*owned));
      },
      std::move(writer), big, nested, std::make_unique<int>(7));
  process.start();
  EXPECT_EQ(reader.read_all(), "b27");
  process.join();
}

TEST_P(ProcessTest, ChildrenOfChildrenHaveNamesOfTheirOwn) {
  auto [reader, writer] = make_pipe();
  Process process(
      [](const PassedFd& out) {
        for (int i = 0; i < 2; ++i) {
          Process grandchild(
              [](const PassedFd& to) {
                to.write(current_process().name() + "<" + parent_process()->name() + " ");
              },
              out.duplicate());
          grandchild.start();
          grandchild.join();
        }
      },
      std::move(writer));
  const std::string name = process.name();
  process.start();
  process.join();
  EXPECT_EQ(reader.read_all(), name + ":1<" + name + " " + name + ":2<" + name + " ");
  EXPECT_EQ(process.exitcode(), 0);
}

TEST_P(ProcessTest, NamesAreUnique) {
  const Process one(nothing);
  const Process other(nothing);
  EXPECT_NE(one.name(), other.name());
  EXPECT_THAT(one.name(), testing::StartsWith("Process-"));
}

TEST_P(ProcessTest, InheritsTheStartMethod) {
  Process process([](StartMethod expected) { std::exit(start_method() == expected ? 0 : 1); },
                  start_method());
  process.start();
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
}

TEST_P(ProcessTest, JoinWithTimeoutSaysWhetherItEnded) {
  auto hold = make_pipe();
  Process process(wait_for_byte, std::move(hold.reader));
  process.start();
  EXPECT_FALSE(process.join_for(0s));
  EXPECT_FALSE(process.join_for(-1h));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(process.join_for(20ms));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
  EXPECT_FALSE(process.join_until(begin));
  hold.writer.write("x");
  EXPECT_TRUE(process.join_until(std::chrono::steady_clock::now() + 1h));
}

TEST_P(ProcessTest, EveryThreadMayJoin) {
  auto hold = make_pipe();
  Process process(wait_for_byte, std::move(hold.reader));
  process.start();
  std::vector<std::thread> threads;
  std::atomic<int> zeros{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      process.join();
      if (process.exitcode() == 0) ++zeros;
    });
  }
  hold.writer.write("x");
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(zeros, 4);
}

TEST_P(ProcessTest, MisuseIsAClearError) {
  auto hold = make_pipe();
  Process process({.name = "p"}, wait_for_byte, std::move(hold.reader));
  EXPECT_THAT(error_of<Error>([&] { process.join(); }), HasSubstr("not started"));
  EXPECT_THAT(error_of<Error>([&] { process.terminate(); }), HasSubstr("not started"));
  EXPECT_THAT(error_of<Error>([&] { static_cast<void>(process.sentinel()); }),
              HasSubstr("not started"));
  process.start();
  EXPECT_THAT(error_of<Error>([&] { process.start(); }), HasSubstr("started before"));
  EXPECT_THAT(error_of<Error>([&] { process.close(); }), HasSubstr("still running"));
  hold.writer.write("x");
  process.join();
  process.close();
  EXPECT_THAT(error_of<Closed>([&] { process.join(); }),
              HasSubstr("Process::join on p: it was closed"));
  EXPECT_THAT(error_of<Closed>([&] { static_cast<void>(process.is_alive()); }),
              HasSubstr("closed"));
  EXPECT_THAT(error_of<Closed>([&] { process.close(); }), HasSubstr("closed"));
}

TEST_P(ProcessTest, BelongsToItsMaker) {
  auto hold = make_pipe();
  Process process(wait_for_byte, std::move(hold.reader));
  Process unstarted(nothing);
  process.start();
  Forked other([&] {
    const bool joined =
        error_of<Error>([&] { process.join(); }).find("belongs to") != std::string::npos;
    const bool started =
        error_of<Error>([&] { unstarted.start(); }).find("belongs to") != std::string::npos;
    // Its destructor neither waits for the process nor kills it.
    { const Process moved = std::move(process); }
    return joined && started && active_children().empty() ? 0 : 1;
  });
  EXPECT_EQ(other.wait(), 0);
  EXPECT_TRUE(process.is_alive());
  hold.writer.write("x");
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
}

TEST_P(ProcessTest, MovedFromIsClosed) {
  Process process(nothing);
  Process moved = std::move(process);
  EXPECT_THAT(error_of<Closed>([&] { process.start(); }), HasSubstr("moved from"));  // NOLINT
  moved.start();
  moved.join();
  EXPECT_EQ(moved.exitcode(), 0);
}

TEST_P(ProcessTest, SentinelIsReadyAtTheEndThoughAGrandchildLives) {
  auto hold = make_pipe();
  auto report = make_pipe();
  auto release = make_pipe();
  Process process(
      [](const PassedFd& release_child, PassedFd hold_grandchild, PassedFd out) {
        auto* grandchild = new Process(
            [](const PassedFd& from, const PassedFd& to) {
              to.write("lives ");
              static_cast<void>(from.read_byte());
              to.write("ends");
            },
            std::move(hold_grandchild), std::move(out));
        grandchild->start();
        static_cast<void>(release_child.read_byte());
        ::_exit(0);
      },
      std::move(release.reader), std::move(hold.reader), std::move(report.writer));
  process.start();
  pollfd sentinel{process.sentinel(), POLLIN, 0};
  for (const char expected : std::string("lives ")) EXPECT_EQ(report.reader.read_byte(), expected);
  EXPECT_EQ(::poll(&sentinel, 1, 0), 0);
  release.writer.write("x");
  EXPECT_EQ(::poll(&sentinel, 1, -1), 1);
  process.join();
  hold.writer.write("x");
  EXPECT_EQ(report.reader.read_all(), "ends");
}

TEST_P(ProcessTest, StatusTakenByAStrangerIsStillAnEnd) {
  if (GetParam() == StartMethod::forkserver) GTEST_SKIP() << "the child is the server's";
  Process process([] { std::exit(3); });
  process.start();
  ASSERT_EQ(::waitpid(process.pid(), nullptr, 0), process.pid());
  process.join();
  ASSERT_TRUE(process.exitcode().has_value());
  EXPECT_THAT(*process.exitcode(), testing::AnyOf(3, 255));
}

TEST_P(ProcessTest, ManyLive) {
  std::vector<Process> processes;
  for (int i = 0; i < 100; ++i) {
    processes.emplace_back([](int n) { std::exit(n); }, i);
    processes.back().start();
  }
  for (int i = 0; i < 100; ++i) {
    processes[static_cast<std::size_t>(i)].join();
    EXPECT_EQ(processes[static_cast<std::size_t>(i)].exitcode(), i);
  }
  EXPECT_TRUE(active_children().empty());
}

TEST_P(ProcessTest, KilledRightAfterTheStart) {
  for (int i = 0; i < 100; ++i) {
    Process process([] {
      for (;;) ::pause();
    });
    process.start();
    process.kill();
    process.join();
    EXPECT_EQ(process.exitcode(), -SIGKILL);
  }
}

TEST_P(ProcessTest, StartsFromManyThreads) {
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) {
        auto [reader, writer] = make_pipe();
        Process process([](const PassedFd& out) { out.write("x"); }, std::move(writer));
        process.start();
        // Ends only if no other child has been left with a copy of the writer.
        if (reader.read_all() == "x") ++good;
        process.join();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 20);
}

TEST(ProcessForkTest, RunsAnyCallableInPlace) {
  auto [reader, writer] = make_pipe();
  int local = 5;
  int* pointer = &local;
  struct Opaque {
    explicit Opaque(int v) : value(v) {}
    Opaque(Opaque&&) = default;
    const int value;
    std::thread never;
  };
  Process process(
      start::fork,
      [&local](const PassedFd& out, const int* same, const Opaque& opaque) {
        out.write(std::to_string(local) + std::to_string(same == &local) +
                  std::to_string(opaque.value));
      },
      std::move(writer), pointer, Opaque(9));
  process.start();
  EXPECT_EQ(reader.read_all(), "519");
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
}

TEST(StartMethodsTest, AllWork) {
  EXPECT_EQ(all_start_methods(),
            (std::vector{StartMethod::spawn, StartMethod::fork, StartMethod::forkserver}));
}

TEST(CpuCountTest, HonoursTheAffinity) {
  EXPECT_GE(cpu_count(), 1U);
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  int cpu = 0;
  while (!CPU_ISSET(cpu, &before)) ++cpu;
  CPU_SET(cpu, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(cpu_count(), 1U);
  Process child([] { std::exit(static_cast<int>(cpu_count())); });
  child.start();
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
  child.join();
  EXPECT_EQ(child.exitcode(), 1);
}

}  // namespace
}  // namespace tandem::test
