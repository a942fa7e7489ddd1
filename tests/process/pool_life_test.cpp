// A pool's beginning and end, asynchronous results, progress.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <map>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "os/resources.hpp"
#include "support/forked.hpp"
#include "support/numbers.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/detail/fd.hpp"
#include "tandem/event.hpp"
#include "tandem/log.hpp"
#include "tandem/pipe.hpp"
#include "tandem/pool.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

using PoolLifeTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(PoolLifeTest);

int square(int x) { return x * x; }
int fail(int x) { throw std::domain_error(std::to_string(x)); }
int wait_for(Event event) {
  event.wait();
  return 1;
}

using test::numbers;

/// A descriptor that is readable once the process has ended.
class Ended {
 public:
  explicit Ended(int pid) : fd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  Ended(Ended&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Ended() {
    if (fd_ >= 0) ::close(fd_);
  }
  void await() const {
    if (fd_ < 0) return;  // gone already
    pollfd entry{fd_, POLLIN, 0};
    while (::poll(&entry, 1, -1) != 1) {
    }
  }

 private:
  int fd_;
};

TEST_P(PoolLifeTest, ClosedPoolsTakeNoCallsAndEndWhatTheyHave) {
  Pool pool(2);
  auto pending = pool.map_async(square, numbers(1000));
  pool.close();
  EXPECT_THROW(pool.apply(square, 1), Closed);
  EXPECT_THROW(static_cast<void>(pool.apply_async(square, 1)), Closed);
  EXPECT_THROW(pool.map(square, numbers(3)), Closed);
  EXPECT_THROW(static_cast<void>(pool.imap(square, numbers(3))), Closed);
  pool.join();
  EXPECT_EQ(pending.get().size(), 1000u);
  pool.join();  // again
  EXPECT_THROW(pool.apply(square, 1), Closed);
}

TEST_P(PoolLifeTest, CloseSendsIdleWorkersHome) {
  Pool pool(2);
  EXPECT_EQ(pool.map(square, numbers(10)).size(), 10u);
  EXPECT_EQ(active_children().size(), 2u);
  pool.close();
  while (!active_children().empty()) std::this_thread::yield();  // the watchdog waits for less
  pool.join();
}

TEST_P(PoolLifeTest, JoinNeedsCloseFirst) {
  Pool pool(1);
  EXPECT_THROW(pool.join(), Error);
  EXPECT_THROW(static_cast<void>(pool.join_for(1s)), Error);
}

TEST_P(PoolLifeTest, JoinForReturnsWhenTheTimeIsUp) {
  Event go;
  Pool pool(1);
  auto pending = pool.apply_async(wait_for, go);
  pool.close();
  EXPECT_FALSE(pool.join_for(0s));
  EXPECT_FALSE(pool.join_for(20ms));
  go.set();
  pool.join();
  EXPECT_TRUE(pending.ready());
}

TEST_P(PoolLifeTest, TerminateCancelsTenThousandSlowTasks) {
  Event never;
  Pool pool(2);
  std::vector<AsyncResult<int>> results;
  for (int i = 0; i < 10'000; ++i) results.push_back(pool.apply_async(wait_for, never));
  auto whole = pool.map_async(wait_for, std::vector<Event>(100, never));
  auto stream = pool.imap(wait_for, std::vector<Event>(100, never));
  EXPECT_EQ(stream.next_for(0s), std::nullopt);
  pool.terminate();
  for (AsyncResult<int>& result : results) {
    EXPECT_TRUE(result.ready());
    EXPECT_THROW(result.get(), Cancelled);
  }
  EXPECT_THROW(whole.get(), Cancelled);
  int cancelled = 0;
  for (;;) {
    try {
      if (!stream.next()) break;
    } catch (const Cancelled&) {
      ++cancelled;
    }
  }
  EXPECT_GE(cancelled, 1);
  pool.join();
}

TEST_P(PoolLifeTest, TerminateEndsThoseWhoWait) {
  Event never;
  Pool pool(1);
  std::vector<std::thread> waiting;
  std::atomic<int> cancelled = 0;
  Queue<int> begun;
  for (int i = 0; i < 3; ++i) {
    waiting.emplace_back([&] {
      try {
        pool.apply(
            [](Queue<int> q, Event e) {
              q.put(1);
              e.wait();
            },
            begun, never);
      } catch (const Cancelled&) {
        ++cancelled;
      } catch (const Closed&) {
        ++cancelled;  // came too late to be submitted
      }
    });
  }
  static_cast<void>(begun.get());
  pool.terminate();
  for (std::thread& thread : waiting) thread.join();
  EXPECT_EQ(cancelled, 3);
}

TEST_P(PoolLifeTest, AnExceptionThatUnwindsThePoolTerminatesIt) {
  Event never;
  std::optional<AsyncResult<int>> result;
  try {
    Pool pool(1);
    result.emplace(pool.apply_async(wait_for, never));
    throw std::logic_error("leave");
  } catch (const std::logic_error&) {
  }
  EXPECT_THROW(result->get(), Cancelled);
}

TEST_P(PoolLifeTest, InitializerAndFinalizerRunOncePerWorker) {
  Queue<std::pair<std::string, int>> events;
  const auto note = [](Queue<std::pair<std::string, int>> queue, std::string what) {
    queue.put({what, ::getpid()});
  };
  {
    Pool pool({.processes = 3,
               .initializer = call(note, events, "begin"),
               .finalizer = call(note, events, "end")});
    EXPECT_EQ(pool.map(square, numbers(10)).size(), 10u);
  }
  std::map<int, std::string> seen;
  while (const auto event = events.try_get()) seen[event->second] += event->first + " ";
  EXPECT_EQ(seen.size(), 3u);
  for (const auto& [pid, what] : seen) EXPECT_EQ(what, "begin end ") << pid;
}

TEST_P(PoolLifeTest, WorkersAreReplacedAfterSoManyTasks) {
  Pool pool({.processes = 2, .max_tasks_per_child = 3});
  for (const std::size_t chunksize : {0, 1, 7}) {
    const std::vector<std::pair<int, int>> out =
        pool.with({.chunksize = chunksize})
            .map([](int x) { return std::pair(x, ::getpid()); }, numbers(40));
    std::map<int, int> tasks;
    for (int i = 0; i < 40; ++i) {
      EXPECT_EQ(out[static_cast<std::size_t>(i)].first, i);
      ++tasks[out[static_cast<std::size_t>(i)].second];
    }
    for (const auto& [pid, count] : tasks) EXPECT_LE(count, 3) << pid;
  }
}

void hold_pool(Connection<std::vector<int>, int> connection) {
  Pool pool(2);
  std::vector<int> pids;
  for (const WorkerStats& worker : pool.stats().workers) pids.push_back(worker.pid);
  Event never;
  auto busy = pool.apply_async(wait_for, never);  // one is busy, one is idle
  EXPECT_EQ(pool.apply(square, 3), 9);
  connection.send(pids);
  static_cast<void>(connection.recv());
}

TEST_P(PoolLifeTest, WorkersEndWithAKilledParent) {
  auto [mine, theirs] = Pipe<int, std::vector<int>>();
  Process parent(hold_pool, std::move(theirs));
  parent.start();
  std::vector<Ended> workers;
  for (const int pid : mine.recv()) workers.emplace_back(pid);
  parent.kill();
  for (const Ended& worker : workers) worker.await();
}

// Reachable at the end, so that they are not leaks.
Pool* volatile pool_left_behind;
AsyncResult<int>* volatile result_left_behind;

void leave_pool_behind() {
  Event never;
  auto* const pool = new Pool(2);
  pool_left_behind = pool;
  result_left_behind = new AsyncResult<int>(pool->apply_async(wait_for, never));
  if (pool->apply(square, 3) != 9) ::_exit(3);
}

void leave_static_pool() {
  static Event never;
  static Pool pool(2);
  static AsyncResult<int> pending = pool.apply_async(wait_for, never);
  if (pool.apply(square, 3) != 9) ::_exit(3);
}

TEST_P(PoolLifeTest, APoolThatIsNeverClosedDoesNotHoldUpTheExit) {
  for (const auto leave : {&leave_pool_behind, &leave_static_pool}) {
    Process program(leave);
    program.start();
    program.join();
    EXPECT_EQ(program.exitcode(), 0);
  }
}

int sum_of_squares(int n) {
  Pool inner(2);
  const std::vector<int> all = inner.map(square, numbers(n));
  return std::accumulate(all.begin(), all.end(), 0);
}

TEST_P(PoolLifeTest, PoolsNest) {
  Pool pool(2);
  EXPECT_EQ(pool.map(sum_of_squares, std::vector{3, 4, 5}), (std::vector{5, 14, 30}));
}

// Under a sanitizer every process takes a second to end.
const bool kAll = test::full_form() && test::kSlowdown == 1;

TEST_P(PoolLifeTest, ManyPoolsOneAfterAnother) {
  const int pools = kAll ? 1'000 : 30;
  std::size_t before = 0;
  for (int i = 0; i < pools; ++i) {
    Pool pool(2);
    if (i % 3 == 0) {
      EXPECT_EQ(pool.apply(square, i), i * i);
    } else if (i % 3 == 1) {
      static_cast<void>(pool.apply_async(square, i));
    }
    if (i == pools / 3) before = os::resident_bytes();
  }
  // As in PoolTest.AnEndlessInputNeedsNoMoreMemory.
  constexpr std::size_t kSlack = std::size_t{test::kAsan || test::kTsan ? 256 : 1} << 20;
  EXPECT_LE(os::resident_bytes(), before + kSlack);
}

TEST_P(PoolLifeTest, ManyWorkers) {
  const std::size_t workers = kAll ? 200 : 40;
  Pool pool(workers);
  EXPECT_EQ(pool.size(), workers);
  EXPECT_EQ(pool.with({.chunksize = 1}).map(square, numbers(2000)).size(), 2000u);
  EXPECT_EQ(pool.stats().workers.size(), workers);
}

TEST_P(PoolLifeTest, MovedPoolsGoOn) {
  Pool pool(1);
  Pool other = std::move(pool);
  EXPECT_EQ(other.apply(square, 2), 4);
  EXPECT_THROW(pool.apply(square, 2), Closed);  // NOLINT(bugprone-use-after-move)
  other = Pool(1);
  EXPECT_EQ(other.apply(square, 3), 9);
}

TEST_P(PoolLifeTest, AsyncResultsCanBeWaitedForAndCopied) {
  Event go;
  Pool pool(1);
  auto result = pool.apply_async(wait_for, go);
  EXPECT_FALSE(result.ready());
  EXPECT_FALSE(result.wait_for(-1s));
  EXPECT_FALSE(result.wait_for(10ms));
  EXPECT_FALSE(result.wait_until(std::chrono::steady_clock::now()));
  EXPECT_THROW(static_cast<void>(result.successful()), Error);
  go.set();
  result.wait();
  EXPECT_TRUE(result.ready());
  EXPECT_TRUE(result.successful());
  EXPECT_EQ(result.get(), 1);
  EXPECT_EQ(result.get(), 1);  // again
  EXPECT_EQ(std::move(result).get(), 1);
  auto failed = pool.apply_async(fail, 4);
  EXPECT_THROW(failed.get(), std::domain_error);
  EXPECT_THROW(failed.get(), std::domain_error);
  EXPECT_FALSE(failed.successful());
}

TEST_P(PoolLifeTest, ResultsArriveWhileNobodyWaits) {
  Pool pool(2);
  std::vector<AsyncResult<int>> results;
  for (int i = 0; i < 100; ++i) results.push_back(pool.apply_async(square, i));
  for (AsyncResult<int>& result : results) {
    while (!result.ready()) std::this_thread::yield();
  }
  EXPECT_EQ(results[99].get(), 99 * 99);
}

TEST_P(PoolLifeTest, WhatWasNotSentCanBeCancelled) {
  Event go;
  Pool pool(1);
  Queue<int> begun;
  auto running = pool.apply_async(
      [](Queue<int> q, Event e) {
        q.put(1);
        e.wait();
        return 1;
      },
      begun, go);
  static_cast<void>(begun.get());
  auto waiting = pool.apply_async(square, 3);
  auto many = pool.map_async(square, numbers(1000));
  EXPECT_TRUE(waiting.cancel());
  EXPECT_FALSE(waiting.cancel());
  EXPECT_TRUE(many.cancel());
  EXPECT_THROW(waiting.get(), Cancelled);
  go.set();
  EXPECT_EQ(running.get(), 1);
  EXPECT_THROW(many.get(), Cancelled);
  EXPECT_EQ(pool.apply(square, 4), 16);
}

TEST_P(PoolLifeTest, CallbacksRunOnTheBackgroundThread) {
  Pool pool(1);
  std::atomic<int> value = 0;
  std::atomic<bool> elsewhere = false;
  const std::thread::id here = std::this_thread::get_id();
  auto result = pool.apply_async(square, 5);
  result
      .on_result([&](int& x) {
        elsewhere = std::this_thread::get_id() != here;
        value = x;
        x = 26;
      })
      .on_error([&](const std::exception_ptr&) { value = -1; });
  EXPECT_EQ(result.get(), 26);  // callbacks come first
  EXPECT_EQ(value, 25);
  EXPECT_TRUE(elsewhere);
  result.on_result([&](int& x) { value = x + 1; });  // late: at once
  result.wait();
  EXPECT_EQ(value, 27);

  std::atomic<bool> failed = false;
  auto failing = pool.apply_async(fail, 1);
  failing.on_result([&](int&) { value = -1; }).on_error([&](const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::domain_error&) {
      failed = true;
    }
  });
  failing.wait();
  EXPECT_TRUE(failed);
  EXPECT_EQ(value, 27);
  auto nothing = pool.apply_async([](int) {}, 1);
  nothing.on_result([&] { value = 100; });
  nothing.wait();
  EXPECT_EQ(value, 100);
}

std::mutex logged_mutex;
std::string logged;
void keep_log(LogLevel, std::string_view line) {
  const std::lock_guard lock(logged_mutex);
  logged.append(line).push_back('\n');
}

TEST_P(PoolLifeTest, AnExceptionInACallbackIsLoggedAndHarmsNothing) {
  set_log_handler(&keep_log);
  {
    Pool pool(1);
    auto result = pool.apply_async(square, 5);
    result.on_result([](int&) { throw std::runtime_error("callback broke"); });
    EXPECT_EQ(result.get(), 25);
    EXPECT_EQ(pool.apply_async(square, 6).get(), 36);
  }
  set_log_handler(nullptr);
  const std::lock_guard lock(logged_mutex);
  EXPECT_NE(logged.find("callback broke"), std::string::npos) << logged;
  logged.clear();
}

TEST_P(PoolLifeTest, CallbacksMayCallIntoThePool) {
  Pool pool(1);
  std::atomic<int> value = 0;
  auto result = pool.apply_async(square, 2);
  result.on_result(
      [&](int& x) { value = pool.apply(square, x) + pool.apply_async(square, 1).get(); });
  result.wait();
  EXPECT_EQ(value, 17);

  Event never;
  auto endless = pool.apply_async(wait_for, never);
  Pool other(1);
  auto trigger = other.apply_async(square, 1);
  trigger.on_result([&](int&) { pool.terminate(); });
  EXPECT_THROW(endless.get(), Cancelled);
  trigger.wait();

  auto stuck = other.apply_async(wait_for, never);
  auto waiting = other.map_async(square, numbers(10));
  waiting.on_error([&](const std::exception_ptr&) { other.terminate(); });
  EXPECT_TRUE(waiting.cancel());
  EXPECT_THROW(stuck.get(), Cancelled);
}

TEST_P(PoolLifeTest, StatsCount) {
  Pool pool(2);
  EXPECT_THROW(pool.map(
                   [](int x) {
                     if (x == 3) throw std::domain_error("3");
                   },
                   numbers(10)),
               std::domain_error);
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.done, 10u);
  EXPECT_EQ(stats.failed, 1u);
  EXPECT_EQ(stats.queued, 0u);
  EXPECT_EQ(stats.running, 0u);
  ASSERT_EQ(stats.workers.size(), 2u);
  EXPECT_EQ(stats.workers[0].tasks_done + stats.workers[1].tasks_done, 10u);
}

