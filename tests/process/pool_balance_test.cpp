// A task that takes long holds up no other one, however they were sent.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/numbers.hpp"
#include "support/start_methods.hpp"
#include "tandem/array.hpp"
#include "tandem/event.hpp"
#include "tandem/pool.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

using PoolBalanceTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(PoolBalanceTest);

constexpr int kTasks = 600;
constexpr std::size_t kAll = kTasks;  // as a window

/// What tasks share, given to each worker by its initializer: a chunk has no descriptors then.
struct Shared {
  Event go;
  Array<int> begun = Array<int>(kAll);
};
Shared* shared = nullptr;  // in a worker
void share_with_worker(Event go, Array<int> begun) {
  shared = new Shared{std::move(go), std::move(begun)};
}

/// Those below zero wait.
int task(int i) {
  const int number = i < 0 ? -i : i;
  if (shared != nullptr) ++shared->begun[static_cast<std::size_t>(number)];
  if (i < 0) shared->go.wait();
  return number;
}

/// The same with its handles in the callable, which go along with every chunk.
struct Task {
  Event go;
  Array<int> begun;
  int operator()(int i) {
    const int number = i < 0 ? -i : i;
    ++begun[static_cast<std::size_t>(number)];
    if (i < 0) go.wait();
    return number;
  }
};

using test::numbers;

/// The input of all tasks, one of which waits.
std::vector<int> numbers_with(int waiting) {
  std::vector<int> all = numbers(kTasks);
  all[static_cast<std::size_t>(waiting)] *= -1;
  return all;
}

void expect_begun_once(const Array<int>& begun) {
  for (std::size_t i = 0; i < begun.size(); ++i) EXPECT_EQ(begun[i], 1) << i;
}

/// \returns the results of all tasks but the one that waits, which is let go then
template <class Stream>
std::set<int> all_but(int waiting, Stream& stream, Event go) {
  std::set<int> results;
  for (int n = 1; n < kTasks; ++n) {
    const std::optional<int> result = stream.next_for(5s);
    if (!result) {
      ADD_FAILURE() << "only " << results.size() << " results beside task " << waiting;
      break;
    }
    EXPECT_TRUE(results.insert(*result).second) << *result;
  }
  EXPECT_FALSE(results.contains(waiting));
  go.set();
  return results;
}

PoolOptions sharing(const Shared& mine) {
  return {.processes = 2, .initializer = call(&share_with_worker, mine.go, mine.begun)};
}

