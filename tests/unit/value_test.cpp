#include "tandem/value.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/cross.hpp"
#include "support/forked.hpp"
#include "support/random.hpp"
#include "tandem/error.hpp"

namespace tandem {
namespace {

using test::Forked;
using test::Step;

template <std::size_t N>
struct Wide {
  std::uint8_t bytes[N];
  friend bool operator==(const Wide&, const Wide&) = default;
  [[nodiscard]] static Wide of(std::uint64_t seed) {
    Wide wide{};
    for (std::size_t i = 0; i < N; ++i) wide.bytes[i] = static_cast<std::uint8_t>(seed * 31 + i);
    return wide;
  }
};
struct Padded {
  char small;
  double large;
  bool flag;
};
struct Point {
  double x, y, z;
  friend Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
};

static_assert(PlainValue<Point> && PlainValue<int> && PlainValue<bool>);
static_assert(!PlainValue<int*> && !PlainValue<std::string> && !PlainValue<std::vector<int>>);

template <class T>
class ValueOfSizeTest : public testing::Test {};
using Sizes = testing::Types<Wide<1>, Wide<2>, Wide<3>, Wide<4>, Wide<5>, Wide<7>, Wide<8>, Wide<9>,
                             Wide<16>, Wide<17>, Wide<1000>>;
TYPED_TEST_SUITE(ValueOfSizeTest, Sizes);

TYPED_TEST(ValueOfSizeTest, LoadsWhatWasStored) {
  using T = TypeParam;
  Value<T> value(T::of(1));
  EXPECT_EQ(value.load(), T::of(1));
  value.store(T::of(2));
  EXPECT_EQ(value.load(), T::of(2));
  EXPECT_EQ(value.exchange(T::of(3)), T::of(2));
  T expected = T::of(9);
  EXPECT_FALSE(value.compare_exchange(expected, T::of(4)));
  EXPECT_EQ(expected, T::of(3));
  EXPECT_TRUE(value.compare_exchange(expected, T::of(4)));
  EXPECT_FALSE(value.compare_exchange(T::of(3), T::of(5)));
  EXPECT_EQ(value.update([](const T& old) {
    EXPECT_EQ(old, T::of(4));
    return T::of(6);
  }),
            T::of(6));
  EXPECT_EQ(value.load(), T::of(6));
  EXPECT_EQ((test::cross(value, detail::Route::process).load()), T::of(6));
}

TYPED_TEST(ValueOfSizeTest, IsNeverTorn) {
  using T = TypeParam;
  Value<T> value(T::of(0));
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (std::uint64_t seed : {1, 2}) {
    writers.emplace_back([&, seed] {
      while (!stop) value.store(T::of(seed));
    });
  }
  for (int i = 0; i < 20'000; ++i) {
    const T seen = value.load();
    ASSERT_TRUE(seen == T::of(0) || seen == T::of(1) || seen == T::of(2));
  }
  stop = true;
  for (auto& writer : writers) writer.join();
}

TEST(ValueTest, StartsAsTOrAsGiven) {
  EXPECT_EQ(Value<int>().load(), 0);
  EXPECT_EQ(Value<double>(1.5).load(), 1.5);
  EXPECT_EQ(Value(7L).load(), 7L);
  EXPECT_TRUE(Value<bool>(true).load());
}

TEST(ValueTest, ACopyNamesTheSameValue) {
  Value<int> value(1);
  Value<int> copy = value;
  copy.store(2);
  EXPECT_EQ(value.load(), 2);
}

TEST(ValueTest, AddsAsAtomicsDo) {
  std::mt19937_64 random(test::seed());
  Value<std::int32_t> ours(0);
  std::atomic<std::int32_t> standards{0};
  for (int i = 0; i < 1'000; ++i) {
    const auto n = static_cast<std::int32_t>(random());
    EXPECT_EQ(ours.fetch_add(n), standards.fetch_add(n));
  }
  Value<std::int8_t> small(std::numeric_limits<std::int8_t>::max());
  EXPECT_EQ(small.fetch_add(1), std::numeric_limits<std::int8_t>::max());
  EXPECT_EQ(small.load(), std::numeric_limits<std::int8_t>::min());
  Value<double> real(0.5);
  EXPECT_EQ(real.fetch_add(0.25), 0.5);
  EXPECT_EQ(real.load(), 0.75);
  Value<Point> point({1, 2, 3});
  EXPECT_EQ(point.fetch_add({1, 1, 1}).z, 3);
  EXPECT_EQ(point.load().z, 4);
}

TEST(ValueTest, PaddingIsNotCompared) {
  Padded first{}, second{};
  std::memset(static_cast<void*>(&first), 0x11, sizeof first);
  std::memset(static_cast<void*>(&second), 0x77, sizeof second);
  for (Padded* one : {&first, &second}) {
    one->small = 'a';
    one->large = 2;
    one->flag = true;
  }
  Value<Padded> value(first);
  EXPECT_TRUE(value.compare_exchange(second, Padded{'b', 3, false}));
  EXPECT_EQ(value.load().small, 'b');
  Value<double> real(std::nan(""));
  EXPECT_TRUE(real.compare_exchange(std::nan(""), 1.0));
}

TEST(ValueTest, AnUpdateThatThrowsChangesNothing) {
  Value<Point> point({1, 2, 3});
  EXPECT_THROW(point.update([](const Point&) -> Point { throw std::domain_error("no"); }),
               std::domain_error);
  EXPECT_EQ(point.load().x, 1);
  // It holds nothing while it runs.
  point.update([&](const Point& old) {
    if (old.x < 5) point.store({5, 5, 5});
    return Point{old.x + 1, old.y, old.z};
  });
  EXPECT_EQ(point.load().x, 6);
}

template <class T, class Add>
void count_in_processes(Value<T>& value, Add add) {
  constexpr int kProcesses = 4, kRounds = 10'000;
  std::vector<std::unique_ptr<Forked>> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.push_back(std::make_unique<Forked>([&] {
      for (int round = 0; round < kRounds; ++round) add(value);
      return 0;
    }));
  }
  for (auto& child : children) EXPECT_EQ(child->wait(), 0);
}

TEST(ValueTest, CountsExactlyInManyProcesses) {
  Value<long> word(0);
  count_in_processes(word, [](Value<long>& value) { value.fetch_add(1); });
  EXPECT_EQ(word.load(), 40'000);
  Value<Point> point({0, 0, 0});
  count_in_processes(point, [](Value<Point>& value) { value.fetch_add({1, 2, 3}); });
  EXPECT_EQ(point.load().z, 120'000);
}

TEST(ValueTest, CrossesAsWhatItIs) {
  Value<int> value(1);
  EXPECT_THROW((void)test::cross(value, detail::Route::queue), NotSendable);
  EXPECT_THROW((void)(test::cross<Value<int>, Value<float>>(value, detail::Route::process)),
               DecodeError);
  EXPECT_THROW((void)(test::cross<Value<int>, Value<Point>>(value, detail::Route::process)),
               DecodeError);
}

}  // namespace
}  // namespace tandem
