// Errors and deaths in every phase of a task.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <future>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "support/forked.hpp"
#include "support/numbers.hpp"
#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/barrier.hpp"
#include "tandem/event.hpp"
#include "tandem/pool.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

using PoolFaultTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(PoolFaultTest);

enum class Phase { none, encode_task, decode_task, run, encode_result, decode_result };
enum class How { exception, exit, kill };

void spring(How how) {
  switch (how) {
    case How::exception:
      throw std::domain_error("sprung");
    case How::exit:
      ::_exit(7);
    case How::kill:
      ::raise(SIGKILL);
  }
}

struct Trap {
  Phase phase = Phase::none;
  How how = How::exception;
  int value = 0;

  void step_on(Phase here) const {
    if (phase == here) spring(how);
  }
};

struct Task : Trap {
  template <class Archive>
  void save(Archive& archive) const {
    step_on(Phase::encode_task);
    archive(phase, how, value);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(phase, how, value);
    step_on(Phase::decode_task);
  }
};

struct Result : Trap {
  template <class Archive>
  void save(Archive& archive) const {
    step_on(Phase::encode_result);
    archive(phase, how, value);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(phase, how, value);
    step_on(Phase::decode_result);
  }
};

Result run(const Task& task) {
  task.step_on(Phase::run);
  Result result;
  static_cast<Trap&>(result) = task;
  return result;
}

int square(int x) { return x * x; }
int worker_pid(int) { return ::getpid(); }

using test::numbers;

/// One task of twenty is a trap; it alone must fail.
void expect_only_the_trap_fails(Pool& pool, Phase phase, How how, std::size_t chunksize) {
  SCOPED_TRACE(testing::Message() << "phase " << static_cast<int>(phase) << ", how "
                                  << static_cast<int>(how) << ", chunksize " << chunksize);
  constexpr int kTrap = 11;
  std::vector<Task> tasks(20);
  for (int i = 0; i < 20; ++i) tasks[static_cast<std::size_t>(i)].value = i;
  tasks[kTrap].phase = phase;
  tasks[kTrap].how = how;

  auto results = pool.with({.chunksize = chunksize, .window = 20}).imap(run, tasks);
  for (int i = 0; i < 20; ++i) {
    if (i != kTrap) {
      EXPECT_EQ(results.next().value().value, i);
    } else if (how == How::exception) {
      EXPECT_THROW(static_cast<void>(results.next()), std::domain_error);
    } else {
      try {
        static_cast<void>(results.next());
        FAIL() << "the trap did not spring";
      } catch (const WorkerDied& died) {
        EXPECT_EQ(died.exit_code(), how == How::exit ? 7 : -SIGKILL);
        EXPECT_GT(died.pid(), 0);
        EXPECT_NE(std::string(died.what()).find("task 11"), std::string::npos) << died.what();
      }
    }
  }
  EXPECT_FALSE(results.next());
}

TEST_P(PoolFaultTest, AnErrorInAnyPhaseIsThatTasksAlone) {
  Pool pool(2);
  for (const Phase phase : {Phase::encode_task, Phase::decode_task, Phase::run,
                            Phase::encode_result, Phase::decode_result}) {
    for (const std::size_t chunksize : {1, 5}) {
      expect_only_the_trap_fails(pool, phase, How::exception, chunksize);
    }
  }
  for (const WorkerStats& worker : pool.stats().workers) EXPECT_EQ(worker.restarts, 0u);
}

TEST_P(PoolFaultTest, ADeathInAnyPhaseIsThatTasksAlone) {
  Pool pool(2);
  for (const How how : {How::exit, How::kill}) {
    for (const Phase phase : {Phase::decode_task, Phase::run, Phase::encode_result}) {
      for (const std::size_t chunksize : {1, 5, 20}) {
        expect_only_the_trap_fails(pool, phase, how, chunksize);
      }
    }
  }
  EXPECT_EQ(pool.map(square, numbers(10)).size(), 10u);
}

