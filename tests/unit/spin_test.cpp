#include "os/spin.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace tandem::os {
namespace {

using namespace std::chrono_literals;

constexpr long long kSecond = 1'000'000'000;

// How many looks a wait that never ends is given.
int looks(SpinBudget& budget) {
  int count = 0;
  EXPECT_FALSE(budget.spin([&] { return ++count, false; }));
  return count;
}

class SpinBudgetTest : public testing::Test {
 protected:
  void SetUp() override {
    if (usable_cpus() == 1) GTEST_SKIP() << "nobody spins on one CPU";
  }
  SpinBudget budget_;
};

TEST_F(SpinBudgetTest, LooksOnceAndReturnsWhenItIsDone) {
  int count = 0;
  EXPECT_TRUE(budget_.spin([&] { return ++count == 1; }));
  EXPECT_EQ(count, 1);
}

TEST_F(SpinBudgetTest, FindsWhatComesWhileItSpins) {
  int count = 0;
  EXPECT_TRUE(budget_.spin([&] { return ++count == 70; }));
}

TEST_F(SpinBudgetTest, LooksOnceWhereItIsInVain) {
  int count = 0;
  const auto look = [&] { return ++count, false; };
  EXPECT_FALSE(budget_.spin(look, detail::Deadline::never(), Between::relax, [] { return true; }));
  EXPECT_EQ(count, 1);
}

TEST_F(SpinBudgetTest, StopsWhenItBecomesVain) {
  for (int i = 0; i < 100; ++i) budget_.slept(40'000);
  int asked = 0;
  EXPECT_FALSE(budget_.spin([] { return false; }, detail::Deadline::never(), Between::relax,
                            [&] { return ++asked == 3; }));
  EXPECT_EQ(asked, 3);
}

TEST_F(SpinBudgetTest, SpinsWhereWaitsAreShort) {
  for (int i = 0; i < 100; ++i) budget_.slept(40'000);
  const auto start = SpinBudget::now_ns();
  (void)looks(budget_);
  EXPECT_GE(SpinBudget::now_ns() - start, 50'000);
}

TEST_F(SpinBudgetTest, HardlyLooksWhereWaitsAreLong) {
  for (int i = 0; i < 20; ++i) budget_.slept(kSecond);
  EXPECT_LE(looks(budget_), 100);
}

TEST_F(SpinBudgetTest, OneLongWaitIsEnoughToStop) {
  budget_.slept(3600 * kSecond);
  EXPECT_LE(looks(budget_), 100);
}

TEST_F(SpinBudgetTest, StopsWhereSpinningNeverPaysThoughSleepsAreShort) {
  int spun = 0;
  for (int i = 0; i < 100; ++i) {
    if (looks(budget_) > 100) ++spun;
    budget_.slept(5'000);
  }
  EXPECT_LE(spun, 40);
}

TEST_F(SpinBudgetTest, RecoversFromAnyIdleTimeWithinThirtyShortWaits) {
  for (int i = 0; i < 1000; ++i) budget_.slept(3600 * kSecond);
  for (int i = 0; i < 30; ++i) budget_.slept(60'000);
  const auto start = SpinBudget::now_ns();
  (void)looks(budget_);
  EXPECT_GE(SpinBudget::now_ns() - start, 50'000);
}

TEST_F(SpinBudgetTest, GivesUpAtTheDeadline) {
  EXPECT_FALSE(budget_.spin([] { return false; }, detail::Deadline::after(1ns)));
  EXPECT_FALSE(budget_.spin([] { return false; }, detail::Deadline::now()));
}

TEST(UsableCpusTest, IsAtLeastOne) { EXPECT_GE(usable_cpus(), 1U); }

}  // namespace
}  // namespace tandem::os
