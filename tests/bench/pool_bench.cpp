// What a task costs in a Pool, beside Python's Pool and ProcessPoolExecutor.
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

/// \returns thousands of tasks per second
double map_rate(tandem::Pool& pool, std::size_t tasks, std::size_t chunk) {
  const std::vector<int> input(tasks, 1);
  const bench::Clock::time_point start = bench::Clock::now();
  static_cast<void>(pool.with({.chunksize = chunk}).map(nothing, input));
  return static_cast<double>(tasks) / bench::seconds_since(start) / 1e3;
}

/// 10 MiB there and back for each task. \returns GiB per second, both ways counted
double large_rate(tandem::Pool& pool) {
  const std::vector<tandem::Bytes> input(8, tandem::Bytes(10 << 20));
  const bench::Clock::time_point start = bench::Clock::now();
  static_cast<void>(pool.with({.chunksize = 1}).map(same, input));
  return 2.0 * 80 / 1024 / bench::seconds_since(start);
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  bench::Comparison comparison{
      .work = "pool of two workers",
      .metrics = {{"apply of a no-op, p50, us", false},
                  {"map of no-ops, chunk 1, k/s"},
                  {"map, default chunks, k/s"},
                  {"map 10 MiB in and out, GiB/s"}},
      .candidates = {{"tandem", false, [] {
                        tandem::Pool pool(kWorkers);
                        static_cast<void>(map_rate(pool, 1'000, 1));  // they have started
                        return std::vector{apply_us(pool), map_rate(pool, 200'000, 1),
                                           map_rate(pool, 4'000'000, 0), large_rate(pool)};
                      }}}};
  bench::add_python_peer(comparison, "mp.Pool", "python_pool.py", "pool");
  bench::add_python_peer(comparison, "Executor", "python_pool.py", "executor");
  bench::compare(comparison);
}
