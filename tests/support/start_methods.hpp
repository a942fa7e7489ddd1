// One suite over every way to start a process.
//
//     using QueueProcessTest = tandem::test::StartMethodTest;
//     TANDEM_OVER_START_METHODS(QueueProcessTest);
//     TEST_P(QueueProcessTest, EveryItemArrivesOnce) { Process child(produce, queue); ... }
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "process/fork_server.hpp"
#include "support/supervisor.hpp"
#include "tandem/process.hpp"

namespace tandem::test {

inline std::string name_of(StartMethod method) {
  switch (method) {
    case StartMethod::spawn:
      return "spawn";
    case StartMethod::fork:
      return "fork";
    case StartMethod::forkserver:
      return "forkserver";
  }
  return "unknown";
}

/// Makes sure that the fork servers of this process end, and well, now that it is their last client.
inline void end_fork_servers() {
  for (const auto& server : detail::fork_server::leave_server()) {
    static_cast<void>(os::wait_readable(server->get(), detail::Deadline::never()));
    EXPECT_THAT(os::reap(*server), testing::Optional(testing::AnyOf(0, -SIGKILL)));
  }
}

/// Makes its parameter the start method of every process the test does not say otherwise for. The
/// fork server is the test's own: it is started in it, and has ended after it.
class StartMethodTest : public testing::TestWithParam<StartMethod> {
 protected:
  void SetUp() override { set_start_method(GetParam()); }
  void TearDown() override {
    set_start_method(before_);
    end_fork_servers();
  }

 private:
  StartMethod before_ = start_method();
};

/// For suites in which a child starts a thread that was forked while its parent had threads: GCC
/// 12's ThreadSanitizer ends such a child ("dup thread with used id").
class ThreadedStartMethodTest : public StartMethodTest {
 protected:
  void SetUp() override {
    StartMethodTest::SetUp();
    if (kTsan && GetParam() == StartMethod::fork) {
      GTEST_SKIP()
          << "ThreadSanitizer cannot follow a fork of a threaded process that starts threads";
    }
  }
};

}  // namespace tandem::test

#define TANDEM_OVER_START_METHODS(suite)                       \
  INSTANTIATE_TEST_SUITE_P(                                    \
      , suite, testing::ValuesIn(tandem::all_start_methods()), \
      [](const auto& parameter) { return tandem::test::name_of(parameter.param); })
