// What every benchmark here shares: samples of several candidates, taken in turn, compared as
// ratios.
//
// On a virtual machine the host moves the CPUs: a cache line takes about 100 ns there and back
// between two processes, or about 500, and whatever goes through shared memory follows. That state
// is measured before and after every sample. A sample during which it changed is dropped, medians
// are taken for each state, and figures of different states are never compared.
#pragma once

#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <tandem/tandem.hpp>

namespace bench {

using Clock = std::chrono::steady_clock;  // the same in all processes

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

inline void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// \param share between 0 and 1; the values are reordered
inline double percentile(std::span<double> values, double share) {
  if (values.empty()) throw std::logic_error("no values");
  const auto rank = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(rank),
                   values.end());
  return values[rank];
}
inline double median(std::vector<double> values) { return percentile(values, 0.5); }

/// A zero-filled T that forked processes share.
template <class T>
class Shared {
 public:
  Shared() {
    void* const memory = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("no shared memory");
    object_ = new (memory) T();
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { munmap(object_, sizeof(T)); }
  T* operator->() const noexcept { return object_; }

 private:
  T* object_;
};

/// Runs each body in a forked process of its own, all released at once.
/// \returns seconds from the release until the last has ended
inline double run_together(const std::vector<std::function<void()>>& bodies) {
  constexpr std::size_t kMost = 64;
  struct Line {
    std::atomic<std::size_t> ready;
    std::atomic<bool> go;
    std::array<Clock::time_point, kMost> ended;
  };
  if (bodies.size() > kMost) throw std::logic_error("too many processes");
  const Shared<Line> line;

  std::vector<tandem::Process> processes;
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    processes.emplace_back(tandem::start::fork, [&, i] {
      line->ready.fetch_add(1);
      while (!line->go.load()) sched_yield();
      bodies[i]();
      line->ended[i] = Clock::now();
    });
  }
  for (tandem::Process& process : processes) process.start();
  while (line->ready.load() != bodies.size()) sched_yield();
  const Clock::time_point start = Clock::now();
  line->go.store(true);
  for (tandem::Process& process : processes) {
    process.join();
    if (process.exitcode() != 0) throw std::runtime_error("a process of the benchmark failed");
  }
  const auto last = *std::max_element(line->ended.begin(), line->ended.begin() + bodies.size());
  return std::chrono::duration<double>(last - start).count();
}

/// A cache line there and back between two spinning processes: the median of batches, as many as
/// fit into some milliseconds.
inline double cache_line_round_trip_ns() {
  constexpr std::size_t kMostBatches = 200;
  constexpr int kTrips = 100;
  constexpr double kSeconds = 0.005;
  struct Lines {
    alignas(128) std::atomic<int> there;
    alignas(128) std::atomic<int> back;
    alignas(128) std::array<double, kMostBatches> nanoseconds;
    std::size_t batches;
  };
  const Shared<Lines> lines;
  run_together({[&] {
                  for (int next = 1;; ++next) {
                    int i = 0;
                    while ((i = lines->there.load()) < next) {
                      if (i < 0) return;
                      relax();
                    }
                    lines->back.store(next);
                  }
                },
                [&] {
                  int i = 0;
                  const Clock::time_point begin = Clock::now();
                  while (lines->batches < kMostBatches && seconds_since(begin) < kSeconds) {
                    const Clock::time_point start = Clock::now();
                    for (int trip = 0; trip < kTrips; ++trip) {
                      lines->there.store(++i);
                      while (lines->back.load() < i) relax();
                    }
                    lines->nanoseconds[lines->batches++] = seconds_since(start) * 1e9 / kTrips;
                  }
                  lines->there.store(-1);
                }});
  return percentile(std::span(lines->nanoseconds).first(lines->batches), 0.5);
}

enum class State { near, far };
inline const char* name_of(State state) { return state == State::near ? "NEAR" : "FAR"; }
inline State machine_state() { return cache_line_round_trip_ns() < 250 ? State::near : State::far; }

/// One way to do the work. A sample returns one value for each metric of the comparison.
struct Candidate {
  std::string name;
  bool is_peer = false;
  std::function<std::vector<double>()> sample;
};

