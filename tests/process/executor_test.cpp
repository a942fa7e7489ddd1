// ProcessPoolExecutor, and several futures at once.
#include "tandem/executor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/generated.hpp"
#include "support/start_methods.hpp"
#include "tandem/async.hpp"
#include "tandem/event.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

using ExecutorTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(ExecutorTest);

int add(int a, int b) { return a + b; }
int square(int x) { return x * x; }
int fail(int x) { throw std::domain_error(std::to_string(x)); }
int fail_on_odd(int x) { return x % 2 == 0 ? x : fail(x); }
[[noreturn]] int die(int) { ::_exit(3); }
int wait_for(Event event, int result) {
  event.wait();
  return result;
}
/// Says that it has begun, then waits.
int begin_and_wait(Queue<int> begun, Event event, int result) {
  begun.put(result);
  event.wait();
  return result;
}

TEST_P(ExecutorTest, SubmitReturnsTheResult) {
  ProcessPoolExecutor executor(2);
  Future<int> sum = executor.submit(add, 2, 3);
  EXPECT_EQ(sum.get(), 5);
  EXPECT_EQ(sum.get(), 5);
  EXPECT_TRUE(sum.ready());
  EXPECT_TRUE(sum.wait_for(0s));
  EXPECT_NE(executor.submit([] { return ::getpid(); }).get(), ::getpid());
  EXPECT_EQ(executor.submit([](std::string s) { return s + "!"; }, "literal").get(), "literal!");
}

TEST_P(ExecutorTest, NothingAndMoveOnlyValuesAreResults) {
  ProcessPoolExecutor executor(1);
  Future<void> done = executor.submit([] {});
  done.get();
  done.get();
  Future<std::unique_ptr<int>> owned = executor.submit([] { return std::make_unique<int>(7); });
  EXPECT_EQ(*owned.get(), 7);
  EXPECT_THROW(static_cast<void>(owned.get()), Error);
  Future<std::string> text = executor.submit([] { return std::string("moved"); });
  EXPECT_EQ(text.get(), "moved");
  EXPECT_EQ(std::move(text).get(), "moved");
  EXPECT_THROW(static_cast<void>(text.get()), Error);  // NOLINT(bugprone-use-after-move)
}

TEST_P(ExecutorTest, GetThrowsTheErrorOfTheCall) {
  ProcessPoolExecutor executor(1);
  Future<int> fails = executor.submit(fail, 4);
  for (int i = 0; i < 2; ++i) {
    try {
      static_cast<void>(fails.get());
      ADD_FAILURE() << "did not throw";
    } catch (const std::domain_error& error) {
      EXPECT_STREQ(error.what(), "4");
    }
  }
}

TEST_P(ExecutorTest, FuturesOfPoolsAndProcessesAreOfOneType) {
  ProcessPoolExecutor executor(1);
  std::vector<Future<int>> futures;
  futures.push_back(executor.submit(add, 1, 2));
  futures.push_back(async(add, 3, 4));
  EXPECT_EQ(futures[0].get(), 3);
  EXPECT_EQ(futures[1].get(), 7);
}

TEST_P(ExecutorTest, AWorkerThatDiesFailsItsOwnFutureOnly) {
  ProcessPoolExecutor executor(2);
  std::vector<Future<int>> sums;
  for (int i = 0; i < 20; ++i) sums.push_back(executor.submit(square, i));
  Future<int> dies = executor.submit(die, 0);
  for (int i = 20; i < 40; ++i) sums.push_back(executor.submit(square, i));
  try {
    static_cast<void>(dies.get());
    ADD_FAILURE() << "did not throw";
  } catch (const WorkerDied& death) {
    EXPECT_EQ(death.exit_code(), 3);
  }
  for (int i = 0; i < 40; ++i) EXPECT_EQ(sums[static_cast<std::size_t>(i)].get(), i * i);
}

TEST_P(ExecutorTest, MapHandsOutResultsInOrder) {
  ProcessPoolExecutor executor(2);
  std::vector<int> results;
  for (int result : executor.map(square, test::Generated(300, [](int i) { return i; })))
    results.push_back(result);
  ASSERT_EQ(results.size(), 300u);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)], i * i);
  EXPECT_EQ(executor.map(square, std::vector<int>()).next(), std::nullopt);
}

