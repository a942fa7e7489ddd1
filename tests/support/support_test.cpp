// The watchdog and the leak check are only worth something if they do strike. Each Bait below is a
// test that must fail; it is disabled, and run by a second program whose verdict is looked at.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

#include "support/leak_check.hpp"
#include "support/proc.hpp"
#include "support/supervisor.hpp"

namespace tandem::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Bait, DISABLED_LeaksDescriptor) { ASSERT_GE(::open("/dev/null", O_RDONLY | O_CLOEXEC), 0); }

TEST(Bait, DISABLED_LeaksThread) {
  std::thread([] { ::pause(); }).detach();
}

TEST(Bait, DISABLED_LeaksChild) {
  if (::fork() == 0) {
    for (;;) ::pause();
  }
}

TEST(Bait, DISABLED_LeaksOrphan) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::fork() == 0) {
      for (;;) ::pause();
    }
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST(Bait, DISABLED_LeaksSharedMemory) {
  std::ofstream("/dev/shm/tandem-" + unique_name("bait")) << "left";
}

TEST(Bait, DISABLED_LeaksWithReason) {
  allow_leaks("this is a bait");
  ASSERT_GE(::open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
}

TEST(Bait, DISABLED_EndsLate) {
  std::thread([] { std::this_thread::sleep_for(std::chrono::milliseconds(100)); }).detach();
}

TEST(Bait, DISABLED_Hangs) {
  if (::fork() == 0) {
    for (;;) ::pause();
  }
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
}

TEST(Bait, DISABLED_Crashes) { ::raise(SIGSEGV); }

struct Verdict {
  int exit_code;
  std::string output;
};

// Runs one Bait under a supervisor of its own.
Verdict run(const std::string& bait, const std::string& environment = "TANDEM_TEST_GRACE=200") {
  std::array<char, 4096> buffer{};
  const ssize_t length = ::readlink("/proc/self/exe", buffer.data(), buffer.size());
  const std::string self(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
  const std::string command = "env -u TANDEM_TEST_SUPERVISED " + environment + " '" + self +
                              "' --gtest_also_run_disabled_tests --gtest_filter=Bait.DISABLED_" +
                              bait + " 2>&1";
  std::FILE* out = ::popen(command.c_str(), "re");
  if (out == nullptr) return {-1, "popen failed"};
  std::string output;
  for (std::size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), out)) > 0;) {
    output.append(buffer.data(), n);
  }
  const int status = ::pclose(out);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, output};
}

TEST(LeakCheckTest, FindsADescriptor) {
  const Verdict verdict = run("LeaksDescriptor");
  EXPECT_EQ(verdict.exit_code, 1);
  EXPECT_THAT(verdict.output, AllOf(HasSubstr("left behind"), HasSubstr("-> /dev/null")));
}

TEST(LeakCheckTest, FindsAThread) {
  const Verdict verdict = run("LeaksThread");
  EXPECT_EQ(verdict.exit_code, 1);
  EXPECT_THAT(verdict.output, HasSubstr("  thread "));
}

TEST(LeakCheckTest, FindsAChild) {
  const Verdict verdict = run("LeaksChild");
  EXPECT_EQ(verdict.exit_code, 1);
  EXPECT_THAT(verdict.output, AllOf(HasSubstr("  process "), HasSubstr("ended before these")));
}

TEST(LeakCheckTest, FindsAnOrphan) {
  const Verdict verdict = run("LeaksOrphan");
  EXPECT_EQ(verdict.exit_code, 1);
  EXPECT_THAT(verdict.output, HasSubstr("  process "));
}

TEST(LeakCheckTest, FindsSharedMemory) {
  const Verdict verdict = run("LeaksSharedMemory");
  EXPECT_EQ(verdict.exit_code, 1);
  const std::size_t at = verdict.output.find("  /dev/shm/");
  ASSERT_NE(at, std::string::npos) << verdict.output;
  const std::string path = verdict.output.substr(at + 2, verdict.output.find('\n', at) - at - 2);
  EXPECT_EQ(::unlink(path.c_str()), 0) << path;
}

TEST(LeakCheckTest, AcceptsAReason) {
  const Verdict verdict = run("LeaksWithReason");
  EXPECT_EQ(verdict.exit_code, 0) << verdict.output;
  EXPECT_THAT(verdict.output, HasSubstr("left behind, because this is a bait"));
}

TEST(LeakCheckTest, WaitsForWhatEndsALittleLater) {
  const Verdict verdict = run("EndsLate", "TANDEM_TEST_GRACE=20000");
  EXPECT_EQ(verdict.exit_code, 0) << verdict.output;
}

TEST(WatchdogTest, ShowsWhereATestHangsAndKillsIt) {
  const Verdict verdict = run("Hangs", "TANDEM_TEST_TIMEOUT=1");
  EXPECT_EQ(verdict.exit_code, 124);
  EXPECT_THAT(verdict.output,
              AllOf(HasSubstr("watchdog: Bait.DISABLED_Hangs takes longer than 1 s"),
                    HasSubstr("  thread "), HasSubstr("read 0x"), Not(HasSubstr("[  FAILED  ]"))));
}

TEST(WatchdogTest, NamesTheTestThatCrashes) {
  const Verdict verdict = run("Crashes");
  EXPECT_NE(verdict.exit_code, 0);
  // Under a sanitizer the signal becomes an exit code.
  if (!kAsan && !kTsan) {
    EXPECT_THAT(verdict.output, HasSubstr("Bait.DISABLED_Crashes: the test program"));
  }
}

TEST(WatchdogTest, TestsRunAsChildOfASupervisor) {
  EXPECT_TRUE(supervised() || test_limit().count() == 0);
}

}  // namespace
}  // namespace tandem::test