struct Metric {
  std::string name;  // with its unit
  bool more_is_better = true;
};

struct Comparison {
  std::string work;
  std::vector<Metric> metrics;
  std::vector<Candidate> candidates;
  int rounds = 5;
};

/// Takes the samples, in turn, and prints for each state and metric every candidate's median, and
/// how many times better than each peer tandem is.
inline void compare(const Comparison& comparison) {
  const std::size_t candidates = comparison.candidates.size();
  using Samples = std::vector<std::vector<std::vector<double>>>;  // [candidate][metric][sample]
  std::map<State, Samples> samples;
  int dropped = 0;
  for (const Candidate& candidate : comparison.candidates) candidate.sample();  // warm-up
  for (int round = 0; round < comparison.rounds; ++round) {
    State before = machine_state();
    for (std::size_t c = 0; c < candidates; ++c) {
      const std::vector<double> values = comparison.candidates[c].sample();
      const State after = machine_state();
      if (before == after) {
        Samples& all = samples[before];
        all.resize(candidates, std::vector<std::vector<double>>(comparison.metrics.size()));
        for (std::size_t m = 0; m < values.size(); ++m) all[c][m].push_back(values[m]);
      } else {
        ++dropped;
      }
      before = after;
    }
  }

  std::printf("\n%s", comparison.work.c_str());
  if (dropped != 0) std::printf("  (%d samples dropped: the machine's state changed)", dropped);
  std::printf("\n");
  for (const auto& [state, all] : samples) {
    for (std::size_t m = 0; m < comparison.metrics.size(); ++m) {
      std::printf("  %-4s %-28s %10s %21s %4s", name_of(state), comparison.metrics[m].name.c_str(),
                  "median", "least - most", "n");
      for (const Candidate& peer : comparison.candidates) {
        if (peer.is_peer) std::printf("  %12.12s", ("x " + peer.name).c_str());
      }
      std::printf("\n");
      for (std::size_t c = 0; c < candidates; ++c) {
        const std::vector<double>& values = all[c][m];
        if (values.empty()) continue;
        const auto [least, most] = std::minmax_element(values.begin(), values.end());
        std::printf("       %-28s %10.4g %10.4g - %-8.4g %4zu",
                    comparison.candidates[c].name.c_str(), median(values), *least, *most,
                    values.size());
        if (!comparison.candidates[c].is_peer) {
          for (std::size_t p = 0; p < candidates; ++p) {
            if (!comparison.candidates[p].is_peer) continue;
            if (all[p][m].empty()) {
              std::printf("  %12s", "-");
              continue;
            }
            const double ratio = median(values) / median(all[p][m]);
            std::printf("  %12.2f", comparison.metrics[m].more_is_better ? ratio : 1 / ratio);
          }
        }
        std::printf("\n");
      }
    }
  }
  std::fflush(stdout);
}

/// Runs one of the programs of peers/ in Python. \returns the numbers it printed, or nothing if
/// there is no Python
inline std::optional<std::vector<double>> run_python(const std::string& program,
                                                     const std::string& arguments) {
  const std::string command =
      "python3 " TANDEM_BENCH_PEERS "/" + program + " " + arguments + " </dev/null 2>/dev/null";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> output(popen(command.c_str(), "r"), pclose);
  std::vector<double> values;
  for (double value = 0; output && std::fscanf(output.get(), "%lf", &value) == 1;) {
    values.push_back(value);
  }
  if (values.empty()) return std::nullopt;
  return values;
}

/// Adds the Python program as a peer if it runs here; says so if not.
inline void add_python_peer(Comparison& comparison, const std::string& name,
                            const std::string& program, const std::string& arguments) {
  if (!run_python(program, arguments)) {
    std::printf("(skipped, does not run here: %s)\n", name.c_str());
    return;
  }
  comparison.candidates.push_back({name, true, [=] {
                                     auto values = run_python(program, arguments);
                                     if (!values) throw std::runtime_error(program + " failed");
                                     return *std::move(values);
                                   }});
}

}  // namespace bench
