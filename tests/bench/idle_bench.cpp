// What waiting costs: the CPU time that processes use while they have nothing to do.
#include <time.h>

#include <thread>

#include "harness.hpp"

namespace {

double cpu_seconds(int pid) {
  clockid_t clock = 0;
  timespec used = {};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
    throw std::runtime_error("a process of the benchmark has ended");
  }
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

constexpr double kMostPercent = 0.5;

/// Prints what these processes use together, in percent of one CPU, and whether that is little.
void watch(const char* name, const std::vector<int>& pids) {
  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // until they have come to rest
  const auto used = [&] {
    double all = 0;
    for (int pid : pids) all += cpu_seconds(pid);
    return all;
  };
  const double before = used();
  const bench::Clock::time_point start = bench::Clock::now();
  std::this_thread::sleep_for(std::chrono::seconds(10));
  const double percent = (used() - before) / bench::seconds_since(start) * 100;
  std::printf("  %-44s %8.3f   at most %.1f: %s\n", name, percent, kMostPercent,
              percent <= kMostPercent ? "ok" : "ABOVE");
  std::fflush(stdout);
}

void wait_for_item(tandem::Queue<int> queue, tandem::Queue<int> ready) {
  ready.put(0);
  static_cast<void>(queue.get());
}

int nothing(int x) { return x; }

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  std::printf("\nidle, percent of one CPU over 10 s\n");
  {
    tandem::Queue<int> queue;
    tandem::Queue<int> ready;
    std::vector<tandem::Process> waiters;
    for (int i = 0; i < 2; ++i) waiters.emplace_back(wait_for_item, queue, ready);
    std::vector<int> pids;
    for (tandem::Process& waiter : waiters) {
      waiter.start();
      static_cast<void>(ready.get());
      pids.push_back(waiter.pid());
      if (pids.size() == 1) watch("blocked Queue::get", pids);
    }
    watch("two consumers blocked in Queue::get", pids);
    for (std::size_t i = 0; i < waiters.size(); ++i) queue.put(0);
  }
  {
    tandem::Pool pool(2);
    static_cast<void>(pool.map(nothing, std::vector{1, 2, 3, 4}));
    std::vector<int> pids{tandem::current_process().pid()};
    for (const tandem::WorkerStats& worker : pool.stats().workers) pids.push_back(worker.pid);
    watch("pool of two workers, and its owner", pids);
  }
  {
    tandem::Manager manager;
    auto dict = manager.dict<int, int>();
    dict.set(1, 1);
    watch("manager with one client", {manager.pid()});
  }
}
