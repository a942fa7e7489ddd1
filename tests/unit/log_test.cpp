#include "tandem/log.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/forked.hpp"
#include "tandem/detail/log.hpp"

namespace tandem {
namespace {

using detail::log;

// What a child that runs `body` writes to its stderr. A child, because the log's settings are the
// process's.
template <class Body>
std::string stderr_of(Body body) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return "no pipe";
  test::Forked child([&] {
    ::dup2(ends[1], STDERR_FILENO);
    body();
    return 0;
  });
  ::close(ends[1]);
  std::string all;
  std::array<char, 4096> some;
  for (ssize_t n = 0; (n = ::read(ends[0], some.data(), some.size())) > 0;) {
    all.append(some.data(), static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  EXPECT_EQ(child.wait(), 0);
  return all;
}

TEST(LogTest, IsSilentByDefault) {
  EXPECT_EQ(stderr_of([] {
              ::unsetenv("TANDEM_LOG");
              log(LogLevel::error, "nobody asked");
              if (detail::log_enabled(LogLevel::error)) ::_exit(1);
            }),
            "");
}

TEST(LogTest, TheEnvironmentTurnsItOn) {
  const std::string lines = stderr_of([] {
    ::setenv("TANDEM_LOG", "warning", 1);
    log(LogLevel::info, "too low");
    log(LogLevel::warning, "heard");
  });
  EXPECT_EQ(lines.find("too low"), std::string::npos);
  EXPECT_NE(lines.find("heard\n"), std::string::npos);
}

TEST(LogTest, AnUnknownLevelInTheEnvironmentIsSaid) {
  const std::string lines = stderr_of([] {
    ::setenv("TANDEM_LOG", "loud", 1);
    log(LogLevel::error, "x");
    log(LogLevel::error, "x");
  });
  EXPECT_NE(lines.find("TANDEM_LOG=loud"), std::string::npos);
  EXPECT_EQ(lines.find("TANDEM_LOG=loud"), lines.rfind("TANDEM_LOG=loud"));
}

TEST(LogTest, LinesCarryLevelProcessNameAndPid) {
  pid_t pid = 0;
  const std::string lines = stderr_of([&] {
    log_to_stderr(LogLevel::debug);
    log(LogLevel::warning, "Queue q: ", std::string("full"));
    log(LogLevel::debug, std::to_string(::getpid()));
  });
  const auto open = lines.find('[');
  pid = static_cast<pid_t>(std::stol(lines.substr(open + 1)));
  const std::string me = "MainProcess[" + std::to_string(pid) + "]: ";
  EXPECT_EQ(lines, "tandem warning " + me + "Queue q: full\n" + "tandem debug " + me +
                       std::to_string(pid) + "\n");
}

TEST(LogTest, TheProgramOverridesTheEnvironment) {
  EXPECT_EQ(stderr_of([] {
              ::setenv("TANDEM_LOG", "debug", 1);
              log_to_stderr(LogLevel::error);
              log(LogLevel::warning, "x");
            }),
            "");
}

TEST(LogTest, OneMessageIsOneLineOfBoundedLength) {
  const std::string lines = stderr_of([] {
    log_to_stderr(LogLevel::debug);
    log(LogLevel::info, "two\nlines");
    log(LogLevel::info, std::string(10'000, 'x'), "y");
  });
  EXPECT_NE(lines.find("two lines\n"), std::string::npos);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  EXPECT_EQ(lines.substr(lines.size() - 4), "...\n");
  EXPECT_EQ(lines.size() - lines.find('\n') - 1, 4096U);
}

std::mutex received_mutex;
std::vector<std::pair<LogLevel, std::string>> received;

void receive(LogLevel level, std::string_view line) {
  const std::lock_guard lock(received_mutex);
  received.emplace_back(level, line);
}

TEST(LogTest, AHandlerReceivesEveryLevelUntilItIsTakenAway) {
  received.clear();
  set_log_handler(receive);
  log(LogLevel::debug, "first");
  log(LogLevel::error, "second");
  set_log_handler(nullptr);
  log(LogLevel::error, "third");
  ASSERT_EQ(received.size(), 2U);
  EXPECT_EQ(received[0].first, LogLevel::debug);
  EXPECT_EQ(received[0].second,
            "tandem debug MainProcess[" + std::to_string(::getpid()) + "]: first");
  EXPECT_EQ(received[1].first, LogLevel::error);
}

TEST(LogTest, LinesOfManyThreadsStayWhole) {
  constexpr int kLines = 200;
  received.clear();
  set_log_handler(receive);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < kLines; ++i) log(LogLevel::info, "a", "b", "c");
    });
  }
  for (auto& thread : threads) thread.join();
  set_log_handler(nullptr);
  ASSERT_EQ(received.size(), 4U * kLines);
  for (const auto& [level, line] : received) EXPECT_TRUE(line.ends_with("]: abc")) << line;
}

TEST(LogTest, LeavesErrnoAlone) {
  EXPECT_EQ(stderr_of([] {
              ::close(STDERR_FILENO);
              log_to_stderr(LogLevel::debug);
              errno = EDOM;
              log(LogLevel::error, "into the void");
              if (errno != EDOM) ::_exit(1);
            }),
            "");
}

}  // namespace
}  // namespace tandem
