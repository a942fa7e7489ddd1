// Value, Array and SharedHeap among processes, over every way to start them. What a single process
// can see is in tests/unit.
#include "tandem/shared_memory.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "support/start_methods.hpp"
#include "tandem/error.hpp"
#include "tandem/pipe.hpp"
#include "tandem/process.hpp"

namespace tandem {
namespace {

using SharedMemoryProcessTest = test::StartMethodTest;
TANDEM_OVER_START_METHODS(SharedMemoryProcessTest);

using Wide = std::array<std::uint64_t, 20>;

void count_up(Value<long> value, int rounds) {
  for (int i = 0; i < rounds; ++i) value.fetch_add(1);
}
void count_wide(Value<Wide> value, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    value.update([](Wide wide) {
      if (std::adjacent_find(wide.begin(), wide.end(), std::not_equal_to()) != wide.end()) {
        throw std::logic_error("torn");
      }
      for (std::uint64_t& word : wide) ++word;
      return wide;
    });
  }
}

TEST_P(SharedMemoryProcessTest, AValueCountsExactlyInEightProcesses) {
  constexpr int kProcesses = 8, kRounds = 100'000 / test::kSlowdown, kWideRounds = 300;
  Value<long> value(0);
  Value<Wide> wide(Wide{});
  std::vector<Process> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.emplace_back(count_up, value, kRounds);
    children.emplace_back(count_wide, wide, kWideRounds);
  }
  for (Process& child : children) child.start();
  for (Process& child : children) {
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
  }
  EXPECT_EQ(value.load(), long{kProcesses} * kRounds);
  EXPECT_EQ(wide.load().back(), std::uint64_t{kProcesses} * kWideRounds);
}

void square(Array<double> array) {
  const auto guard = array.lock();
  for (double& element : array) element *= element;
}

TEST_P(SharedMemoryProcessTest, AnArrayIsSeenByChildren) {
  Array<double> array({1, 2, 3});
  Process child(square, array);
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
  EXPECT_EQ(std::accumulate(array.begin(), array.end(), 0.0), 14.0);
}

using Words = SharedMap<SharedString, int>;

void count_words(SharedHeap heap, std::string word, int times) {
  auto* const words = heap.find_or_construct<Words>("words");
  for (int i = 0; i < times; ++i) {
    const auto guard = heap.lock();
    ++(*words)[SharedString(word.c_str(), heap.allocator())];
  }
}

TEST_P(SharedMemoryProcessTest, AHeapsContainersAreEverybodys) {
  constexpr int kTimes = 200;
  SharedHeap heap(1 << 16);
  Process first(count_words, heap, "one of many words", kTimes);
  Process second(count_words, heap, "another of many words", kTimes);
  first.start();
  second.start();
  count_words(heap, "one of many words", kTimes);
  first.join();
  second.join();
  EXPECT_EQ(first.exitcode(), 0);
  EXPECT_EQ(second.exitcode(), 0);
  const auto* const words = heap.find<Words>("words");
  ASSERT_EQ(words->size(), 2U);
  EXPECT_EQ(words->begin()->second, kTimes);
  EXPECT_EQ(std::next(words->begin())->second, 2 * kTimes);
}

void fill_heap(SharedHeap heap) {
  auto* const numbers = heap.find_or_construct<SharedVector<int>>("numbers");
  try {
    for (;;) numbers->push_back(1);
  } catch (const SystemError& error) {
    std::exit(error.code() == std::errc::not_enough_memory ? 3 : 1);
  }
}

TEST_P(SharedMemoryProcessTest, AFullHeapIsAnErrorAndStaysUsable) {
  SharedHeap heap(1 << 13);
  Process child(fill_heap, heap);
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 3);
  heap.find<SharedVector<int>>("numbers")->clear();
  heap.find<SharedVector<int>>("numbers")->shrink_to_fit();
  EXPECT_EQ(*heap.find_or_construct<int>("number", 7), 7);
}

struct All {
  Value<int> value;
  Array<int> array;
  SharedHeap heap;
};

void use_all(Connection<int, All> connection) {
  All all = connection.recv();
  all.value.store(1);
  all.array[0] = 2;
  (void)all.heap.find_or_construct<int>("three", 3);
  connection.send(0);
}

TEST_P(SharedMemoryProcessTest, AllCanBeSentOverAConnection) {
  Pipe<All, int> pipe;
  const All all{Value<int>(0), Array<int>(1), SharedHeap(1 << 12)};
  Process child(use_all, std::move(pipe.second));
  child.start();
  pipe.first.send(all);
  (void)pipe.first.recv();
  EXPECT_EQ(all.value.load(), 1);
  EXPECT_EQ(all.array[0], 2);
  EXPECT_EQ(*all.heap.find<int>("three"), 3);
  child.join();
}

}  // namespace
}  // namespace tandem
