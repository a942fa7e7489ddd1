// Workers are killed at random while a pool is at work.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/detail/fd.hpp"
#include "tandem/pool.hpp"

namespace tandem {
namespace {

using PoolKillTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(PoolKillTest);

long busy_square(int x) {
  volatile long sum = 0;
  for (int i = 0; i < 10000; ++i) sum = sum + i;
  return static_cast<long>(x) * x + 0 * sum;
}

/// Kills workers of a pool until it goes; not the next one before another task has ended, since a
/// pool whose workers all die before their first task gives up.
class Killer {
 public:
  explicit Killer(Pool& pool) : thread_([this, &pool] { run(pool); }) {}
  ~Killer() {
    stop_ = true;
    thread_.join();
  }
  [[nodiscard]] int kills() const { return kills_; }

 private:
  void run(Pool& pool) {
    std::mt19937_64 random(test::seed());
    while (!stop_) {
      const std::size_t victim = random() % pool.size();
      const int pid = pool.stats().workers[victim].pid;
      const detail::Fd worker(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
      // Still listed, so it had not been reaped when it was opened: nobody else's process.
      if (!worker || pool.stats().workers[victim].pid != pid) continue;
      const auto moment =
          std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 20'000);
      while (std::chrono::steady_clock::now() < moment && !stop_) std::this_thread::yield();
      if (::syscall(SYS_pidfd_send_signal, worker.get(), SIGKILL, nullptr, 0) == 0) ++kills_;
      const std::size_t ended = pool.stats().done;
      while (pool.stats().done == ended && !stop_) std::this_thread::yield();
    }
  }

  std::atomic<bool> stop_ = false;
  std::atomic<int> kills_ = 0;
  std::thread thread_;
};

TEST_P(PoolKillTest, EveryResultOnceInOrderAndOnlyRunningTasksFail) {
  constexpr int kTasks = test::kAsan || test::kTsan ? 5'000 : 50'000;
  std::vector<int> in(kTasks);
  std::iota(in.begin(), in.end(), 0);
  Pool pool(3);
  int died = 0;
  int kills = 0;
  for (const std::size_t chunksize : {0, 1, 16}) {
    Killer killer(pool);
    auto results = pool.with({.chunksize = chunksize, .window = 256}).imap(busy_square, in);
    for (int i = 0; i < kTasks; ++i) {
      try {
        ASSERT_EQ(results.next(), static_cast<long>(i) * i);
      } catch (const WorkerDied& error) {
        ASSERT_EQ(error.exit_code(), -SIGKILL);
        ++died;
      }
    }
    ASSERT_EQ(results.next(), std::nullopt);
    kills += killer.kills();
  }
  EXPECT_LE(died, kills + 1);
  RecordProperty("kills", kills);
  RecordProperty("died", died);
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.done, 3u * kTasks);
  EXPECT_EQ(stats.failed, static_cast<std::size_t>(died));
}

TEST_P(PoolKillTest, RetriesFinishWhatDied) {
  constexpr int kTasks = test::kAsan || test::kTsan ? 2'000 : 20'000;
  std::vector<int> in(kTasks);
  std::iota(in.begin(), in.end(), 0);
  Pool pool(3);
  const Killer killer(pool);
  const auto results = pool.with({.retries = 1'000'000}).map(busy_square, in);
  for (int i = 0; i < kTasks; ++i) {
    ASSERT_EQ(results[static_cast<std::size_t>(i)], static_cast<long>(i) * i);
  }
  RecordProperty("kills", killer.kills());
}

TEST_P(PoolKillTest, UnorderedAndWholeMapsToo) {
  constexpr int kTasks = test::kAsan || test::kTsan ? 4'000 : 20'000;
  std::vector<int> in(kTasks);
  std::iota(in.begin(), in.end(), 0);
  Pool pool(3);
  const Killer killer(pool);
  std::vector<int> seen(kTasks);
  int died = 0;
  auto results = pool.imap_unordered(
      [](int x) {
        busy_square(x);
        return x;
      },
      in);
  for (;;) {
    try {
      const auto result = results.next();
      if (!result) break;
      ++seen[static_cast<std::size_t>(*result)];
    } catch (const WorkerDied&) {
      ++died;
    }
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), kTasks - died);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), died);

  int complete = 0;
  for (int round = 0; round < 10; ++round) {
    try {
      const auto all =
          pool.map_async(busy_square, std::vector<int>(in.begin(), in.begin() + 2000)).get();
      ASSERT_EQ(all.size(), 2000u);
      for (int i = 0; i < 2000; ++i) {
        ASSERT_EQ(all[static_cast<std::size_t>(i)], static_cast<long>(i) * i);
      }
      ++complete;
    } catch (const WorkerDied&) {
    }
  }
  RecordProperty("complete", complete);
}

}  // namespace
}  // namespace tandem