/// How long such tasks take is known, so that many are sent at once. None counts as begun.
void make_known(Pool& pool, Shared& mine) {
  std::vector<int> zeros(20'000, 0);
  static_cast<void>(pool.map([](int x) { return task(x); }, zeros));
  static_cast<void>(pool.map(&task, zeros));
  std::fill(mine.begun.begin(), mine.begun.end(), 0);
}

TEST_P(PoolBalanceTest, NoTaskWaitsBehindALongOne) {
  for (const int waiting : {1, 2, 100, kTasks / 2, kTasks - 1}) {
    for (const std::size_t chunksize : {0, 1}) {
      SCOPED_TRACE(testing::Message() << "task " << waiting << ", chunksize " << chunksize);
      Shared mine;
      Pool pool(sharing(mine));
      make_known(pool, mine);
      const std::vector<int> in = numbers_with(waiting);
      auto stream = pool.with({.chunksize = chunksize, .window = kAll}).imap_unordered(&task, in);
      EXPECT_EQ(all_but(waiting, stream, mine.go).size(), kAll - 1);
      EXPECT_EQ(stream.next(), waiting);
      EXPECT_FALSE(stream.next());
      expect_begun_once(mine.begun);
      if (HasFailure()) return;
    }
  }
}

TEST_P(PoolBalanceTest, NoTaskWaitsBehindALongOneWithHandles) {
  Shared mine;
  Pool pool(2);
  static_cast<void>(pool.map(Task{mine.go, mine.begun}, std::vector<int>(2'000, 0)));
  std::fill(mine.begun.begin(), mine.begun.end(), 0);
  const std::vector<int> in = numbers_with(kTasks / 2);
  auto stream = pool.with({.window = kAll}).imap_unordered(Task{mine.go, mine.begun}, in);
  EXPECT_EQ(all_but(kTasks / 2, stream, mine.go).size(), kAll - 1);
  EXPECT_EQ(stream.next(), kTasks / 2);
  EXPECT_FALSE(stream.next());
  expect_begun_once(mine.begun);
}

TEST_P(PoolBalanceTest, TasksOfOneCallMayWaitForTheNext) {
  Shared mine;
  Pool pool(sharing(mine));
  make_known(pool, mine);
  const std::vector<int> in = numbers_with(200);
  const std::vector<int> out = pool.map(
      [](int i) {
        if (i == 201) shared->go.set();
        return task(i);
      },
      in);
  EXPECT_EQ(out, numbers(kTasks));
}

TEST_P(PoolBalanceTest, WorkersOfFewTasksHoldNobodyUp) {
  Shared mine;
  PoolOptions options = sharing(mine);
  options.max_tasks_per_child = 100;
  Pool pool(options);
  const std::vector<int> in = numbers_with(150);
  auto stream = pool.with({.window = kAll}).imap_unordered(&task, in);
  EXPECT_EQ(all_but(150, stream, mine.go).size(), kAll - 1);
  EXPECT_EQ(stream.next(), 150);
  EXPECT_FALSE(stream.next());
  expect_begun_once(mine.begun);
}

TEST_P(PoolBalanceTest, WhoDiesAloneTakesNoOtherTaskAlong) {
  for (const int retries : {0, 1}) {
    Shared mine;
    Pool pool(sharing(mine));
    make_known(pool, mine);
    const std::vector<int> in = numbers_with(300);
    auto stream = pool.with({.retries = retries, .window = kAll})
                      .imap_unordered(
                          [](int i) {
                            const int number = task(i);
                            if (i < 0 && shared->begun[300] == 1) raise(SIGKILL);
                            return number;
                          },
                          in);
    EXPECT_EQ(all_but(300, stream, mine.go).size(), kAll - 1);
    if (retries == 0) {
      EXPECT_THROW(static_cast<void>(stream.next()), WorkerDied);
    } else {
      EXPECT_EQ(stream.next(), 300);
    }
    EXPECT_FALSE(stream.next());
    EXPECT_EQ(mine.begun[300], 1 + retries);
    EXPECT_EQ(mine.begun[301], 1);
  }
}

TEST_P(PoolBalanceTest, WhoIsKilledForItsTimeTakesNoOtherTaskAlong) {
  Shared mine;
  Pool pool(sharing(mine));
  make_known(pool, mine);
  const std::vector<int> in = numbers_with(300);
  auto stream = pool.with({.timeout = 100ms, .window = kAll}).imap(&task, in);
  for (int i = 0; i < kTasks; ++i) {
    if (i == 300) {
      EXPECT_THROW(static_cast<void>(stream.next()), TaskTimeout);
    } else {
      EXPECT_EQ(stream.next(), i);
    }
  }
  EXPECT_FALSE(stream.next());
  expect_begun_once(mine.begun);
}

TEST_P(PoolBalanceTest, TasksOfAnyLengthRunOnce) {
  Shared mine;
  Pool pool(sharing(mine));
  // Recalls and the ends of tasks meet in every order.
  for (int round = 0; round < 20; ++round) {
    std::fill(mine.begun.begin(), mine.begun.end(), 0);
    const std::vector<int> out = pool.map(
        [](int i) {
          static_cast<void>(task(i));
          const int us = i % 97 == 0 ? 2'000 : i % 13 == 0 ? 150 : 0;
          const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(us);
          while (std::chrono::steady_clock::now() < end) {
          }
          return i;
        },
        numbers(kTasks));
    EXPECT_EQ(out, numbers(kTasks));
    expect_begun_once(mine.begun);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace tandem
