#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <vector>

#include "pool/progress.hpp"

namespace tandem::detail {
namespace {

constexpr long long kSecond_ns = 1'000'000'000;

TEST(ProgressTest, LineWithAKnownTotal) {
  Progress progress({.enabled = true, .label = "resize"}, 200);
  for (int i = 0; i < 50; ++i) progress.advance(false);
  EXPECT_EQ(progress.line(2 * kSecond_ns), "resize  50/200  25%  25/s  ETA 0:06");
}

TEST(ProgressTest, FailuresAreCountedAmongTheDone) {
  Progress progress({.enabled = true}, 3);
  progress.advance(true);
  progress.advance(false);
  progress.advance(true);
  EXPECT_EQ(progress.line(kSecond_ns), "3/3  100%  3.0/s  2 failed");
}

TEST(ProgressTest, UnknownTotalsHaveNeitherShareNorEta) {
  Progress progress({.enabled = true, .label = "read"}, std::nullopt);
  progress.advance(false);
  EXPECT_EQ(progress.line(2 * kSecond_ns), "read  1  0.5/s");
}

TEST(ProgressTest, ATotalThatIsKnownLaterIsAskedForUntilThen) {
  std::optional<std::size_t> total;
  int asked = 0;
  const auto find = [&] {
    ++asked;
    return total;
  };
  Progress progress({.enabled = true, .total = find}, std::nullopt);
  progress.advance(false);
  EXPECT_EQ(progress.line(kSecond_ns), "1  1.0/s");
  total = 4;
  EXPECT_EQ(progress.line(kSecond_ns), "1/4  25%  1.0/s  ETA 0:03");
  EXPECT_EQ(progress.line(kSecond_ns), "1/4  25%  1.0/s  ETA 0:03");
  EXPECT_EQ(asked, 2);

  Progress sized({.enabled = true, .total = find}, 2);
  EXPECT_EQ(sized.line(kSecond_ns), "0/2  0%  0.0/s");
  EXPECT_EQ(asked, 2);
}

TEST(ProgressTest, NothingDoneYetAndNothingToDo) {
  EXPECT_EQ(Progress({}, 10).line(0), "0/10  0%  0.0/s");
  EXPECT_EQ(Progress({}, 0).line(kSecond_ns), "0/0  100%  0.0/s");
}

TEST(ProgressTest, ACallbackIsToldInsteadOfALineBeingWritten) {
  std::vector<ProgressReport> reports;
  testing::internal::CaptureStderr();
  {
    Progress progress({.enabled = true,
                       .total = [] { return std::optional<std::size_t>(3); },
                       .callback =
                           [&](const ProgressReport& report) {
                             reports.push_back(report);
                             throw std::runtime_error("is logged");
                           }},
                      std::nullopt);
    progress.advance(false);
    progress.advance(true);
    progress.advance(false);
    progress.finish();
    progress.finish();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  ASSERT_FALSE(reports.empty());
  const ProgressReport& last = reports.back();
  EXPECT_TRUE(last.finished);
  EXPECT_EQ(last.done, 3u);
  EXPECT_EQ(last.failed, 1u);
  EXPECT_EQ(last.total, 3u);
  EXPECT_GT(last.elapsed, duration::zero());
  for (std::size_t i = 0; i + 1 < reports.size(); ++i) EXPECT_FALSE(reports[i].finished);
}

TEST(ProgressTest, HoursAreWrittenOut) {
  Progress progress({}, 7202);
  progress.advance(false);
  EXPECT_EQ(progress.line(kSecond_ns), "1/7202  0%  1.0/s  ETA 2:00:01");
}

}  // namespace
}  // namespace tandem::detail
