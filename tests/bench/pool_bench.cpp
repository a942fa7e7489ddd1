// What a task costs in a Pool, beside Python's Pool and ProcessPoolExecutor; how well work is spread,
// beside bare forks that share it out perfectly; how soon a death is known.
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include "harness.hpp"

namespace {

int nothing(int x) { return x; }
tandem::Bytes same(tandem::Bytes bytes) { return bytes; }

constexpr std::size_t kWorkers = 2;

/// \returns the p50 of apply in microseconds
double apply_us(tandem::Pool& pool) {
  std::vector<double> taken(5'000);
  for (double& microseconds : taken) {
    const bench::Clock::time_point start = bench::Clock::now();
    static_cast<void>(pool.apply(nothing, 1));
    microseconds = bench::seconds_since(start) * 1e6;
  }
  return bench::median(taken);
}

/// While it lives this process is tied to a CPU.
class Tied {
 public:
  explicit Tied(std::size_t cpu) {
    if (sched_getaffinity(0, sizeof before_, &before_) != 0) throw std::runtime_error("affinity");
    bench::run_on_cpu(cpu);
  }
  Tied(const Tied&) = delete;
  Tied& operator=(const Tied&) = delete;
  ~Tied() { sched_setaffinity(0, sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};

/// The same with the caller on one CPU, and on another the worker that is asked first. Left to the
/// scheduler both are now and then on one.
double tied_apply_us() {
  bench::count_cpus();
  tandem::Pool pool({.processes = kWorkers, .pin_cpus = true});
  static_cast<void>(pool.with({.chunksize = 1}).map(nothing, std::vector(100, 1)));
  const Tied tied(1);
  return apply_us(pool);
}

/// \returns thousands of tasks per second
double map_rate(tandem::Pool& pool, std::size_t tasks, std::size_t chunk) {
  const std::vector<int> input(tasks, 1);
  const bench::Clock::time_point start = bench::Clock::now();
  static_cast<void>(pool.with({.chunksize = chunk}).map(nothing, input));
  return static_cast<double>(tasks) / bench::seconds_since(start) / 1e3;
}

constexpr std::size_t kLarge = std::size_t{10} << 20;
constexpr int kLarges = 8;
/// GiB per second of kLarges large buffers there and back, both ways counted.
double rate_of_larges(const bench::Clock::time_point start) {
  return 2.0 * kLarges * static_cast<double>(kLarge) / (1 << 30) / bench::seconds_since(start);
}

double large_rate(tandem::Pool& pool) {
  const std::vector<tandem::Bytes> input(kLarges, tandem::Bytes(kLarge));
  const bench::Clock::time_point start = bench::Clock::now();
  static_cast<void>(pool.with({.chunksize = 1}).map(same, input));
  return rate_of_larges(start);
}

/// Each copied twice, into memory that was not there before.
double copies_rate() {
  const tandem::Bytes input(kLarge);
  const bench::Clock::time_point start = bench::Clock::now();
  std::vector<tandem::Bytes> kept;
  for (int i = 0; i < kLarges; ++i) {
    kept.push_back(input);
    kept.push_back(kept.back());
  }
  return rate_of_larges(start);
}

/// One figure of a pool of two workers, beside Python's pools. A comparison for each, so that a
/// sample is short: the machine's state may change within seconds.
/// \param what python_pool.py is to measure
void compare_figure(const std::string& name, bool more_is_better, const std::string& what,
                    const std::function<double(tandem::Pool&)>& figure,
                    const std::vector<bench::Reach>& reaches) {
  bench::Comparison comparison{.work = "pool of two workers",
                               .metrics = {{name, more_is_better}},
                               .candidates = {{"tandem", false,
                                               [=] {
                                                 tandem::Pool pool(kWorkers);
                                                 static_cast<void>(map_rate(pool, 1'000, 1));
                                                 return std::vector{figure(pool)};
                                               }}},
                               .reaches = reaches};
  bench::add_python_peer(comparison, "mp.Pool", "python_pool.py", "pool " + what);
  bench::add_python_peer(comparison, "Executor", "python_pool.py", "executor " + what);
  bench::compare(comparison);
}

void compare_costs() {
  compare_figure("apply of a no-op, p50, us", false, "apply", apply_us,
                 {{"tandem", "mp.Pool", 60, 60}, {"tandem", "Executor", 40, 40}});
  // A peer's apply is not tied: it sleeps between, so that it finds a CPU of its own.
  compare_figure("apply, tied to CPUs, p50, us", false, "apply",
                 [](tandem::Pool&) { return tied_apply_us(); },
                 {{"tandem", "mp.Pool", 60, 60}, {"tandem", "Executor", 40, 40}});
  compare_figure("map of no-ops, chunk 1, k/s", true, "map_1",
                 [](tandem::Pool& pool) { return map_rate(pool, 200'000, 1); },
                 {{"tandem", "mp.Pool", 30, 30}});
  compare_figure("map, default chunks, k/s", true, "map",
                 [](tandem::Pool& pool) { return map_rate(pool, 2'000'000, 0); },
                 {{"tandem", "mp.Pool", 2, 1}});
  compare_figure("map 10 MiB in and out, GiB/s", true, "large",
                 [](tandem::Pool& pool) {
                   static_cast<void>(large_rate(pool));  // the workers have their memory
                   return large_rate(pool);
                 },
                 {{"tandem", "mp.Pool", 4, 4}});

  bench::compare({.work = "pool of two workers, large",
                  .metrics = {{"10 MiB in and out, GiB/s"}},
                  .candidates = {{"tandem", false,
                                  [] {
                                    tandem::Pool pool(kWorkers);
                                    static_cast<void>(large_rate(pool));
                                    return std::vector{large_rate(pool)};
                                  }},
                                 {"two copies", true, [] { return std::vector{copies_rate()}; }}},
                  .reaches = {{"tandem", "two copies", 0.5, 0.5}}});
}

// --- tasks of a given length ---

/// Such a task is over when the clock says so: as long in Python as here.
void spin_us(double us) {
  const bench::Clock::time_point start = bench::Clock::now();
  while (bench::seconds_since(start) * 1e6 < us) bench::relax();
}

/// A task's share of the time that all workers took, in microseconds.
std::vector<double> us_each(double seconds, std::size_t tasks) {
  return {seconds * 1e6 * static_cast<double>(kWorkers) / static_cast<double>(tasks)};
}

std::vector<double> us_each_of_pool(double us, std::size_t tasks, std::size_t chunk) {
  tandem::Pool pool({.processes = kWorkers, .pin_cpus = true});
  static_cast<void>(pool.with({.chunksize = 1}).map(spin_us, std::vector(100, us)));
  const std::vector<double> input(tasks, us);
  const bench::Clock::time_point start = bench::Clock::now();
  static_cast<void>(pool.with({.chunksize = chunk}).map(spin_us, input));
  return us_each(bench::seconds_since(start), tasks);
}

std::vector<double> us_each_of_forks(double us, std::size_t tasks) {
  const bench::Run run = bench::run_together(std::vector<std::function<void()>>(kWorkers, [=] {
    for (std::size_t i = 0; i < tasks / kWorkers; ++i) spin_us(us);
  }));
  return us_each(run.seconds, tasks);
}

/// How long a task must be for the pool not to matter.
void compare_task_lengths() {
  for (const auto& [us, tasks] :
       {std::pair{0, 40'000}, {1, 40'000}, {10, 10'000}, {100, 2'000}, {1'000, 400}}) {
    const double length = us;
    const auto number = static_cast<std::size_t>(tasks);
    bench::Comparison comparison{
        .work = "pool, tasks of " + std::to_string(us) + " us",
        .metrics = {{"us each", false}},
        .candidates = {
            {"chunks of 1", false, [=] { return us_each_of_pool(length, number, 1); }},
            {"default chunks", false, [=] { return us_each_of_pool(length, number, 0); }},
            {"two bare forks", true, [=] { return us_each_of_forks(length, number); }}}};
    const std::string arguments =
        ' ' + std::to_string(us) + ' ' + std::to_string(std::min(tasks, 5'000));
    bench::add_python_peer(comparison, "mp.Pool chunks of 1", "python_tasks.py",
                           "pool-1" + arguments);
    bench::add_python_peer(comparison, "mp.Pool default chunks", "python_tasks.py",
                           "pool" + arguments);
    bench::add_python_peer(comparison, "Executor", "python_tasks.py", "executor" + arguments);
    bench::compare(comparison);
  }
}

/// So many steps that depend on each other.
int work(int steps) {
  volatile int state = 1;
  for (int i = 0; i < steps; ++i) state = state * 1103515245 + 12345;
  return state;
}

int steps_of_us(double us) {
  static const double steps_per_us = [] {
    constexpr int kSteps = 20'000'000;
    const bench::Clock::time_point start = bench::Clock::now();
    work(kSteps);
    return kSteps / (bench::seconds_since(start) * 1e6);
  }();
  return static_cast<int>(us * steps_per_us);
}

/// One share for each process, none waits for another.
double seconds_of_forks(const std::vector<std::vector<int>>& shares) {
  std::vector<std::function<void()>> bodies;
  for (const std::vector<int>& share : shares) {
    bodies.emplace_back([&share] {
      for (const int steps : share) work(steps);
    });
  }
  return bench::run_together(bodies).seconds;
}

double seconds_of_pool(const std::vector<int>& tasks) {
  tandem::Pool pool({.processes = kWorkers, .pin_cpus = true});
  static_cast<void>(pool.with({.chunksize = 1}).map(work, std::vector<int>(4, 1)));
  const bench::Clock::time_point start = bench::Clock::now();
  static_cast<void>(pool.map(work, tasks));
  return bench::seconds_since(start);
}

void compare_spread() {
  const std::vector<int> even(400, steps_of_us(2'000));
  bench::compare(
      {.work = "400 tasks of 2 ms on two CPUs",
       .metrics = {{"seconds", false}},
       .candidates =
           {{"tandem", false, [&] { return std::vector{seconds_of_pool(even)}; }},
            {"two bare forks", true,
             [&] {
               const auto half = even.begin() + 200;
               return std::vector{seconds_of_forks({{even.begin(), half}, {half, even.end()}})};
             }}},
       .reaches = {{"tandem", "two bare forks", 0.97, 0.97}}});

  for (const auto& [place, name] :
       {std::pair{0, "first"}, {2'500, "in the middle"}, {4'999, "last"}}) {
    std::vector<int> uneven(5'000, steps_of_us(100));
    uneven[static_cast<std::size_t>(place)] *= 100;
    bench::compare(
        {.work = std::string("5000 tasks of 0.1 ms, 100 x as long the one ") + name,
         .metrics = {{"seconds", false}},
         .candidates = {{"tandem", false, [&] { return std::vector{seconds_of_pool(uneven)}; }},
                        {"ideal shares", true,
                         [&] {
                           std::vector<int> shares[2] = {{steps_of_us(10'000)}, {}};
                           shares[0].resize(1 + 2'450, steps_of_us(100));
                           shares[1].resize(2'549, steps_of_us(100));
                           return std::vector{seconds_of_forks({shares[0], shares[1]})};
                         }}},
         .reaches = {{"tandem", "ideal shares", 0.95, 0.95}}});
  }
}

long long now_ns() {
  return std::chrono::nanoseconds(bench::Clock::now().time_since_epoch()).count();
}

/// From a worker's last step to the error in the caller. \returns the median in milliseconds
double death_ms() {
  tandem::Pool pool(kWorkers);
  static_cast<void>(map_rate(pool, 1'000, 1));
  tandem::Value<long long> died(0);
  std::vector<double> taken(30);
  for (double& milliseconds : taken) {
    try {
      pool.apply(
          [](tandem::Value<long long> when) {
            when.store(now_ns());
            raise(SIGKILL);
          },
          died);
    } catch (const tandem::WorkerDied&) {
      milliseconds = static_cast<double>(now_ns() - died.load()) / 1e6;
    }
  }
  return bench::median(taken);
}

void compare_deaths() {
  bench::compare({.work = "SIGKILL of a worker to the error in the caller",
                  .metrics = {{"ms", false}},
                  .candidates = {{"tandem", false, [] { return std::vector{death_ms()}; }},
                                 {"the bar", true, [] { return std::vector<double>{20}; }}},
                  .reaches = {{"tandem", "the bar", 1, 1}}});
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  compare_costs();
  compare_task_lengths();
  compare_spread();
  compare_deaths();
}
