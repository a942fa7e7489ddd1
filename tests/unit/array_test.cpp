#include "tandem/array.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <list>
#include <numeric>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "support/cross.hpp"
#include "support/forked.hpp"
#include "tandem/error.hpp"

namespace tandem {
namespace {

using test::Forked;
using test::Step;

struct Named {
  int id = 7;
  double value = 0.5;
};

TEST(ArrayTest, HasThatManyElementsAsMadeFromNothing) {
  const Array<int> numbers(5);
  EXPECT_EQ(numbers.size(), 5U);
  EXPECT_TRUE(std::all_of(numbers.begin(), numbers.end(), [](int n) { return n == 0; }));
  const Array<Named> named(3);
  EXPECT_EQ(named[2].id, 7);
  EXPECT_EQ(named[2].value, 0.5);
  EXPECT_TRUE(Array<int>(0).empty());
}

TEST(ArrayTest, HoldsARangesElements) {
  const std::vector<int> vector{3, 1, 2};
  EXPECT_EQ(Array<int>(vector)[0], 3);
  EXPECT_EQ(Array<double>(vector)[2], 2.0);
  EXPECT_EQ(Array<int>(std::list<int>{4, 5})[1], 5);
  EXPECT_EQ(Array<int>({1, 2, 3}).size(), 3U);
  EXPECT_TRUE(Array<bool>(std::vector<bool>{false, true})[1]);
  std::istringstream text("1 2 3 4");
  const Array<int> read{std::views::istream<int>(text)};
  EXPECT_EQ(read.size(), 4U);
  EXPECT_EQ(std::accumulate(read.begin(), read.end(), 0), 10);
}

TEST(ArrayTest, AtChecksItsBounds) {
  Array<int> array(2);
  array.at(1) = 5;
  EXPECT_EQ(array[1], 5);
  EXPECT_EQ(array.span()[1], 5);
  EXPECT_THROW((void)array.at(2), std::out_of_range);
  EXPECT_THROW((void)array.at(~std::size_t{0}), std::out_of_range);
}

TEST(ArrayTest, RefusesWhatCannotBe) {
  EXPECT_THROW(Array<int>(~std::size_t{0}), SystemError);
  EXPECT_THROW(Array<int>(std::size_t{1} << 62), SystemError);
}

TEST(ArrayTest, IsOneMemoryForAllProcesses) {
  Array<long> array(10);
  Forked child([&] {
    for (int i = 0; i < 1'000; ++i) {
      const auto guard = array.lock();
      for (long& element : array) ++element;
    }
    return 0;
  });
  for (int i = 0; i < 1'000; ++i) {
    const auto guard = array.lock();
    for (long& element : array) ++element;
  }
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(std::all_of(array.begin(), array.end(), [](long n) { return n == 2'000; }));
}

TEST(ArrayTest, TellsThatTheLocksHolderDied) {
  Array<int> array(1);
  Step holds;
  Forked holder([&] {
    const auto guard = array.lock();
    array[0] = 1;
    holds.done();
    for (;;) ::pause();
    return 0;
  });
  holds.await();
  holder.kill();
  EXPECT_THROW((void)array.lock(), OwnerDied);
  EXPECT_TRUE(array.mutex().recover());
  array.mutex().unlock();
  EXPECT_TRUE(array.lock().owns_lock());
}

TEST(ArrayTest, CrossesAsWhatItIs) {
  Array<int> array({1, 2, 3});
  const Array<int> other = test::cross(array, detail::Route::connection);
  array[1] = 9;
  EXPECT_EQ(other[1], 9);
  EXPECT_EQ(other.size(), 3U);
  {
    const auto guard = array.lock();
    EXPECT_FALSE(other.mutex().try_lock());
  }
  EXPECT_THROW((void)test::cross(array, detail::Route::queue), NotSendable);
  EXPECT_THROW((void)(test::cross<Array<int>, Array<float>>(array, detail::Route::process)),
               DecodeError);
}

}  // namespace
}  // namespace tandem
