#include "tandem/detail/deadline.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>

namespace tandem::detail {
namespace {

using namespace std::chrono_literals;
using Clock = Deadline::Clock;
using Seconds = std::chrono::duration<double>;

TEST(DeadlineTest, ZeroAndNegativeDurationsMeanTryOnce) {
  EXPECT_TRUE(Deadline::after(0s).is_now());
  EXPECT_TRUE(Deadline::after(-1ns).is_now());
  EXPECT_TRUE(Deadline::after(std::chrono::nanoseconds::min()).is_now());
  EXPECT_TRUE(Deadline::after(std::chrono::hours::min()).is_now());
  EXPECT_TRUE(Deadline::after(Seconds(-std::numeric_limits<double>::infinity())).is_now());
  EXPECT_TRUE(Deadline::now().passed());
}

TEST(DeadlineTest, NotANumberMeansTryOnce) {
  EXPECT_TRUE(Deadline::after(Seconds(std::numeric_limits<double>::quiet_NaN())).is_now());
}

TEST(DeadlineTest, DurationsBeyondTheClockMeanNever) {
  EXPECT_TRUE(Deadline::after(std::chrono::nanoseconds::max()).is_never());
  EXPECT_TRUE(Deadline::after(std::chrono::seconds::max()).is_never());
  EXPECT_TRUE(Deadline::after(std::chrono::hours::max()).is_never());
  EXPECT_TRUE(Deadline::after(Seconds(1e300)).is_never());
  EXPECT_TRUE(Deadline::after(Seconds(std::numeric_limits<double>::infinity())).is_never());
  EXPECT_FALSE(Deadline::never().passed());
  EXPECT_EQ(Deadline::never().left(), duration::max());
}

TEST(DeadlineTest, TimePointsSaturateAtBothEnds) {
  EXPECT_TRUE(Deadline::at(Clock::time_point::min()).is_now());
  EXPECT_TRUE(Deadline::at(Clock::time_point::max()).is_never());
  EXPECT_TRUE(Deadline::at(Clock::time_point()).is_now());
}

TEST(DeadlineTest, KeepsAnOrdinaryTimePointToTheNanosecond) {
  const auto tp = Clock::now() + 1h;
  const auto deadline = Deadline::at(tp);
  EXPECT_EQ(deadline.ns(), std::chrono::nanoseconds(tp.time_since_epoch()).count());
  EXPECT_FALSE(deadline.passed());
}

TEST(DeadlineTest, APastTimePointHasPassedAndLeavesNothing) {
  const auto deadline = Deadline::at(Clock::now() - 1ms);
  EXPECT_TRUE(deadline.passed());
  EXPECT_EQ(deadline.left(), 0ns);
}

TEST(DeadlineTest, AfterIsAtLeastThatFarAway) {
  const auto before = Clock::now();
  const auto deadline = Deadline::after(1h);
  EXPECT_GE(deadline.ns(), std::chrono::nanoseconds((before + 1h).time_since_epoch()).count());
}

TEST(DeadlineTest, EarlierTakesTheSmallerAndNeverIsTheLatest) {
  const auto hour = Deadline::after(1h);
  EXPECT_EQ(hour.earlier(Deadline::never()).ns(), hour.ns());
  EXPECT_EQ(Deadline::never().earlier(hour).ns(), hour.ns());
  EXPECT_TRUE(hour.earlier(Deadline::now()).is_now());
}

}  // namespace
}  // namespace tandem::detail
