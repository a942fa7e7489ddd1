// Tasks that take too long, are cancelled, are tried again; workers that are replaced, limited,
// more or fewer.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/numbers.hpp"
#include "support/start_methods.hpp"
#include "tandem/array.hpp"
#include "tandem/event.hpp"
#include "tandem/log.hpp"
#include "tandem/pipe.hpp"
#include "tandem/pool.hpp"
#include "tandem/queue.hpp"
#include "tandem/value.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

using PoolLimitsTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(PoolLimitsTest);

int square(int x) { return x * x; }
int square_unless_negative(int x) {
  if (x < 0) {
    for (;;) ::pause();
  }
  return x * x;
}
/// Announces itself, then waits.
int begin_and_wait(Queue<int> begun, Event go) {
  begun.put(::getpid());
  go.wait();
  return 1;
}
bool has_ended(int pid) { return ::kill(pid, 0) == -1; }

using test::numbers;

TEST_P(PoolLimitsTest, ATaskThatRunsTooLongEndsAlone) {
  Pool pool(2);
  std::vector<int> in = numbers(40);
  in[13] = -1;
  in[14] = -1;
  for (const std::size_t chunksize : {1, 7, 40}) {
    auto results = pool.with({.chunksize = chunksize, .timeout = 50ms, .window = 40})
                       .imap(square_unless_negative, in);
    for (int i = 0; i < 40; ++i) {
      if (i == 13 || i == 14) {
        try {
          static_cast<void>(results.next());
          ADD_FAILURE() << "task " << i << " cannot have a result";
        } catch (const TaskTimeout& error) {
          const std::string text = error.what();
          EXPECT_NE(text.find("Pool::imap: task " + std::to_string(i)), std::string::npos) << text;
          EXPECT_NE(text.find("50 ms"), std::string::npos) << text;
        }
      } else {
        EXPECT_EQ(results.next(), i * i);
      }
    }
    EXPECT_FALSE(results.next());
  }
  EXPECT_EQ(pool.stats().failed, 6u);
}

TEST_P(PoolLimitsTest, ATimeoutIsNoMoreThanALimit) {
  Pool pool(2);
  EXPECT_EQ(pool.with({.timeout = 1h}).apply(square, 3), 9);
  EXPECT_EQ(pool.with({.timeout = duration::max()}).map(square, numbers(100)).size(), 100u);
  EXPECT_THROW(pool.with({.timeout = 1ms}).apply(square_unless_negative, -1), TaskTimeout);
  EXPECT_THROW(pool.with({.timeout = 0ns}).apply(square_unless_negative, -1), TaskTimeout);
  EXPECT_EQ(pool.apply(square, 4), 16);
}

TEST_P(PoolLimitsTest, ATimeoutComesWhileNobodyWaits) {
  Pool pool(1);
  auto result = pool.with({.timeout = 20ms}).apply_async(square_unless_negative, -1);
  while (!result.ready()) std::this_thread::yield();
  EXPECT_THROW(result.get(), TaskTimeout);
}

TEST_P(PoolLimitsTest, EveryTaskOfAChunkHasTheWholeTime) {
  Pool pool(1);
  // Together they take longer than one may.
  const auto nap = [](int) { std::this_thread::sleep_for(5ms); };
  EXPECT_NO_THROW(pool.with({.chunksize = 20, .timeout = 80ms}).map(nap, numbers(20)));
}

TEST_P(PoolLimitsTest, ARunningTaskCanBeCancelled) {
  Pool pool(1);
  Queue<int> begun;
  Event never;
  auto running = pool.apply_async(begin_and_wait, begun, never);
  const int pid = begun.get();
  auto next = pool.apply_async(square, 3);
  EXPECT_TRUE(running.cancel());
  EXPECT_FALSE(running.cancel());
  EXPECT_THROW(running.get(), Cancelled);
  EXPECT_EQ(next.get(), 9) << "what waited behind it is run by another worker";
  EXPECT_NE(pool.stats().workers[0].pid, pid);
  EXPECT_TRUE(has_ended(pid));
  EXPECT_FALSE(next.cancel()) << "it has its result";
  EXPECT_EQ(next.get(), 9);
}

TEST_P(PoolLimitsTest, WhatIsOnItsWayToABusyWorkerCanBeCancelled) {
  Pool pool(1);
  EXPECT_EQ(pool.map(square, numbers(1000)).size(), 1000u);  // short tasks are sent ahead
  Queue<int> begun;
  Event go;
  auto first = pool.apply_async(begin_and_wait, begun, go);
  static_cast<void>(begun.get());
  auto many = pool.with({.chunksize = 10}).map_async(square, numbers(1000));
  auto last = pool.apply_async(square, 5);
  EXPECT_TRUE(many.cancel());
  go.set();
  EXPECT_EQ(first.get(), 1);
  EXPECT_THROW(many.get(), Cancelled);
  EXPECT_EQ(last.get(), 25);
}

