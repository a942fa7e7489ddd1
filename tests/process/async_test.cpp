// One call in a process of its own, and its Future.

#include "tandem/async.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "process/passed_fd.hpp"
#include "support/start_methods.hpp"
#include "tandem/error.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

using AsyncTest = StartMethodTest;
TANDEM_OVER_START_METHODS(AsyncTest);

int add(int a, int b) { return a + b; }
[[noreturn]] void pause_for_ever() {
  for (;;) ::pause();
}

TEST_P(AsyncTest, ReturnsWhatTheCallReturns) {
  Future<int> sum = async(add, 2, 3);
  EXPECT_EQ(sum.get(), 5);
  EXPECT_EQ(sum.get(), 5);
  EXPECT_TRUE(sum.ready());
  EXPECT_EQ(async([](std::string text) { return text + "!"; }, "hello").get(), "hello!");
}

TEST_P(AsyncTest, RunsInAProcessOfItsOwn) {
  const int pid =
      async(
          {.name = "alone"},
          [](const std::string& name) { return current_process().name() == name ? ::getpid() : 0; },
          std::string("alone"))
          .get();
  EXPECT_NE(pid, 0);
  EXPECT_NE(pid, ::getpid());
  EXPECT_TRUE(active_children().empty());
}

TEST_P(AsyncTest, NothingIsAResult) {
  Future<void> done = async([] {});
  done.get();
  done.get();
  std::move(done).get();
}

TEST_P(AsyncTest, AResultThatCannotBeCopiedIsMovedOut) {
  Future<std::unique_ptr<int>> owned = async([] { return std::make_unique<int>(7); });
  EXPECT_EQ(*owned.get(), 7);
  EXPECT_THROW(static_cast<void>(owned.get()), Error);
}

TEST_P(AsyncTest, BigArgumentsAndResults) {
  const std::vector<int> big(1 << 20, 3);
  Future<std::vector<int>> same = async([](std::vector<int> all) { return all; }, big);
  EXPECT_EQ(std::move(same).get(), big);
}

TEST_P(AsyncTest, AHandleMayBeTheResult) {
  auto [reader, writer] = make_pipe();
  Future<PassedFd> back = async([](PassedFd out) { return out; }, std::move(writer));
  std::move(back).get().write("through");
  EXPECT_EQ(reader.read_all(), "through");
}

TEST_P(AsyncTest, ThrowsWhatTheCallThrows) {
  Future<int> fails = async([]() -> int { throw std::out_of_range("too far"); });
  for (int i = 0; i < 2; ++i) {
    try {
      static_cast<void>(fails.get());
      ADD_FAILURE() << "did not throw";
    } catch (const std::out_of_range& error) {
      EXPECT_STREQ(error.what(), "too far");
    }
  }
}

TEST_P(AsyncTest, AProcessThatEndsFirstIsWorkerDied) {
  Future<int> killed = async([]() -> int { return ::raise(SIGKILL); });
  try {
    static_cast<void>(killed.get());
    ADD_FAILURE() << "did not throw";
  } catch (const WorkerDied& death) {
    EXPECT_EQ(death.exit_code(), -SIGKILL);
    EXPECT_GT(death.pid(), 0);
    EXPECT_THAT(death.what(), HasSubstr("was ended by signal 9 before the call returned"));
  }
  Future<int> exits = async([]() -> int { std::exit(4); });
  exits.wait();
  try {
    static_cast<void>(exits.get());
    ADD_FAILURE() << "did not throw";
  } catch (const WorkerDied& death) {
    EXPECT_EQ(death.exit_code(), 4);
  }
}

TEST_P(AsyncTest, WaitsOnlyAsLongAsItIsTold) {
  auto hold = make_pipe();
  Future<int> late = async(
      [](const PassedFd& from) {
        static_cast<void>(from.read_byte());
        return 1;
      },
      std::move(hold.reader));
  EXPECT_FALSE(late.ready());
  EXPECT_FALSE(late.wait_for(0s));
  EXPECT_FALSE(late.wait_for(-1h));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(late.wait_for(20ms));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
  EXPECT_FALSE(late.wait_until(begin));
  hold.writer.write("x");
  EXPECT_TRUE(late.wait_for(1h));
  EXPECT_EQ(late.get(), 1);
}

TEST_P(AsyncTest, CancelEndsTheCall) {
  Future<void> endless = async(pause_for_ever);
  EXPECT_FALSE(endless.ready());
  EXPECT_TRUE(endless.cancel());
  EXPECT_FALSE(endless.cancel());
  EXPECT_THROW(endless.get(), Cancelled);
  EXPECT_TRUE(active_children().empty());
}

TEST_P(AsyncTest, WhatHasAnOutcomeIsNotCancelled) {
  Future<int> sum = async(add, 2, 3);
  sum.wait();
  EXPECT_FALSE(sum.cancel());
  EXPECT_EQ(sum.get(), 5);
}

TEST_P(AsyncTest, CancelEndsTheWaitOfAnotherThread) {
  Future<void> endless = async(pause_for_ever);
  std::atomic<int> cancelled{0};
  std::vector<std::thread> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.emplace_back([&] {
      try {
        endless.get();
      } catch (const Cancelled&) {
        ++cancelled;
      }
    });
  }
  EXPECT_TRUE(endless.cancel());
  for (std::thread& thread : waiting) thread.join();
  EXPECT_EQ(cancelled, 3);
}

TEST_P(AsyncTest, LettingGoWaitsForTheCall) {
  auto [reader, writer] = make_pipe();
  {
    const Future<void> let_go =
        async([](const PassedFd& out) { out.write("ran"); }, std::move(writer));
  }
  EXPECT_TRUE(active_children().empty());
  EXPECT_EQ(reader.read_all(), "ran");
}

TEST_P(AsyncTest, LettingGoOfABigResultNobodyTookIsNoDeadlock) {
  {
    const Future<std::vector<char>> big = async([] { return std::vector<char>(8 << 20); });
  }
  EXPECT_TRUE(active_children().empty());
}

TEST_P(AsyncTest, LettingGoOfADaemonEndsIt) {
  { const Future<void> endless = async({.daemon = true}, pause_for_ever); }
  EXPECT_TRUE(active_children().empty());
}

TEST_P(AsyncTest, AFutureWithoutACallSaysSo) {
  Future<int> none;
  EXPECT_THROW(static_cast<void>(none.get()), Error);
  Future<int> sum = async(add, 1, 1);
  none = std::move(sum);
  EXPECT_EQ(none.get(), 2);
  EXPECT_THROW(static_cast<void>(sum.ready()), Error);  // NOLINT
}

}  // namespace
}  // namespace tandem::test