TEST_P(ExecutorTest, MapOfSeveralRangesEndsWithTheShortest) {
  ProcessPoolExecutor executor(2);
  const std::vector<int> left{1, 2, 3};
  std::vector<int> results;
  for (int result : executor.map(add, left, std::list<int>{10, 20, 30, 40})) {
    results.push_back(result);
  }
  EXPECT_THAT(results, ElementsAre(11, 22, 33));
  results.clear();
  for (int result : executor.map([](int a, int b, int c) { return a * b + c; }, left,
                                 std::list<int>{5, 6, 7}, std::vector<int>{1, 1})) {
    results.push_back(result);
  }
  EXPECT_THAT(results, ElementsAre(6, 13));
  EXPECT_EQ(executor.map(add, left, std::vector<int>()).next(), std::nullopt);
}

TEST_P(ExecutorTest, MapThrowsAnErrorAtItsElement) {
  ProcessPoolExecutor executor(2);
  auto results = executor.map(fail_on_odd, std::vector<int>{0, 1, 2});
  EXPECT_EQ(results.next(), 0);
  EXPECT_THROW(static_cast<void>(results.next()), std::domain_error);
  EXPECT_EQ(results.next(), 2);
  EXPECT_EQ(results.next(), std::nullopt);
}

TEST_P(ExecutorTest, NothingIsTakenAfterShutdown) {
  ProcessPoolExecutor executor(2);
  Future<int> before = executor.submit(add, 1, 1);
  executor.shutdown();
  EXPECT_TRUE(active_children().empty());
  EXPECT_TRUE(before.ready());
  EXPECT_EQ(before.get(), 2);
  try {
    static_cast<void>(executor.submit(add, 1, 1));
    ADD_FAILURE() << "did not throw";
  } catch (const Closed& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("ProcessPoolExecutor::submit"));
  }
  EXPECT_THROW(static_cast<void>(executor.map(square, std::vector<int>{1})), Closed);
  executor.shutdown();
}

TEST_P(ExecutorTest, ShutdownNeedNotWait) {
  Event go;
  ProcessPoolExecutor executor(1);
  Future<int> late = executor.submit(wait_for, go, 6);
  executor.shutdown(false);  // returns though the call waits for `go`
  EXPECT_FALSE(late.ready());
  EXPECT_THROW(static_cast<void>(executor.submit(add, 1, 1)), Closed);
  go.set();
  EXPECT_EQ(late.get(), 6);
}

TEST_P(ExecutorTest, ShutdownCancelsWhatNoWorkerHas) {
  Event go;
  Queue<int> begun;
  ProcessPoolExecutor executor(1);
  Future<int> running = executor.submit(begin_and_wait, begun, go, 1);
  EXPECT_EQ(begun.get(), 1);
  std::vector<Future<int>> queued;
  for (int i = 0; i < 10; ++i) queued.push_back(executor.submit(begin_and_wait, begun, go, 2));
  executor.shutdown(false, true);
  for (Future<int>& future : queued) EXPECT_THROW(static_cast<void>(future.get()), Cancelled);
  EXPECT_FALSE(running.ready());
  go.set();
  EXPECT_EQ(running.get(), 1);
  EXPECT_FALSE(begun.try_get());
}

TEST_P(ExecutorTest, ShutdownWithCancelEndsAnEndlessMap) {
  ProcessPoolExecutor executor(2);
  auto results = executor.map(square, test::endless());
  EXPECT_EQ(results.next(), 0);
  executor.shutdown(true, true);
  bool cancelled = false;
  try {
    while (results.next()) {
    }
  } catch (const Cancelled&) {
    cancelled = true;
  }
  EXPECT_TRUE(cancelled);
}

TEST_P(ExecutorTest, DestructionWaitsForTheCalls) {
  Future<int> sum;
  {
    ProcessPoolExecutor executor(1);
    sum = executor.submit(add, 20, 3);
  }
  EXPECT_TRUE(active_children().empty());
  EXPECT_EQ(sum.get(), 23);
}

TEST_P(ExecutorTest, MovesWithItsCalls) {
  ProcessPoolExecutor executor(1);
  Future<int> sum = executor.submit(add, 1, 2);
  ProcessPoolExecutor moved = std::move(executor);
  EXPECT_EQ(sum.get(), 3);
  EXPECT_EQ(moved.submit(add, 3, 4).get(), 7);
  EXPECT_THROW(static_cast<void>(executor.submit(add, 1, 1)), Closed);  // NOLINT
}

