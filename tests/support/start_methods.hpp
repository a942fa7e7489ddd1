// One suite over every way to start a process.
//
//     using QueueProcessTest = tandem::test::StartMethodTest;
//     TANDEM_OVER_START_METHODS(QueueProcessTest);
//     TEST_P(QueueProcessTest, EveryItemArrivesOnce) { Process child(produce, queue); ... }
#pragma once

#include <gtest/gtest.h>

#include <string>

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

}  // namespace tandem::test

#define TANDEM_OVER_START_METHODS(suite)                                               \
  INSTANTIATE_TEST_SUITE_P(                                                            \
      , suite, testing::Values(tandem::StartMethod::spawn, tandem::StartMethod::fork), \
      [](const auto& parameter) { return tandem::test::name_of(parameter.param); })
