// A pool under random calls, deaths, limits and sizes keeps its promises: every task has one
// outcome, a plausible one, and ran as often as it may; workers are as many as wanted, and none does
// more than its share.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/array.hpp"
#include "tandem/detail/fd.hpp"
#include "tandem/pool.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

using PoolPropertyTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(PoolPropertyTest);

enum class Kind { square, fail, die, hang, grow };

/// \param begun how often each task was begun
/// \returns the square, and who made it
std::pair<int, int> task(Array<int> begun, Kind kind, int i) {
  ++begun[static_cast<std::size_t>(i)];  // one attempt at a time
  switch (kind) {
    case Kind::square:
      break;
    case Kind::fail:
      throw std::domain_error(std::to_string(i));
    case Kind::die:
      ::_exit(3);
    case Kind::hang:
      for (;;) ::pause();
    case Kind::grow: {
      static std::vector<std::string> kept;
      kept.emplace_back(std::size_t{24} << 20, 'x');
    }
  }
  return {i * i, ::getpid()};
}

struct Call {
  Kind kind;
  int retries;
  bool cancelled = false;
  AsyncResult<std::pair<int, int>> result;
};

class Model {
 public:
  Model(std::uint64_t seed, int tasks)
      : random_(seed),
        tasks_(tasks),
        begun_(static_cast<std::size_t>(tasks)),
        max_tasks_(random_() % 2 == 0 ? 0 : 1 + random_() % 5),
        pool_({.processes = 2,
               .max_tasks_per_child = max_tasks_,
               .max_memory_per_child = random_() % 2 == 0 ? 0 : std::size_t{300} << 20}) {}

  void run() {
    while (static_cast<int>(calls_.size()) < tasks_) step();
    for (std::size_t i = 0; i < calls_.size(); ++i) check(i);
    const PoolStats stats = pool_.stats();
    EXPECT_EQ(stats.done, calls_.size());
    EXPECT_EQ(stats.failed, failed_);
    EXPECT_EQ(stats.queued + stats.running, 0u);
    for (const auto& [pid, tasks] : done_by_) {
      if (max_tasks_ != 0) {
        EXPECT_LE(tasks, max_tasks_) << pid;
      }
    }
    // As many workers as wanted, and they work.
    while (pool_.stats().workers.size() != pool_.size()) {
      static_cast<void>(pool_.map([](int x) { return x; }, std::vector{1, 2, 3}));
    }
  }

 private:
  bool one_in(unsigned n) { return random_() % n == 0; }

  void step() {
    submit();
    if (one_in(12)) {
      Call& call = calls_[random_() % calls_.size()];
      // That it was cancelled counts even where nothing was left to cancel.
      call.cancelled = true;
      static_cast<void>(call.result.cancel());
    }
    if (one_in(20)) kill();
    if (one_in(25)) pool_.resize(1 + random_() % 4);
    if (one_in(10)) calls_[random_() % calls_.size()].result.wait();
  }

  void submit() {
    const auto dice = random_() % 20;
    const Kind kind = dice == 0   ? Kind::fail
                      : dice == 1 ? Kind::die
                      : dice == 2 ? Kind::hang
                      : dice == 3 ? Kind::grow
                                  : Kind::square;
    const int retries = static_cast<int>(random_() % 3);
    TaskOptions options{.retries = retries};
    if (kind == Kind::hang) options.timeout = 2ms;
    calls_.push_back({.kind = kind,
                      .retries = retries,
                      .result = pool_.with(options).apply_async(task, begun_, kind,
                                                                static_cast<int>(calls_.size()))});
  }

  /// One of the workers. Where one after the other dies before its first task the pool gives up, so
  /// no more of them than there are tasks that end.
  void kill() {
    const std::size_t done = pool_.stats().done;
    if (done == done_at_kill_) return;
    done_at_kill_ = done;
    const auto workers = pool_.stats().workers;
    const std::size_t victim = random_() % workers.size();
    const int pid = workers[victim].pid;
    if (pid == 0) return;
    const detail::Fd worker(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    const auto now = pool_.stats().workers;
    // Still listed, so it had not been reaped when it was opened: nobody else's process.
    if (!worker || now.size() <= victim || now[victim].pid != pid) return;
    if (::syscall(SYS_pidfd_send_signal, worker.get(), SIGKILL, nullptr, 0) == 0) ++kills_;
  }

  void check(std::size_t i) {
    Call& call = calls_[i];
    SCOPED_TRACE(testing::Message() << "task " << i << " of kind " << static_cast<int>(call.kind));
    const int number = static_cast<int>(i);
    bool died = false;
    bool was_cancelled = false;
    try {
      const auto [square, pid] = call.result.get();
      EXPECT_EQ(square, number * number);
      EXPECT_TRUE(call.kind == Kind::square || call.kind == Kind::grow);
      ++done_by_[pid];
      EXPECT_GE(begun_[i], 1);
      --failed_;
    } catch (const std::domain_error& error) {
      EXPECT_EQ(call.kind, Kind::fail);
      EXPECT_EQ(error.what(), std::to_string(i));
    } catch (const TaskTimeout&) {
      EXPECT_EQ(call.kind, Kind::hang);
    } catch (const WorkerDied& error) {
      EXPECT_EQ(error.exit_code() == 3, call.kind == Kind::die && error.exit_code() != -SIGKILL);
      EXPECT_TRUE(call.kind == Kind::die || kills_ > 0);
      died = true;
    } catch (const Cancelled&) {
      EXPECT_TRUE(call.cancelled);
      was_cancelled = true;
    }
    ++failed_;
    EXPECT_LE(begun_[i], 1 + call.retries);
    if (died && call.kind == Kind::die && !call.cancelled) {
      // A worker may be killed before the task's first statement.
      EXPECT_GE(begun_[i], std::max(0, 1 + call.retries - kills_));
    }
    if (!was_cancelled && !died && kills_ == 0) {
      EXPECT_EQ(begun_[i], 1);
    }
  }

  std::mt19937_64 random_;
  int tasks_;
  Array<int> begun_;
  std::size_t max_tasks_;
  Pool pool_;
  std::vector<Call> calls_;
  std::map<int, std::size_t> done_by_;
  std::size_t failed_ = 0;
  std::size_t done_at_kill_ = 0;
  int kills_ = 0;
};

TEST_P(PoolPropertyTest, EveryTaskHasOneOutcomeWhateverHappens) {
  std::mt19937_64 seeds(test::seed());
  const int rounds = test::kAsan || test::kTsan ? 1 : 3;
  for (int round = 0; round < rounds; ++round) {
    Model model(seeds(), 150);
    model.run();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace tandem