TEST_P(PoolFaultTest, ADeathIsThatTasksAloneForEveryCall) {
  Pool pool(2);
  const auto die = [](int x) {
    if (x == 3) std::exit(5);
    return x;
  };
  try {
    pool.apply(die, 3);
    FAIL();
  } catch (const WorkerDied& died) {
    EXPECT_EQ(died.exit_code(), 5);
  }
  EXPECT_THROW(pool.map(die, numbers(10)), WorkerDied);
  EXPECT_THROW(pool.map_async(die, numbers(10)).get(), WorkerDied);
  auto stream = pool.imap_unordered(die, numbers(10));
  int results = 0;
  int deaths = 0;
  for (;;) {
    try {
      if (!stream.next()) break;
      ++results;
    } catch (const WorkerDied&) {
      ++deaths;
    }
  }
  EXPECT_EQ(results, 9);
  EXPECT_EQ(deaths, 1);
  const PoolStats stats = pool.stats();
  std::size_t restarts = 0;
  for (const WorkerStats& worker : stats.workers) restarts += worker.restarts;
  EXPECT_EQ(restarts, 4u);
  EXPECT_EQ(stats.queued + stats.running, 0u);
}

TEST_P(PoolFaultTest, AnUnencodableExceptionBecomesARemoteError) {
  struct Unknown {};
  Pool pool(1);
  EXPECT_THROW(pool.apply([](int) -> int { throw Unknown(); }, 1), RemoteError);
  EXPECT_EQ(pool.apply(square, 3), 9);
}

TEST_P(PoolFaultTest, AnIdleWorkerThatIsKilledIsReplaced) {
  Pool pool(2);
  const std::vector<int> before = pool.with({.chunksize = 1}).map(worker_pid, numbers(4));
  ::kill(before.front(), SIGKILL);
  EXPECT_EQ(pool.map(square, numbers(100)).size(), 100u);
  std::vector<int> pids;
  for (const WorkerStats& worker : pool.stats().workers) pids.push_back(worker.pid);
  EXPECT_EQ(std::count(pids.begin(), pids.end(), before.front()), 0);
}

TEST_P(PoolFaultTest, AllWorkersKilledAtOnceFailOnlyWhatTheyRan) {
  Pool pool(2);
  Event go;
  Queue<int> begun;
  std::vector<AsyncResult<int>> results;
  for (int i = 0; i < 20; ++i) {
    results.push_back(pool.apply_async(
        [](Queue<int> announce, Event wait, int x) {
          announce.put(x);
          wait.wait();
          return x;
        },
        begun, go, i));
  }
  static_cast<void>(begun.get());
  static_cast<void>(begun.get());
  for (const WorkerStats& worker : pool.stats().workers) ::kill(worker.pid, SIGKILL);
  go.set();
  int died = 0;
  for (int i = 0; i < 20; ++i) {
    try {
      EXPECT_EQ(results[static_cast<std::size_t>(i)].get(), i);
    } catch (const WorkerDied& error) {
      EXPECT_EQ(error.exit_code(), -SIGKILL);
      ++died;
    }
  }
  // A worker that had ended its first task in time may have been killed in none or in its second.
  EXPECT_LE(died, 2);
}

/// Has its process die by `how` when it is told to, whatever that does by then.
void die_later(Event now, How how) {
  std::thread([now, how]() mutable {
    now.wait();
    spring(how);
  }).detach();
}

/// Says when it has been encoded, and is too large for the pipe.
struct Announced {
  mutable Event encoded;
  Bytes bytes;

  template <class Archive>
  void save(Archive& archive) const {
    archive(bytes);
    encoded.set();
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(bytes);
  }
};

void await_sleep(int pid) {
  for (char state = 0; state != 'S';) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    state = text.at(text.rfind(')') + 2);
  }
}

