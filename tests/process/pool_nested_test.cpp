// Pools of pools: a task that has a pool of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/numbers.hpp"
#include "support/start_methods.hpp"
#include "tandem/event.hpp"
#include "tandem/executor.hpp"
#include "tandem/parallel.hpp"
#include "tandem/pool.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

using testing::ElementsAre;

using PoolNestedTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(PoolNestedTest);

int square(int x) { return x * x; }
int fail(int x) { throw std::domain_error(std::to_string(x)); }

using test::numbers;

/// The sum of the squares below n, by a pool.
int sum_of_squares(int n) {
  Pool pool(2);
  const std::vector<int> squares = pool.map(square, numbers(n));
  return std::accumulate(squares.begin(), squares.end(), 0);
}
/// The sum of these for all below n, by a pool of workers that have pools.
int sum_of_sums(int n) {
  Pool pool(2);
  const std::vector<int> sums = pool.map(sum_of_squares, numbers(n));
  return std::accumulate(sums.begin(), sums.end(), 0);
}

TEST_P(PoolNestedTest, ATaskMayHaveAPool) {
  Pool pool(2);
  EXPECT_THAT(pool.map(sum_of_squares, std::vector{2, 3, 4, 5, 6}), ElementsAre(1, 5, 14, 30, 55));
}

TEST_P(PoolNestedTest, TwoDeep) {
  Pool pool(2);
  EXPECT_THAT(pool.map(sum_of_sums, std::vector{3, 4, 5}), ElementsAre(1, 6, 20));
}

TEST_P(PoolNestedTest, APoolMayBeKeptByItsWorker) {
  static std::optional<Pool> kept;
  Pool pool({.processes = 2, .initializer = call([] { kept.emplace(2); }), .finalizer = call([] {
                                                                             kept.reset();
                                                                           })});
  const auto by_kept = [](int n) { return kept->apply(square, n); };
  const std::vector<int> squares = pool.map(by_kept, numbers(50));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(squares[static_cast<std::size_t>(i)], i * i);
}

TEST_P(PoolNestedTest, ErrorsComeThroughBoth) {
  Pool pool(2);
  const auto nested = [](int n) { return Pool(2).apply(fail, n); };
  EXPECT_THROW(pool.map(nested, std::vector{1, 2, 3}), std::domain_error);
  EXPECT_EQ(pool.apply(sum_of_squares, 4), 14);
}

TEST_P(PoolNestedTest, ExecutorsAndParallelsMayBeNestedToo) {
  ProcessPoolExecutor executor(2);
  Future<int> sum = executor.submit(
      [](int n) {
        ProcessPoolExecutor inner(2);
        std::vector<Future<int>> futures;
        for (int i = 0; i < n; ++i) futures.push_back(inner.submit(square, i));
        int total = 0;
        for (Future<int>& future : as_completed(futures)) total += future.get();
        return total;
      },
      5);
  Future<int> other = executor.submit([] {
    const std::vector<int> both = Parallel(2)({delayed(square)(3), delayed(square)(4)});
    return both[0] + both[1];
  });
  EXPECT_EQ(sum.get(), 30);
  EXPECT_EQ(other.get(), 25);
}

TEST_P(PoolNestedTest, TerminationEndsThoseWithin) {
  Queue<int> pids;
  const Event never;
  Pool pool(2);
  const auto nested = [](Queue<int> found, Event event) {
    Pool inner(2);
    inner.map(
        [](std::pair<Queue<int>, Event> both) {
          both.first.put(::getpid());
          both.second.wait();
        },
        std::vector(2, std::pair(found, event)));
  };
  AsyncResult<void> one = pool.apply_async(nested, pids, never);
  AsyncResult<void> other = pool.apply_async(nested, pids, never);
  std::vector<int> ends;
  for (int i = 0; i < 4; ++i) {
    const auto fd = static_cast<int>(::syscall(SYS_pidfd_open, pids.get(), 0));
    ASSERT_GE(fd, 0);
    ends.push_back(fd);
  }
  pool.terminate();
  EXPECT_THROW(one.get(), Cancelled);
  EXPECT_THROW(other.get(), Cancelled);
  for (const int fd : ends) {
    pollfd entry{fd, POLLIN, 0};
    while (::poll(&entry, 1, -1) != 1) {
    }
    ::close(fd);
  }
}

TEST_P(PoolNestedTest, AWorkerThatDiesTakesItsPoolAlong) {
  Queue<int> pids;
  const Event never;
  Pool pool(1);
  const auto nested = [](Queue<int> found, Event event) {
    Pool inner(1);
    inner.apply(
        [](Queue<int> to, Event waited_for) {
          to.put(::getpid());
          waited_for.wait();
        },
        found, event);
  };
  AsyncResult<void> result = pool.apply_async(nested, pids, never);
  const auto end = static_cast<int>(::syscall(SYS_pidfd_open, pids.get(), 0));
  ASSERT_GE(end, 0);
  ::kill(pool.stats().workers[0].pid, SIGKILL);
  EXPECT_THROW(result.get(), WorkerDied);
  pollfd entry{end, POLLIN, 0};
  while (::poll(&entry, 1, -1) != 1) {
  }
  ::close(end);
  EXPECT_EQ(pool.apply(square, 3), 9);
}

}  // namespace
}  // namespace tandem
