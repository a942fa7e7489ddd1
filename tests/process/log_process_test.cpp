// The log of a family of processes: everyone's lines, whole, with the name of who wrote them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "process/passed_fd.hpp"
#include "support/start_methods.hpp"
#include "tandem/detail/log.hpp"
#include "tandem/log.hpp"
#include "tandem/process.hpp"

namespace tandem::test {
namespace {

using testing::HasSubstr;

std::string handled;  // the last line

// Set before main, as a program would that wants its children to have it.
[[maybe_unused]] const bool has_handler =
    (set_log_handler([](LogLevel, std::string_view line) { handled = std::string(line); }), true);

class LogProcessTest : public StartMethodTest {
 protected:
  void SetUp() override {
    StartMethodTest::SetUp();
    log_to_stderr(LogLevel::info);
  }
  void TearDown() override {
    log_to_stderr(LogLevel::error);
    StartMethodTest::TearDown();
  }
};
TANDEM_OVER_START_METHODS(LogProcessTest);

TEST_P(LogProcessTest, ChildrenLogWhatTheirStarterLogs) {
  Redirected err(STDERR_FILENO);
  Process process({.name = "talker"}, [] {
    detail::log(LogLevel::debug, "too low");
    detail::log(LogLevel::info, "one ", "two");
  });
  process.start();
  process.join();
  const std::string said = err.take();
  EXPECT_THAT(said,
              HasSubstr("tandem info talker[" + std::to_string(process.pid()) + "]: one two\n"));
  EXPECT_THAT(said, testing::Not(HasSubstr("too low")));
}

TEST_P(LogProcessTest, LinesOfManyProcessesStayWhole) {
  constexpr int kProcesses = 3;
  constexpr int kLines = 50;
  const std::string text(500, 'x');
  Redirected err(STDERR_FILENO);
  std::vector<Process> processes;
  for (int i = 0; i < kProcesses; ++i) {
    processes.emplace_back(
        [](const std::string& what) {
          for (int line = 0; line < kLines; ++line) detail::log(LogLevel::warning, what);
        },
        text);
    processes.back().start();
  }
  const std::string expected_end = "]: " + text;
  const std::string said = err.take();  // while they write: a pipe does not hold it all
  for (Process& process : processes) process.join();
  std::istringstream lines(said);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_TRUE(line.starts_with("tandem warning Process-") && line.ends_with(expected_end))
        << line;
  }
  EXPECT_EQ(count, kProcesses * kLines);
}

TEST_P(LogProcessTest, AHandlerSetBeforeInitHoldsInChildren) {
  Process process({.name = "handled"}, [] {
    detail::log(LogLevel::debug, "anything");
    const std::string me = "handled[" + std::to_string(::getpid()) + "]: anything";
    std::exit(handled.ends_with(me) ? 0 : 1);
  });
  process.start();
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
}

}  // namespace
}  // namespace tandem::test
