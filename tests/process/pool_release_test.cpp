// What a pool has of its callers' values is gone when they are done with: in the pool's process and in
// its workers.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "os/resources.hpp"
#include "support/large.hpp"
#include "support/numbers.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/event.hpp"
#include "tandem/pool.hpp"

namespace tandem {
namespace {

using test::numbers;

/// Counts those of its kind in this process.
class Counted {
 public:
  explicit Counted(int n = 0) : number(n) { ++alive; }
  Counted(const Counted& other) : number(other.number) { ++alive; }
  Counted(Counted&& other) noexcept : number(other.number) { ++alive; }
  Counted& operator=(const Counted&) = default;
  Counted& operator=(Counted&&) noexcept = default;
  ~Counted() { --alive; }

  template <class Archive>
  void serialize(Archive& archive) {
    archive(number);
  }

  static inline std::atomic<int> alive = 0;
  int number;
};

std::vector<Counted> counted(int n) {
  std::vector<Counted> all;
  for (const int i : numbers(n)) all.emplace_back(i);
  return all;
}
std::vector<std::tuple<Counted, int>> counted_tuples(int n) {
  std::vector<std::tuple<Counted, int>> all;
  for (const int i : numbers(n)) all.emplace_back(Counted(i), i);
  return all;
}

int alive_beside(int) { return Counted::alive; }
int alive_with(const Counted&) { return Counted::alive; }
int alive_with_two(const Counted&, int) { return Counted::alive; }
Counted make(int n) { return Counted(n); }
int fail_with(const Counted& argument) { throw std::domain_error(std::to_string(argument.number)); }

/// A callable that holds one.
struct Holder {
  Counted held;
  int operator()(int) const { return Counted::alive; }
};

class PoolReleaseTest : public test::ThreadedStartMethodTest {
 protected:
  void TearDown() override {
    pool_.reset();
    expect_none_here();
    ThreadedStartMethodTest::TearDown();
  }

