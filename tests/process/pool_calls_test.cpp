// Every call of a pool, with inputs of every length and chunks of every size.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "support/numbers.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/pool.hpp"

namespace tandem {
namespace {

using test::numbers;

using PoolCallsTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(PoolCallsTest);

long long triple(int x) { return 3LL * x; }
long long add(int a, long long b) { return a + b; }
void nothing(int) {}
void nothing_of_two(int, long long) {}

/// What there is for triple to do, and for add such that the results are the same.
struct Input {
  explicit Input(int n) : elements(numbers(n)) {
    for (const int x : elements) {
      pairs.emplace_back(x, 2LL * x);
      results.push_back(triple(x));
    }
  }
  std::vector<int> elements;
  std::vector<std::pair<int, long long>> pairs;
  std::vector<long long> results;
};

template <class Stream>
std::vector<long long> all_of(Stream stream) {
  std::vector<long long> all;
  for (const long long x : stream) all.push_back(x);
  EXPECT_TRUE(stream.ended());
  return all;
}
template <class Stream>
std::vector<long long> sorted_all_of(Stream stream) {
  std::vector<long long> all = all_of(std::move(stream));
  std::sort(all.begin(), all.end());
  return all;
}
template <class Stream>
std::size_t number_of(Stream stream) {
  std::size_t n = 0;
  for (const std::monostate& m : stream) {
    static_cast<void>(m);
    ++n;
  }
  return n;
}

/// \param calls a Pool, or one under options
template <class Calls>
void expect_results_of_every_call(Calls&& calls, const Input& in) {
  const auto expect = [&in](const char* call, const std::vector<long long>& results) {
    EXPECT_TRUE(results == in.results) << call << " gave " << results.size() << " results";
  };
  expect("map", calls.map(triple, in.elements));
  expect("map_async", calls.map_async(triple, in.elements).get());
  expect("starmap", calls.starmap(add, in.pairs));
  expect("starmap_async", calls.starmap_async(add, in.pairs).get());
  expect("imap", all_of(calls.imap(triple, in.elements)));
  expect("istarmap", all_of(calls.istarmap(add, in.pairs)));
  expect("imap_unordered", sorted_all_of(calls.imap_unordered(triple, in.elements)));
  expect("istarmap_unordered", sorted_all_of(calls.istarmap_unordered(add, in.pairs)));
}

/// That they end, and how many results streams have.
template <class Calls>
void expect_every_call_without_results(Calls&& calls, const Input& in) {
  calls.map(nothing, in.elements);
  calls.map_async(nothing, in.elements).get();
  calls.starmap(nothing_of_two, in.pairs);
  calls.starmap_async(nothing_of_two, in.pairs).get();
  const std::size_t n = in.elements.size();
  EXPECT_EQ(number_of(calls.imap(nothing, in.elements)), n);
  EXPECT_EQ(number_of(calls.istarmap(nothing_of_two, in.pairs)), n);
  EXPECT_EQ(number_of(calls.imap_unordered(nothing, in.elements)), n);
  EXPECT_EQ(number_of(calls.istarmap_unordered(nothing_of_two, in.pairs)), n);
}

constexpr int kLengths[] = {0, 1, 2, 3, 8, 100};

/// Calls f(chunksize) for those that an input of n elements is tried with.
template <class F>
void for_each_chunksize(int n, F f) {
  for (const int chunksize : {0, 1, 2, 7, n + 1}) {
    SCOPED_TRACE("n = " + std::to_string(n) + ", chunksize = " + std::to_string(chunksize));
    f(static_cast<std::size_t>(chunksize));
  }
}

TEST_P(PoolCallsTest, EveryLengthAndChunkSize) {
  Pool pool(2);
  for (const int n : kLengths) {
    const Input in(n);
    expect_results_of_every_call(pool, in);
    for_each_chunksize(n, [&](std::size_t chunksize) {
      expect_results_of_every_call(pool.with({.chunksize = chunksize}), in);
    });
  }
  EXPECT_EQ(pool.stats().failed, 0U);
}

TEST_P(PoolCallsTest, EveryLengthAndChunkSizeWithoutResults) {
  Pool pool(2);
  for (const int n : kLengths) {
    const Input in(n);
    expect_every_call_without_results(pool, in);
    for_each_chunksize(n, [&](std::size_t chunksize) {
      expect_every_call_without_results(pool.with({.chunksize = chunksize}), in);
    });
  }
  // Every element was one task.
  std::size_t elements = 0;
  for (const int n : kLengths) elements += static_cast<std::size_t>(n);
  EXPECT_EQ(pool.stats().done, elements * 8 * 6);
}

TEST_P(PoolCallsTest, EveryChunkSizeInEveryWindow) {
  Pool pool(2);
  const Input in(50);
  for_each_chunksize(50, [&](std::size_t chunksize) {
    for (const std::size_t window : {1, 2, 8, 100}) {
      expect_results_of_every_call(pool.with({.chunksize = chunksize, .window = window}), in);
    }
  });
}

TEST_P(PoolCallsTest, AMillionElements) {
  Pool pool(2);
  const Input in(test::full_form() ? 1'000'000 : 100'000);
  // A window as wide as a map's: what is tried is the length.
  expect_results_of_every_call(pool.with({.window = in.elements.size()}), in);
}

}  // namespace
}  // namespace tandem