TEST_P(PoolFaultTest, ADeathWhileAResultIsSentIsThatTasksAlone) {
  for (const How how : {How::exit, How::kill}) {
    Pool pool(1);
    // In a callback the background thread takes in nothing, and nobody else does.
    std::promise<void> in_callback;
    std::promise<void> go_on;
    auto first = pool.apply_async(square, 1);
    first.on_result([&](int&) {
      in_callback.set_value();
      go_on.get_future().wait();
    });
    in_callback.get_future().wait();
    Event encoded;
    Event die;
    auto sent = pool.apply_async(
        [](Event done, Event end, How by) {
          die_later(end, by);
          return Announced{done, Bytes(std::size_t{10} << 20)};
        },
        encoded, die, how);
    auto next = pool.apply_async(square, 3);
    const int pid = pool.stats().workers.front().pid;
    encoded.wait();
    await_sleep(pid);
    const detail::Fd process = os::open_pidfd(pid);
    die.set();
    static_cast<void>(os::wait_readable(process.get(), detail::Deadline::never()));
    go_on.set_value();
    try {
      static_cast<void>(sent.get());
      FAIL() << "it was not sent whole";
    } catch (const WorkerDied& died) {
      EXPECT_EQ(died.pid(), pid);
      EXPECT_EQ(died.exit_code(), how == How::exit ? 7 : -SIGKILL);
    }
    EXPECT_EQ(next.get(), 9);
    EXPECT_EQ(pool.stats().failed, 1u);
  }
}

TEST_P(PoolFaultTest, ADeathBetweenTasksIsNoTasks) {
  for (const How how : {How::exit, How::kill}) {
    Pool pool(1);
    Event die;
    const int pid = pool.apply(
        [](Event end, How by) {
          die_later(end, by);
          return ::getpid();
        },
        die, how);
    const detail::Fd process = os::open_pidfd(pid);
    die.set();
    static_cast<void>(os::wait_readable(process.get(), detail::Deadline::never()));
    EXPECT_EQ(pool.map(square, numbers(100)).size(), 100u);
    EXPECT_EQ(pool.stats().failed, 0u);
  }
}

TEST_P(PoolFaultTest, AWorkerKilledWhileItWritesALargeResult) {
  Pool pool(1);
  std::mt19937_64 random(test::seed());
  for (int i = 0; i < 20; ++i) {
    const int pid = pool.apply(worker_pid, 0);
    auto large =
        pool.apply_async([](char fill) { return std::string(std::size_t{10} << 20, fill); }, 'x');
    test::kill_within(pid, 8ms, random);
    try {
      const std::string text = std::move(large).get();
      ASSERT_EQ(text.size(), std::size_t{10} << 20);
      ASSERT_EQ(text.find_first_not_of('x'), std::string::npos);
    } catch (const WorkerDied& died) {
      EXPECT_EQ(died.pid(), pid);
    }
  }
  EXPECT_EQ(pool.apply(square, 4), 16);
}

void fail_to_initialize(Queue<int> attempts, How how) {
  attempts.put(::getpid());
  attempts.close();
  attempts.join_thread();
  spring(how);
}

TEST_P(PoolFaultTest, AFailingInitializerFailsThePoolWithoutRespawning) {
  for (const How how : {How::exception, How::exit, How::kill}) {
    Queue<int> attempts;
    Pool pool({.processes = 2, .initializer = call(fail_to_initialize, attempts, how)});
    for (int i = 0; i < 3; ++i) {
      if (how == How::exception) {
        EXPECT_THROW(pool.apply(square, 1), std::domain_error);
        EXPECT_THROW(pool.map(square, numbers(3)), std::domain_error);
        EXPECT_THROW(static_cast<void>(pool.imap(square, numbers(3)).next()), std::domain_error);
      } else {
        EXPECT_THROW(pool.apply(square, 1), WorkerDied);
        EXPECT_THROW(pool.map_async(square, numbers(3)).get(), WorkerDied);
      }
    }
    pool.close();
    pool.join();
    int starts = 0;
    while (attempts.try_get()) ++starts;
    EXPECT_LE(starts, 2);
  }
}