TEST_P(ExecutorTest, OptionsAreThePoolsOwn) {
  ProcessPoolExecutor executor(PoolOptions{.processes = 3, .initializer = call([](int) {}, 1)});
  EXPECT_EQ(executor.pool().size(), 3u);
  EXPECT_EQ(executor.submit(add, 1, 1).get(), 2);
  ProcessPoolExecutor broken(
      PoolOptions{.processes = 1, .initializer = call([] { throw std::domain_error("no"); })});
  EXPECT_THROW(static_cast<void>(broken.submit(add, 1, 1).get()), std::domain_error);
}

TEST_P(ExecutorTest, CancelTakesBackWhatIsQueued) {
  Event go;
  Queue<int> begun;
  ProcessPoolExecutor executor(1);
  Future<int> running = executor.submit(begin_and_wait, begun, go, 1);
  EXPECT_EQ(begun.get(), 1);
  Future<int> queued = executor.submit(add, 1, 1);
  EXPECT_TRUE(queued.cancel());
  EXPECT_FALSE(queued.cancel());
  EXPECT_TRUE(queued.ready());
  EXPECT_THROW(static_cast<void>(queued.get()), Cancelled);
  go.set();
  EXPECT_EQ(running.get(), 1);
  EXPECT_FALSE(running.cancel());
  EXPECT_EQ(running.get(), 1);
}

// --- as_completed -----------------------------------------------------------------------------

/// Calls that end in a known order: each waits for an event of its own. There are workers enough
/// for all.
class Chain {
 public:
  template <class Submit>
  Chain(int n, Submit submit) : go_(static_cast<std::size_t>(n)) {
    for (int i = 0; i < n; ++i) futures.push_back(submit(i, go_[static_cast<std::size_t>(i)]));
  }
  void end(int i) { go_[static_cast<std::size_t>(i)].set(); }
  std::vector<Future<int>> futures;

 private:
  std::vector<Event> go_;
};

/// Ends them in this order, each when the one before has been handed out.
std::vector<int> walk(Chain& chain, const std::vector<int>& order) {
  std::vector<int> seen;
  auto next = order.begin();
  chain.end(*next++);
  for (Future<int>& future : as_completed(chain.futures)) {
    EXPECT_TRUE(future.ready());
    seen.push_back(future.get());
    if (next != order.end()) chain.end(*next++);
  }
  return seen;
}

TEST_P(ExecutorTest, AsCompletedFollowsTheOrderInWhichTheyEnd) {
  ProcessPoolExecutor executor(4);
  Chain chain(4, [&](int i, const Event& go) { return executor.submit(wait_for, go, i); });
  EXPECT_THAT(walk(chain, {2, 0, 3, 1}), ElementsAre(2, 0, 3, 1));
}

TEST_P(ExecutorTest, AsCompletedOfTwoPoolsAndProcesses) {
  ProcessPoolExecutor one(2);
  ProcessPoolExecutor other(2);
  Chain chain(6, [&](int i, const Event& go) {
    return i < 2   ? one.submit(wait_for, go, i)
           : i < 4 ? other.submit(wait_for, go, i)
                   : async(wait_for, go, i);
  });
  EXPECT_THAT(walk(chain, {4, 2, 0, 5, 1, 3}), ElementsAre(4, 2, 0, 5, 1, 3));
}

TEST_P(ExecutorTest, AsCompletedOfProcessesAlone) {
  Chain chain(3, [&](int i, const Event& go) { return async(wait_for, go, i); });
  EXPECT_THAT(walk(chain, {1, 2, 0}), ElementsAre(1, 2, 0));
}

TEST_P(ExecutorTest, AsCompletedHandsOutErrorsAndTheDead) {
  ProcessPoolExecutor executor(2);
  std::vector<Future<int>> futures;
  futures.push_back(executor.submit(square, 3));
  futures.push_back(executor.submit(fail, 3));
  futures.push_back(executor.submit(die, 3));
  futures.push_back(async(die, 3));
  futures.push_back(executor.submit(square, 3));
  static_cast<void>(futures[4].cancel());
  int results = 0;
  int errors = 0;
  int deaths = 0;
  for (Future<int>& future : as_completed(futures)) {
    try {
      EXPECT_EQ(future.get(), 9);
      ++results;
    } catch (const std::domain_error&) {
      ++errors;
    } catch (const WorkerDied&) {
      ++deaths;
    } catch (const Cancelled&) {
      ++results;
    }
  }
  EXPECT_EQ(results, 2);
  EXPECT_EQ(errors, 1);
  EXPECT_EQ(deaths, 2);
}