TEST_P(PoolLifeTest, ProgressIsPlainLinesWhereThereIsNoTerminal) {
  Pool pool(2);
  testing::internal::CaptureStderr();
  EXPECT_THROW(pool.with({.progress = {.enabled = true, .label = "squares"}})
                   .map(
                       [](int x) {
                         if (x < 2) throw std::domain_error("small");
                       },
                       numbers(10)),
               std::domain_error);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("squares  10/10  100%"), text.rfind("squares")) << text;
  EXPECT_NE(text.find("2 failed\n"), std::string::npos) << text;
  EXPECT_EQ(text.find('\r'), std::string::npos);
}

/// A terminal whose other side can be read.
class PseudoTerminal {
 public:
  PseudoTerminal() : master_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    if (!master_ || ::grantpt(master_.get()) != 0 || ::unlockpt(master_.get()) != 0) {
      throw std::system_error(errno, std::system_category(), "posix_openpt");
    }
    char name[64];
    if (::ptsname_r(master_.get(), name, sizeof(name)) != 0) {
      throw std::system_error(errno, std::system_category(), "ptsname_r");
    }
    terminal_ = detail::Fd(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
    termios settings{};
    if (!terminal_ || ::tcgetattr(terminal_.get(), &settings) != 0) {
      throw std::system_error(errno, std::system_category(), name);
    }
    settings.c_oflag &= ~tcflag_t{OPOST};  // line ends as they are written
    ::tcsetattr(terminal_.get(), TCSANOW, &settings);
  }
  /// Of the terminal.
  [[nodiscard]] int fd() const { return terminal_.get(); }
  /// What is written until everybody else has closed it.
  [[nodiscard]] std::string read_all() {
    terminal_ = detail::Fd();
    std::string all;
    for (char chunk[4096];;) {
      const ssize_t n = ::read(master_.get(), chunk, sizeof chunk);
      if (n > 0) {
        all.append(chunk, static_cast<std::size_t>(n));
      } else if (n == 0 || errno != EINTR) {
        return all;
      }
    }
  }

