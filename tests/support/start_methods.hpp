// One suite over every way to start a process.
//
//     using QueueProcessTest = tandem::test::StartMethodTest;
//     TANDEM_OVER_START_METHODS(QueueProcessTest);
//     TEST_P(QueueProcessTest, EveryItemArrivesOnce) { Process child(produce, queue); ... }
#pragma once

#include <gtest/gtest.h>

#include <string>

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

/// Makes its parameter the start method of every process the test does not say otherwise for.
class StartMethodTest : public testing::TestWithParam<StartMethod> {
 protected:
  void SetUp() override { set_start_method(GetParam()); }
  void TearDown() override { set_start_method(before_); }

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

#define TANDEM_OVER_START_METHODS(suite)                                               \
  INSTANTIATE_TEST_SUITE_P(                                                            \
      , suite, testing::Values(tandem::StartMethod::spawn, tandem::StartMethod::fork), \
      [](const auto& parameter) { return tandem::test::name_of(parameter.param); })