TEST_P(ExecutorTest, AsCompletedOfThousands) {
  ProcessPoolExecutor executor(2);
  std::vector<Future<int>> futures;
  for (int i = 0; i < 2000; ++i) futures.push_back(executor.submit(square, i % 100));
  std::vector<bool> seen(futures.size());
  for (Future<int>& future : as_completed(std::span(futures))) {
    const auto i = static_cast<std::size_t>(&future - futures.data());
    EXPECT_FALSE(seen[i]);
    seen[i] = true;
    EXPECT_EQ(future.get(), static_cast<int>((i % 100) * (i % 100)));
  }
  EXPECT_THAT(seen, testing::Each(true));
}

TEST_P(ExecutorTest, AsCompletedOfNothing) {
  std::vector<Future<int>> none;
  for (Future<int>& future : as_completed(none)) {
    static_cast<void>(future);
    ADD_FAILURE();
  }
  std::vector<Future<int>> empty(1);
  EXPECT_THROW(static_cast<void>(as_completed(empty)), Error);
}

TEST_P(ExecutorTest, AsCompletedMayBeLeftEarly) {
  Event go;
  ProcessPoolExecutor executor(2);
  std::vector<Future<int>> futures;
  futures.push_back(executor.submit(wait_for, go, 1));
  futures.push_back(executor.submit(add, 1, 1));
  for (Future<int>& future : as_completed(futures)) {
    EXPECT_EQ(future.get(), 2);
    break;
  }
  go.set();
  for (Future<int>& future : as_completed(futures)) future.wait();
  EXPECT_EQ(futures[0].get(), 1);
}

TEST_P(ExecutorTest, AsCompletedThrowsWhenTheTimeIsUp) {
  Event go;
  ProcessPoolExecutor executor(1);
  std::vector<Future<int>> futures;
  futures.push_back(executor.submit(wait_for, go, 1));
  futures.push_back(async(wait_for, go, 1));
  EXPECT_THROW(
      {
        for (Future<int>& future : as_completed(futures, 0s)) static_cast<void>(future);
      },
      TimedOut);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(static_cast<void>(as_completed(futures, 20ms).begin()), TimedOut);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
  go.set();
  int ended = 0;
  for (Future<int>& future : as_completed(futures, 1h)) ended += future.get();
  EXPECT_EQ(ended, 2);
}

TEST_P(ExecutorTest, AsCompletedWhileAnotherThreadDispatches) {
  ProcessPoolExecutor executor(2);
  std::vector<Future<int>> futures;
  for (int i = 0; i < 300; ++i) futures.push_back(executor.submit(square, 2));
  Future<int>& last = futures.back();
  std::thread other([&] {
    for (int i = 0; i < 300; ++i) EXPECT_EQ(executor.submit(square, i).get(), i * i);
    EXPECT_EQ(last.get(), 4);
  });
  int sum = 0;
  for (Future<int>& future : as_completed(futures)) sum += future.get();
  EXPECT_EQ(sum, 1200);
  other.join();
}

// --- wait --------------------------------------------------------------------------------------

TEST_P(ExecutorTest, WaitWaitsForAll) {
  ProcessPoolExecutor executor(2);
  std::vector<Future<int>> futures;
  for (int i = 0; i < 20; ++i) futures.push_back(executor.submit(square, i));
  futures.push_back(async(square, 20));
  const WaitResult<int> all = wait(futures);
  ASSERT_EQ(all.done.size(), futures.size());
  EXPECT_THAT(all.not_done, IsEmpty());
  for (std::size_t i = 0; i < futures.size(); ++i) EXPECT_EQ(all.done[i], &futures[i]);
  EXPECT_EQ(wait(futures).done.size(), futures.size());  // again
}

