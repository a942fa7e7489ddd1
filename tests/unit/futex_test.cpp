#include "os/futex.hpp"

#include <gtest/gtest.h>
#include <sys/time.h>

#include <chrono>
#include <csignal>
#include <new>

#include "shm/segment.hpp"
#include "support/forked.hpp"

namespace tandem::os {
namespace {

using namespace std::chrono_literals;
using detail::Deadline;
using test::Forked;

class FutexTest : public testing::Test {
 protected:
  FutexWord& word() { return *word_; }

 private:
  shm::Segment segment_ = shm::Segment::create("futex_test", sizeof(FutexWord));
  FutexWord* word_ = new (segment_.data()) FutexWord(0);
};

TEST_F(FutexTest, ReturnsAtOnceWhenTheWordIsAnother) {
  word().store(1);
  futex_wait(word(), 0, Deadline::never());
}

TEST_F(FutexTest, ReturnsAtOnceWhenThereIsNoTime) {
  futex_wait(word(), 0, Deadline::now());
  futex_wait(word(), 0, Deadline::at(Deadline::Clock::now() - 1s));
}

TEST_F(FutexTest, WakesASleeperOfAnotherProcess) {
  Forked sleeper([&] {
    while (word().load() == 0) futex_wait(word(), 0, Deadline::never());
    return 0;
  });
  word().store(1);
  futex_wake(word(), 1);
  EXPECT_EQ(sleeper.wait(), 0);
}

TEST_F(FutexTest, WakesAllSleepers) {
  const auto sleep = [&] {
    while (word().load() == 0) futex_wait(word(), 0, Deadline::never());
    return 0;
  };
  Forked first(sleep), second(sleep), third(sleep);
  word().store(1);
  futex_wake_all(word());
  EXPECT_EQ(first.wait(), 0);
  EXPECT_EQ(second.wait(), 0);
  EXPECT_EQ(third.wait(), 0);
}

TEST_F(FutexTest, SleepsUntilTheDeadline) {
  const auto deadline = Deadline::after(30ms);
  while (!deadline.passed()) futex_wait(word(), 0, deadline);
  EXPECT_EQ(deadline.left(), 0ns);
}

TEST_F(FutexTest, ASliceEndsByItself) { futex_wait_slice(word(), 0, Deadline::never()); }

// Signals every millisecond would push a relative timeout ahead of themselves for ever.
TEST_F(FutexTest, SignalsDoNotExtendTheDeadline) {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  struct sigaction old {};
  ASSERT_EQ(::sigaction(SIGALRM, &action, &old), 0);
  const itimerval storm{{0, 1000}, {0, 1000}};
  ASSERT_EQ(::setitimer(ITIMER_REAL, &storm, nullptr), 0);
  const auto deadline = Deadline::after(50ms);
  int returns = 0;
  for (; !deadline.passed(); ++returns) futex_wait(word(), 0, deadline);
  const itimerval calm{};
  ::setitimer(ITIMER_REAL, &calm, nullptr);
  ::sigaction(SIGALRM, &old, nullptr);
  EXPECT_GT(returns, 1);
}

}  // namespace
}  // namespace tandem::os
