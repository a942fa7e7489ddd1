#include "os/pidfd.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "os/poll.hpp"
#include "support/forked.hpp"
#include "tandem/error.hpp"

namespace tandem::os {
namespace {

using detail::Deadline;
using test::Forked;
using test::Step;

// A child of the test that Forked does not reap.
template <class Body>
pid_t fork_raw(Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  return pid;
}

int sleep_for_ever() {
  for (;;) ::pause();
}

TEST(PidfdTest, ReapsTheExitCodeOnce) {
  const auto child = open_pidfd(fork_raw([] { return 7; }));
  ASSERT_TRUE(wait_readable(child.get(), Deadline::never()));
  EXPECT_EQ(reap(child), 7);
}

TEST(PidfdTest, ReapsNothingWhileItRunsAndTheSignalAfter) {
  const auto child = open_pidfd(fork_raw(sleep_for_ever));
  EXPECT_EQ(reap(child), std::nullopt);
  EXPECT_TRUE(send_signal(child, SIGKILL));
  ASSERT_TRUE(wait_readable(child.get(), Deadline::never()));
  EXPECT_EQ(reap(child), -SIGKILL);
  EXPECT_FALSE(send_signal(child, SIGKILL));
}

TEST(PidfdTest, SaysWhatTheKernelRemembersOfAProcessReapedByOthers) {
  Forked child([] { return sleep_for_ever(); });
  const auto pidfd = open_pidfd(child.pid());
  child.kill(SIGTERM);
  const auto code = reap(pidfd);
  // Linux before 6.15 has forgotten.
  EXPECT_TRUE(code == -SIGTERM || code == 255) << code.value_or(-999);
}

TEST(PidfdTest, SomebodyElsesProcessRunsUntilItHasEnded) {
  const auto parent = open_pidfd(::getppid());
  EXPECT_EQ(reap(parent), std::nullopt);
}

TEST(PidfdTest, ThereIsNoDescriptorOfAProcessThatIsGone) {
  Forked child([] { return 0; });
  const pid_t pid = child.pid();
  child.wait();
  EXPECT_THROW((void)open_pidfd(pid), SystemError);
}

}  // namespace
}  // namespace tandem::os