TEST_P(ExecutorTest, WaitReturnsWhenTheFirstHasEnded) {
  ProcessPoolExecutor executor(3);
  Chain chain(4, [&](int i, const Event& go) {
    return i < 3 ? executor.submit(wait_for, go, i) : async(wait_for, go, i);
  });
  std::vector<Future<int>*> left;
  for (Future<int>& future : chain.futures) left.push_back(&future);
  for (const int i : {1, 3, 0, 2}) {
    chain.end(i);
    const WaitResult<int> some = wait(left, ReturnWhen::first_completed);
    ASSERT_THAT(some.done, ElementsAre(&chain.futures[static_cast<std::size_t>(i)]));
    left = some.not_done;
  }
  EXPECT_THAT(left, IsEmpty());
}

TEST_P(ExecutorTest, WaitReturnsWhenTheFirstHasFailed) {
  Event never;
  Event go;
  ProcessPoolExecutor executor(3);
  std::vector<Future<int>> futures;
  futures.push_back(executor.submit(wait_for, never, 0));
  futures.push_back(executor.submit(wait_for, never, 0));
  futures.push_back(executor.submit(add, 1, 1));
  futures[2].wait();
  futures.push_back(executor.submit(
      [](Event e) -> int {
        e.wait();
        throw std::domain_error("failed");
      },
      go));
  const WaitResult<int> before = wait(futures, ReturnWhen::first_exception, 0s);
  EXPECT_THAT(before.done, ElementsAre(&futures[2]));
  go.set();
  const WaitResult<int> after = wait(futures, ReturnWhen::first_exception);
  EXPECT_THAT(after.done, ElementsAre(&futures[2], &futures[3]));
  EXPECT_THAT(after.not_done, ElementsAre(&futures[0], &futures[1]));
  never.set();
}

TEST_P(ExecutorTest, ACancelledFutureIsNoFailure) {
  Event go;
  Queue<int> begun;
  ProcessPoolExecutor executor(1);
  std::vector<Future<int>> futures;
  futures.push_back(executor.submit(begin_and_wait, begun, go, 1));
  static_cast<void>(begun.get());
  futures.push_back(executor.submit(add, 1, 1));
  ASSERT_TRUE(futures[1].cancel());
  const WaitResult<int> some = wait(futures, ReturnWhen::first_exception, 10ms);
  EXPECT_THAT(some.done, ElementsAre(&futures[1]));
  EXPECT_THAT(some.not_done, ElementsAre(&futures[0]));
  go.set();
  EXPECT_EQ(wait(futures, ReturnWhen::first_exception).done.size(), 2u);
}

TEST_P(ExecutorTest, WaitOnlyAsLongAsItIsTold) {
  Event go;
  ProcessPoolExecutor executor(1);
  std::vector<Future<int>> futures;
  futures.push_back(executor.submit(wait_for, go, 1));
  futures.push_back(async(wait_for, go, 2));
  for (const duration timeout : {duration(0s), duration(-1h)}) {
    EXPECT_EQ(wait(futures, ReturnWhen::all_completed, timeout).not_done.size(), 2u);
    EXPECT_EQ(wait(futures, ReturnWhen::first_completed, timeout).not_done.size(), 2u);
  }
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(wait(futures, ReturnWhen::all_completed, 20ms).not_done.size(), 2u);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
  go.set();
  EXPECT_EQ(wait(futures, ReturnWhen::all_completed, 1h).done.size(), 2u);
}

TEST_P(ExecutorTest, WaitForNothing) {
  std::vector<Future<int>> none;
  for (const ReturnWhen when :
       {ReturnWhen::all_completed, ReturnWhen::first_completed, ReturnWhen::first_exception}) {
    EXPECT_THAT(wait(none, when).done, IsEmpty());
    EXPECT_THAT(wait(none, when).not_done, IsEmpty());
  }
}

TEST_P(ExecutorTest, TerminationOfThePoolEndsTheWait) {
  Event never;
  ProcessPoolExecutor executor(1);
  std::vector<Future<int>> futures;
  for (int i = 0; i < 3; ++i) futures.push_back(executor.submit(wait_for, never, i));
  std::thread ends([&] { executor.pool().terminate(); });
  EXPECT_EQ(wait(futures).done.size(), 3u);
  ends.join();
  for (Future<int>& future : futures) EXPECT_THROW(static_cast<void>(future.get()), Cancelled);
}

}  // namespace
}  // namespace tandem