TEST_P(PoolLimitsTest, CancelRacesWithTheEndOfTasks) {
  Pool pool(2);
  int cancelled = 0;
  for (int i = 0; i < 200; ++i) {
    auto result = pool.apply_async(square, i);
    const bool late = i % 3 == 0;
    if (late) {
      const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(i);
      while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
    }
    const bool taken_back = result.cancel();
    try {
      EXPECT_EQ(result.get(), i * i);
    } catch (const Cancelled&) {
      EXPECT_TRUE(taken_back);
      ++cancelled;
    }
  }
  RecordProperty("cancelled", cancelled);
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.done, 200u);
  EXPECT_EQ(stats.failed, static_cast<std::size_t>(cancelled));
  EXPECT_EQ(pool.map(square, numbers(100)).size(), 100u);
}

/// Dies the first `deaths` times.
int die_at_first(Value<int> attempts, int deaths) {
  if (attempts.fetch_add(1) < deaths) ::raise(SIGKILL);
  return 42;
}

TEST_P(PoolLimitsTest, ATaskWhoseWorkerDiesIsTriedAgain) {
  Pool pool(2);
  Value<int> attempts(0);
  EXPECT_EQ(pool.with({.retries = 2}).apply(die_at_first, attempts, 2), 42);
  EXPECT_EQ(attempts.load(), 3);
  attempts.store(0);
  EXPECT_THROW(pool.with({.retries = 2}).apply(die_at_first, attempts, 3), WorkerDied);
  EXPECT_EQ(attempts.load(), 3) << "retries = 2 is three attempts at most";
}

TEST_P(PoolLimitsTest, RetriesAreEachTasksOwn) {
  Pool pool(2);
  Array<int> attempts(30);
  const auto task = [](Array<int> counts, int i) {
    const int attempt = ++counts[static_cast<std::size_t>(i)];
    if (i % 3 == 0 && attempt <= 2) ::_exit(3);
    return i * i;
  };
  std::vector<std::tuple<Array<int>, int>> in;
  for (int i = 0; i < 30; ++i) in.emplace_back(attempts, i);
  const auto results = pool.with({.chunksize = 5, .retries = 2}).starmap(task, in);
  for (int i = 0; i < 30; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(results[at], i * i);
    EXPECT_EQ(attempts[at], i % 3 == 0 ? 3 : 1) << i;
  }
}

TEST_P(PoolLimitsTest, ExceptionsAndTimeoutsAreNotTriedAgain) {
  Pool pool(1);
  Value<int> attempts(0);
  const auto fail = [](Value<int> count) {
    count.fetch_add(1);
    throw std::domain_error("no");
  };
  EXPECT_THROW(pool.with({.retries = 5}).apply(fail, attempts), std::domain_error);
  EXPECT_EQ(attempts.load(), 1);
  const auto hang = [](Value<int> count) {
    count.fetch_add(1);
    for (;;) ::pause();
  };
  EXPECT_THROW(pool.with({.timeout = 20ms, .retries = 5}).apply(hang, attempts), TaskTimeout);
  EXPECT_EQ(attempts.load(), 2);
}

TEST_P(PoolLimitsTest, ATaskThatWasMovedAConnectionIsTriedOnce) {
  Pool pool(1);
  Value<int> attempts(0);
  auto [mine, theirs] = Pipe<int>();
  const auto die = [](Value<int> count, Connection<int>) {
    count.fetch_add(1);
    ::raise(SIGKILL);
  };
  EXPECT_THROW(pool.with({.retries = 5}).apply(die, attempts, std::move(theirs)), WorkerDied);
  EXPECT_EQ(attempts.load(), 1);
  EXPECT_THROW(static_cast<void>(mine.recv()), EndOfFile);
}

TEST_P(PoolLimitsTest, FailFastCancelsTheRest) {
  Pool pool(2);
  Queue<int> begun;
  Event never;
  // One runs for ever, one fails when that has begun; a thousand have not been begun.
  const auto task = [](Queue<int> queue, Event event, int i) {
    if (i == 0) return begin_and_wait(queue, event);
    static_cast<void>(queue.get());
    throw std::domain_error(std::to_string(i));
  };
  std::vector<std::tuple<Queue<int>, Event, int>> in;
  for (int i = 0; i < 1000; ++i) in.emplace_back(begun, never, i);
  const auto options = TaskOptions{.chunksize = 1, .fail_fast = true};
  try {
    static_cast<void>(pool.with(options).starmap(task, in));
    ADD_FAILURE() << "nothing has a result";
  } catch (const std::domain_error& error) {
    EXPECT_STREQ(error.what(), "1");
  }
  EXPECT_THROW(static_cast<void>(pool.with(options).starmap_async(task, in).get()),
               std::domain_error);
  EXPECT_EQ(pool.map(square, numbers(10))[9], 81);
}