 private:
  detail::Fd master_;
  detail::Fd terminal_;
};

/// What a person then sees: lines without the blanks at their ends.
std::vector<std::string> lines_on_screen(const std::string& written) {
  std::vector<std::string> lines(1);
  std::size_t column = 0;
  for (const char c : written) {
    if (c == '\r') {
      column = 0;
    } else if (c == '\n') {
      lines.emplace_back();
    } else {
      std::string& line = lines.back();
      if (line.size() <= column) line.resize(column + 1, ' ');
      line[column++] = c;
    }
  }
  for (std::string& line : lines) line.erase(line.find_last_not_of(' ') + 1);
  return lines;
}

/// So slow that the line is drawn before the others have ended.
void fail_slowly_at_first(int x) {
  if (x != 0) return;
  std::this_thread::sleep_for(250ms);
  throw std::domain_error("0");
}

TEST_P(PoolLifeTest, ProgressOnATerminalIsOneLineThatIsDrawnAgain) {
  PseudoTerminal terminal;
  test::Forked program([&terminal] {
    ::dup2(terminal.fd(), STDERR_FILENO);
    Pool pool(1);
    try {
      pool.with({.chunksize = 1, .progress = {.enabled = true, .label = "squares"}})
          .map(fail_slowly_at_first, numbers(3));
    } catch (const std::domain_error&) {
      return 0;
    }
    return 1;
  });
  const std::string written = terminal.read_all();
  EXPECT_EQ(program.wait(), 0);
  EXPECT_THAT(written, testing::MatchesRegex("(\r[^\r\n]*)+\r[^\r\n]*\n"));
  EXPECT_THAT(written, testing::StartsWith("\rsquares  1/3  33%"));
  EXPECT_THAT(written, testing::HasSubstr("ETA"));
  // Shorter than the line before, of which nothing is left.
  EXPECT_THAT(
      lines_on_screen(written),
      testing::ElementsAre(testing::MatchesRegex("squares  3/3  100%  [0-9.]+/s  1 failed"), ""));
}

}  // namespace
}  // namespace tandem