TEST_P(PoolFaultTest, AFailingInitializerEndsWhatWaits) {
  Queue<int> attempts;
  Pool pool({.processes = 1, .initializer = call(fail_to_initialize, attempts, How::exception)});
  std::vector<AsyncResult<int>> results;
  try {
    for (int i = 0; i < 50; ++i) results.push_back(pool.apply_async(square, i));
  } catch (const std::domain_error&) {
    // It failed before all were submitted.
  }
  for (AsyncResult<int>& result : results) EXPECT_THROW(result.get(), std::domain_error);
}

TEST_P(PoolFaultTest, InterruptsDoNotEndWorkers) {
  Pool pool(2);
  std::vector<int> pids = pool.with({.chunksize = 1}).map(worker_pid, numbers(10));
  auto results = pool.map_async(square, numbers(10'000));
  for (const int pid : pids) ::kill(pid, SIGINT);
  EXPECT_EQ(results.get().size(), 10'000u);
  for (const WorkerStats& worker : pool.stats().workers) EXPECT_EQ(worker.restarts, 0u);
}

std::atomic<int> interrupts = 0;
static_assert(std::atomic<int>::is_always_lock_free);

/// \returns how often this process was interrupted, as the program's own handler counts
int interrupt_group_now_and_then(pid_t group, int x) {
  if (x % 100 == 50) ::kill(-group, SIGINT);
  return interrupts;
}

/// A program with a handler of its own for Ctrl-C, which everybody in its group hears of.
int survive_interrupts() {
  constexpr int kTasks = 1'000;
  const pid_t group = ::getpid();
  if (::setpgid(0, group) != 0) return 2;
  std::signal(SIGINT, [](int) { ++interrupts; });
  Pool pool(2);
  // One that is killed before it begins anything is replaced, and that is no harm either.
  Barrier both(2);
  pool.with({.chunksize = 1}).map([](Barrier meet) { meet.wait(); }, std::vector{both, both});
  std::vector<std::pair<pid_t, int>> in;
  for (const int x : numbers(kTasks)) in.emplace_back(group, x);
  // In the workers nobody counts.
  if (pool.starmap(interrupt_group_now_and_then, in) != std::vector<int>(kTasks)) return 3;
  while (interrupts == 0) std::this_thread::yield();
  for (const WorkerStats& worker : pool.stats().workers) {
    if (worker.restarts != 0) return 4;
  }
  // It goes on, with who starts the workers.
  pool.resize(4);
  std::vector<int> squares = numbers(kTasks);
  for (int& x : squares) x *= x;
  if (pool.with({.chunksize = 1}).map(square, numbers(kTasks)) != squares) return 5;
  const int before = interrupts;
  ::kill(-group, SIGINT);
  while (interrupts == before) std::this_thread::yield();
  return pool.apply(square, 3) == 9 && Pool(1).apply(square, 4) == 16 ? 0 : 6;
}

TEST_P(PoolFaultTest, AnInterruptOfTheGroupIsTheProgramsAlone) {
  testing::internal::CaptureStderr();
  test::Forked program(survive_interrupts);
  EXPECT_EQ(program.wait(), 0);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_P(PoolFaultTest, AStreamOutlivesItsPool) {
  std::optional<ResultStream<int>> stream;
  {
    Pool pool(1);
    stream.emplace(pool.with({.window = 4}).imap(square, numbers(100)));
    EXPECT_EQ(stream->next(), 0);
  }
  int next = 1;
  EXPECT_THROW(
      while (const auto result = stream->next()) {
        EXPECT_EQ(*result, next * next);
        ++next;
      },
      Closed);
  EXPECT_LE(next, 5);
}

}  // namespace
}  // namespace tandem
