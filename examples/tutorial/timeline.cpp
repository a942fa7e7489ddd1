// Who ran what, and when: Pool::map of 4, 6 and 24 tasks in chunks of 1, 2 and 3, drawn from the
// times that the tasks report.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

using Clock = std::chrono::steady_clock;  // the same in all processes of a machine
using std::chrono::milliseconds;

constexpr milliseconds kTask{20};
constexpr milliseconds kColumn{5};

struct Ran {
  int task;
  int pid;
  Clock::time_point begin;
  Clock::time_point end;
};

Ran run(int task) {
  Ran ran{.task = task, .pid = tandem::current_process().pid(), .begin = Clock::now(), .end = {}};
  std::this_thread::sleep_for(kTask);  // stands for work that waits: for a disk, for a network
  ran.end = Clock::now();
  return ran;
}

void draw(const std::vector<Ran>& all) {
  const auto begin = std::ranges::min(all, {}, &Ran::begin).begin;
  const auto column = [&](Clock::time_point t) {
    return static_cast<std::size_t>((t - begin) / kColumn);
  };
  std::map<int, std::string> lanes;
  for (const Ran& ran : all) {
    std::string& lane = lanes[ran.pid];
    lane.resize(std::max(lane.size(), column(ran.end)), ' ');
    const char name = static_cast<char>('a' + ran.task);
    std::fill(lane.begin() + static_cast<std::ptrdiff_t>(column(ran.begin)),
              lane.begin() + static_cast<std::ptrdiff_t>(column(ran.end)), name);
  }
  for (const auto& [pid, lane] : lanes) std::cout << "  " << pid << " |" << lane << "|\n";
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  bool as_expected = true;
  tandem::Pool pool(4);
  for (const int tasks : {4, 6, 24}) {
    std::vector<int> numbers(static_cast<std::size_t>(tasks));
    std::iota(numbers.begin(), numbers.end(), 0);
    for (const std::size_t chunk : {1u, 2u, 3u}) {
      const std::vector<Ran> all = pool.with({.chunksize = chunk}).map(run, numbers);
      std::cout << tasks << " tasks, " << chunk << " in a chunk\n";
      draw(all);
      for (std::size_t i = 0; i < all.size(); ++i) {  // in order; a chunk is one worker's
        as_expected = as_expected && all[i].task == static_cast<int>(i) &&
                      all[i].pid == all[i - i % chunk].pid && all[i].end - all[i].begin >= kTask;
      }
    }
  }
  if (!as_expected) {
    std::cerr << "expected the results in order, and each chunk from one worker\n";
    return 1;
  }
}