TEST_P(PoolLimitsTest, FailFastEndsAStreamBehindTheError) {
  Pool pool(2);
  const auto task = [](int i) {
    if (i == 3) throw std::domain_error("3");
    return i;
  };
  auto results =
      pool.with({.chunksize = 1, .window = 4, .fail_fast = true}).imap(task, numbers(1'000'000));
  int failed = 0;
  int handed_out = 0;
  for (;;) {
    try {
      if (!results.next()) break;
      ++handed_out;
    } catch (const std::domain_error&) {
      ++failed;
    } catch (const Cancelled&) {
    }
  }
  EXPECT_EQ(failed, 1);
  EXPECT_LT(handed_out, 16);
}

TEST_P(PoolLimitsTest, APoolGrowsAndShrinks) {
  Pool pool(1);
  EXPECT_EQ(pool.size(), 1u);
  pool.resize(3);
  EXPECT_EQ(pool.size(), 3u);
  // All at once at work.
  Queue<int> begun;
  Event go;
  std::vector<AsyncResult<int>> results;
  for (int i = 0; i < 3; ++i) results.push_back(pool.apply_async(begin_and_wait, begun, go));
  std::set<int> pids;
  for (int i = 0; i < 3; ++i) pids.insert(begun.get());
  EXPECT_EQ(pids.size(), 3u);

  pool.resize(1);
  go.set();
  for (auto& result : results) EXPECT_EQ(result.get(), 1) << "what runs is not given up";
  EXPECT_EQ(pool.map(square, numbers(1000)).size(), 1000u);
  while (pool.stats().workers.size() != 1) EXPECT_EQ(pool.apply(square, 2), 4);
  EXPECT_EQ(std::count_if(pids.begin(), pids.end(), has_ended), 2);
  EXPECT_THROW(pool.resize(0), Error);
  pool.close();
  EXPECT_THROW(pool.resize(2), Closed);
}

TEST_P(PoolLimitsTest, AWorkerThatHasGrownTooLargeIsReplaced) {
  constexpr std::size_t kLimit = std::size_t{128} << 20;
  Pool pool({.processes = 1, .max_memory_per_child = kLimit});
  const auto keep = [](std::size_t megabytes) {
    static std::vector<std::string> kept;
    kept.emplace_back(megabytes << 20, 'x');
    return ::getpid();
  };
  const int small = pool.apply(keep, std::size_t{1});
  EXPECT_EQ(pool.apply(keep, std::size_t{1}), small);
  EXPECT_EQ(pool.apply(keep, std::size_t{130}), small) << "looked at after the task";
  EXPECT_NE(pool.apply(keep, std::size_t{1}), small);
  // In the middle of a chunk: what is left of it is another worker's.
  const auto pids = pool.with({.chunksize = 3}).map(keep, std::vector<std::size_t>(3, 130));
  EXPECT_EQ(std::set<int>(pids.begin(), pids.end()).size(), 3u);
  EXPECT_EQ(pool.stats().failed, 0u);
}

TEST_P(PoolLimitsTest, AnInitializerThatTakesTooLongFailsThePool) {
  const auto hang = [] {
    for (;;) ::pause();
  };
  Pool pool({.processes = 2, .initializer = call(hang), .initializer_timeout = 20ms});
  for (int i = 0; i < 2; ++i) {
    try {
      static_cast<void>(pool.apply(square, 3));
      ADD_FAILURE() << "no worker can be ready";
    } catch (const TimedOut& error) {
      EXPECT_NE(std::string(error.what()).find("Pool initializer"), std::string::npos);
    }
  }
}

TEST_P(PoolLimitsTest, AFinalizerThatTakesTooLongIsKilled) {
  const auto hang = [] {
    for (;;) ::pause();
  };
  Pool pool({.processes = 2, .finalizer = call(hang), .finalizer_timeout = 20ms});
  EXPECT_EQ(pool.apply(square, 3), 9);
  pool.close();
  pool.join();
}

TEST_P(PoolLimitsTest, WorkersStayOnTheirCpuAndGiveWay) {
  const int before = ::getpriority(PRIO_PROCESS, 0);
  Pool pool({.processes = 3, .pin_cpus = true, .niceness = std::min(before + 3, 19)});
  const auto look = [](int) {
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof(set), &set) != 0) throw std::runtime_error("affinity");
    return std::pair(CPU_COUNT(&set), ::getpriority(PRIO_PROCESS, 0));
  };
  for (const auto& [cpus, niceness] : pool.with({.chunksize = 1}).map(look, numbers(30))) {
    EXPECT_EQ(cpus, 1);
    EXPECT_EQ(niceness, std::min(before + 3, 19));
  }
  EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), before);
}

}  // namespace
}  // namespace tandem