  /// Neither here nor in the worker.
  void expect_none() {
    EXPECT_EQ(pool().apply(alive_beside, 0), 0);
    expect_none_here();
  }
  /// What the background thread lets go of has the same time for it as what the leak check looks for.
  static void expect_none_here() {
    const auto deadline = std::chrono::steady_clock::now() + test::leak_grace();
    while (Counted::alive != 0 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_EQ(Counted::alive, 0);
  }

  template <class Stream>
  static std::vector<int> taken(Stream stream) {
    std::vector<int> all;
    for (const int x : stream) all.push_back(x);
    return all;
  }

  /// Of one worker, which has to do with all.
  Pool& pool() {
    if (!pool_) pool_.emplace(1);
    return *pool_;
  }

 private:
  std::optional<Pool> pool_;
};
TANDEM_OVER_START_METHODS(PoolReleaseTest);

TEST_P(PoolReleaseTest, ArgumentsOfEveryCall) {
  EXPECT_EQ(pool().apply(alive_with, Counted(1)), 1);
  expect_none();
  auto async = pool().apply_async(alive_with, Counted(1));
  EXPECT_EQ(Counted::alive, 0) << "it was encoded";
  EXPECT_EQ(async.get(), 1);
  expect_none();
  const std::vector<int> ones(20, 1);
  for (const std::size_t chunksize : {0, 1, 7}) {
    Pool::With all = pool().with({.chunksize = chunksize});
    EXPECT_EQ(all.map(alive_with, counted(20)), ones);
    expect_none();
    EXPECT_EQ(all.map_async(alive_with, counted(20)).get(), ones);
    expect_none();
    EXPECT_EQ(all.starmap(alive_with_two, counted_tuples(20)), ones);
    expect_none();
    EXPECT_EQ(all.starmap_async(alive_with_two, counted_tuples(20)).get(), ones);
    expect_none();
    EXPECT_EQ(taken(all.imap(alive_with, counted(20))), ones);
    expect_none();
    EXPECT_EQ(taken(all.imap_unordered(alive_with, counted(20))), ones);
    expect_none();
    EXPECT_EQ(taken(all.istarmap(alive_with_two, counted_tuples(20))), ones);
    expect_none();
    EXPECT_EQ(taken(all.istarmap_unordered(alive_with_two, counted_tuples(20))), ones);
    expect_none();
  }
}

TEST_P(PoolReleaseTest, ArgumentsOfTasksThatFail) {
  for (const std::size_t chunksize : {1, 7}) {
    EXPECT_THROW(pool().with({.chunksize = chunksize}).map(fail_with, counted(20)),
                 std::domain_error);
    expect_none();
  }
}

TEST_P(PoolReleaseTest, Callables) {
  const std::vector<int> ones(20, 1);
  for (const std::size_t chunksize : {1, 7}) {
    EXPECT_EQ(pool().with({.chunksize = chunksize}).map(Holder(), numbers(20)), ones);
    expect_none();
  }
  EXPECT_EQ(pool().apply_async(Holder(), 1).get(), 1);
  expect_none();
}

TEST_P(PoolReleaseTest, ResultsThatWereTaken) {
  for (const std::size_t chunksize : {0, 1, 7}) {
    Pool::With all = pool().with({.chunksize = chunksize});
    EXPECT_EQ(all.map(make, numbers(20)).size(), 20U);
    expect_none();
    EXPECT_EQ(all.map_async(make, numbers(20)).get().size(), 20U);
    expect_none();
    {
      auto stream = all.imap(make, numbers(20));
      for (int i = 0; i < 20; ++i) EXPECT_EQ(stream.next().value().number, i);
      EXPECT_FALSE(stream.next());
      expect_none();
    }
    for (const Counted& one : all.imap_unordered(make, numbers(20))) EXPECT_GE(one.number, 0);
    expect_none();
  }
  EXPECT_EQ(pool().apply(make, 3).number, 3);
  expect_none();
}

TEST_P(PoolReleaseTest, AResultIsKeptAsLongAsItsAsyncResult) {
  {
    auto async = pool().apply_async(make, 3);
    EXPECT_EQ(async.get().number, 3);
    EXPECT_EQ(Counted::alive, 1);
    EXPECT_EQ(pool().apply(alive_beside, 0), 0) << "the worker has let go of it";
  }
  expect_none();
  EXPECT_EQ(pool().apply_async(make, 4).get().number, 4);
  expect_none();
}

TEST_P(PoolReleaseTest, ResultsThatNobodyTakes) {
  static_cast<void>(pool().apply_async(make, 1));
  static_cast<void>(pool().map_async(make, numbers(20)));
  // Behind them.
  expect_none();
  {
    auto stream = pool().with({.window = 8}).imap(make, numbers(20));
    EXPECT_EQ(stream.next().value().number, 0);
  }
  expect_none();
}

TEST_P(PoolReleaseTest, WhatATerminatedPoolHad) {
  Event never;
  const auto wait_for = [](Event event, const Counted& one) {
    event.wait();
    return one;
  };
  {
    auto first = pool().apply_async(make, 1);
    first.wait();
    auto running = pool().apply_async(wait_for, never, Counted(2));
    auto waiting = pool().map_async(alive_with, counted(100));
    pool().terminate();
    EXPECT_THROW(static_cast<void>(running.get()), Cancelled);
    EXPECT_THROW(waiting.get(), Cancelled);
    EXPECT_EQ(Counted::alive, 1) << "the first one";
  }
  expect_none_here();
}

std::size_t resident_bytes() { return os::resident_bytes(); }

TEST_P(PoolReleaseTest, AHundredMebibytesThereAndBack) {
  if (test::kAsan || test::kTsan) GTEST_SKIP() << "they keep freed memory themselves";
  constexpr std::size_t kLarge = std::size_t{100} << 20;
  const auto same = [](std::string text) { return text; };
  static_cast<void>(pool().apply(same, "short"));
  const std::size_t here = os::resident_bytes();
  const std::size_t there = pool().apply(resident_bytes);
  {
    const std::string sent = test::text(kLarge, 1);
    const std::string received = pool().apply(same, sent);
    ASSERT_EQ(received.size(), kLarge);
    EXPECT_TRUE(received == sent);
  }
  // What is kept for the next ones is less than half of one.
  EXPECT_LT(os::resident_bytes(), here + kLarge / 2);
  EXPECT_LT(pool().apply(resident_bytes), there + kLarge / 2);
}

}  // namespace
}  // namespace tandem
