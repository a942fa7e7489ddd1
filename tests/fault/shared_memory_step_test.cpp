// A process dies after every instruction of the operations of Value and SharedHeap. A value is then
// the old one or the new one; a heap works, or says that it cannot allocate any more.
#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "support/step_kill.hpp"
#include "tandem/error.hpp"
#include "tandem/shared_memory.hpp"

namespace tandem {
namespace {

constexpr std::size_t kDeaths = 15;  // from a random step on; TANDEM_STEP=1 tries all

using Wide = std::array<long, 8>;

Wide of(long n) {
  Wide wide;
  wide.fill(n);
  return wide;
}

void expect_old_or_new(Value<Wide>& value) {
  const Wide seen = value.load();
  EXPECT_TRUE(seen == of(1) || seen == of(2)) << testing::PrintToString(seen);
  EXPECT_TRUE(value.compare_exchange(seen, of(3)));
  EXPECT_EQ(value.exchange(of(4)), of(3));
  EXPECT_EQ(value.load(), of(4));
}

std::unique_ptr<Value<Wide>> make_value() { return std::make_unique<Value<Wide>>(of(1)); }

TEST(ValueStepTest, Store) {
  test::for_each_step(
      kDeaths, make_value, [](Value<Wide>& value) { value.store(of(2)); }, expect_old_or_new);
}

TEST(ValueStepTest, CompareExchange) {
  test::for_each_step(
      kDeaths, make_value, [](Value<Wide>& value) { (void)value.compare_exchange(of(1), of(2)); },
      expect_old_or_new);
}

TEST(ValueStepTest, Update) {
  test::for_each_step(
      kDeaths, make_value,
      [](Value<Wide>& value) { value.update([](const Wide& old) { return of(old[0] + 1); }); },
      expect_old_or_new);
}

TEST(SharedHeapStepTest, FindOrConstruct) {
  test::for_each_step(
      kDeaths,
      [] {
        auto heap = std::make_unique<SharedHeap>(1 << 14);
        (void)heap->find_or_construct<int>("before", 1);
        return heap;
      },
      [](SharedHeap& heap) {
        (void)heap.find_or_construct<SharedVector<int>>("numbers", std::size_t{10}, 7);
      },
      [](SharedHeap& heap) {
        EXPECT_EQ(*heap.find<int>("before"), 1);
        const auto* const numbers = heap.find<SharedVector<int>>("numbers");
        if (numbers != nullptr) {
          EXPECT_EQ(numbers->size(), 10U);
          EXPECT_EQ(numbers->back(), 7);
        }
        try {
          EXPECT_EQ(heap.find_or_construct<SharedVector<int>>("numbers", std::size_t{10}, 7)->at(9),
                    7);
          EXPECT_EQ(*heap.find_or_construct<int>("after", 2), 2);
        } catch (const OwnerDied&) {
          EXPECT_EQ(heap.find<int>("after"), nullptr);  // it can still be read
        }
      });
}

}  // namespace
}  // namespace tandem
