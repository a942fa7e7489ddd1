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
#include <time.h>

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

inline double own_cpu_seconds() {
  timespec used = {};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0) throw std::runtime_error("no clock");
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

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

struct Run {
  double seconds = 0;      // from the release until the last has ended
  double cpu_seconds = 0;  // of all together, in that time
};

/// Ties this process to one CPU, the next in turn for each number.
inline void run_on_cpu(std::size_t number) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return;
  number %= static_cast<std::size_t>(CPU_COUNT(&cpus));
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &cpus) || number-- != 0) continue;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    return;
  }
}

/// The library counts the CPUs it may use when it first waits: before any process is tied to one.
inline void count_cpus() {
  static const bool counted = !tandem::Event().wait_for(std::chrono::microseconds(1));
  static_cast<void>(counted);
}

/// Runs each body in a forked process of its own, all released at once. They take the CPUs in turn:
/// left to the scheduler of a virtual machine, whose CPUs share no cache that it knows of, two that
/// wake each other are now and then kept on one CPU for seconds.
inline Run run_together(const std::vector<std::function<void()>>& bodies) {
  constexpr std::size_t kMost = 64;
  struct Line {
    std::atomic<std::size_t> ready;
    std::atomic<bool> go;
    std::array<Clock::time_point, kMost> ended;
    std::array<double, kMost> cpu_seconds;
  };
  if (bodies.size() > kMost) throw std::logic_error("too many processes");
  const Shared<Line> line;
  count_cpus();

  std::vector<tandem::Process> processes;
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    processes.emplace_back(tandem::start::fork, [&, i] {
      run_on_cpu(i);
      line->ready.fetch_add(1);
      while (!line->go.load()) sched_yield();
      const double used = own_cpu_seconds();
      bodies[i]();
      line->ended[i] = Clock::now();
      line->cpu_seconds[i] = own_cpu_seconds() - used;
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
  Run run;
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    const double seconds = std::chrono::duration<double>(line->ended[i] - start).count();
    run.seconds = std::max(run.seconds, seconds);
    run.cpu_seconds += line->cpu_seconds[i];
  }
  return run;
}

/// Spins, and steps aside now and then: on a loaded machine both may be on one CPU.
template <class Look, class Right>
auto spin_until(const Look& look, const Right& right) {
  for (int looks = 1;; ++looks) {
    const auto seen = look();
    if (right(seen)) return seen;
    if (looks % 4096 == 0) sched_yield();
    relax();
  }
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
                    const int i = spin_until([&] { return lines->there.load(); },
                                             [&](int seen) { return seen >= next || seen < 0; });
                    if (i < 0) return;
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
                      spin_until([&] { return lines->back.load(); },
                                 [&](int seen) { return seen >= i; });
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

/// A candidate is to be at least so many times as good as a peer; 0: nothing is said for this state.
struct Reach {
  std::string candidate;
  std::string peer;
  double near = 0;
  double far = 0;
  std::size_t metric = 0;
};

struct Comparison {
  std::string work;
  std::vector<Metric> metrics;
  std::vector<Candidate> candidates;
  std::vector<Reach> reaches = {};
};

/// How long one comparison takes, at least kLeastRounds though.
inline double seconds_of_comparison() {
  const char* const wanted = std::getenv("TANDEM_BENCH_SECONDS");
  return wanted != nullptr ? std::atof(wanted) : 10;
}
constexpr int kLeastRounds = 3;

/// Whether the environment variable names this, by a part of its name; one that is not set names all.
inline bool is_named(const char* variable, const std::string& name) {
  const char* const part = std::getenv(variable);
  return part == nullptr || name.find(part) != std::string::npos;
}

/// Values of one candidate and metric, taken in one state.
class Samples {
 public:
  void add(double value) { values_.push_back(value); }
  bool empty() const { return values_.empty(); }
  double median() const { return bench::median(values_); }
  /// The median, half the distance of the quartiles in percent of it, and the number of samples.
  std::string text() const {
    std::vector<double> values = values_;
    const double spread = percentile(values, 0.75) - percentile(values, 0.25);
    std::array<char, 64> text;
    std::snprintf(text.data(), text.size(), "%.4g +-%.0f%% (%zu)", median(),
                  spread / 2 / median() * 100, values.size());
    return text.data();
  }

 private:
  std::vector<double> values_;
};

inline void print_columns(const std::string& row, const char* state, const std::string& tandem,
                          const std::string& peer, const std::string& ratio,
                          const std::string& reach) {
  std::printf("%-44s | %-5s | %-38s | %-34s | %7s | %s\n", row.c_str(), state, tandem.c_str(),
              peer.c_str(), ratio.c_str(), reach.c_str());
}

inline std::string with_two_digits(double value) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.2f", value);
  return text.data();
}

/// Prints the line of one candidate, peer and metric.
inline void print_ratio(const Comparison& comparison, State state, std::size_t metric,
                        const Candidate& candidate, const Samples& samples, const Candidate& peer,
                        const Samples& of_peer) {
  const double quotient = samples.median() / of_peer.median();
  const double times = comparison.metrics[metric].more_is_better ? quotient : 1 / quotient;
  std::string verdict = "-";
  for (const Reach& reach : comparison.reaches) {
    const double least = state == State::near ? reach.near : reach.far;
    if (reach.candidate == candidate.name && reach.peer == peer.name && reach.metric == metric &&
        least != 0) {
      verdict = with_two_digits(least) + (times >= least ? " ok" : " BELOW");
    }
  }
  print_columns(comparison.work + ", " + comparison.metrics[metric].name, name_of(state),
                candidate.name + ' ' + samples.text(), peer.name + ' ' + of_peer.text(),
                with_two_digits(times), verdict);
}

/// Says which reaches there is no line for: the machine was not in that state, or the peer is
/// missing. \param has whether there are samples, of a state, candidate and metric
template <class Has>
void print_unmeasured(const Comparison& comparison, const Has& has) {
  for (const Reach& reach : comparison.reaches) {
    if (!is_named("TANDEM_BENCH_PEER", reach.peer)) continue;
    for (const State state : {State::near, State::far}) {
      const double least = state == State::near ? reach.near : reach.far;
      const bool measured =
          has(state, reach.candidate, reach.metric) && has(state, reach.peer, reach.metric);
      if (least == 0 || measured) continue;
      std::printf("(not measured: %s, %s, %s: %s beside %s, reach %.2f)\n", comparison.work.c_str(),
                  comparison.metrics[reach.metric].name.c_str(), name_of(state),
                  reach.candidate.c_str(), reach.peer.c_str(), least);
    }
  }
}

/// Takes samples of all candidates, in turn, and prints a line for each state, metric, candidate of
/// tandem's and peer: both medians, how many times as good tandem is, and the reach.
inline void compare(Comparison comparison) {
  if (!is_named("TANDEM_BENCH_ROW", comparison.work)) return;
  std::vector<Candidate>& candidates = comparison.candidates;
  std::erase_if(candidates, [](const Candidate& candidate) {
    return candidate.is_peer && !is_named("TANDEM_BENCH_PEER", candidate.name);
  });
  using Table = std::vector<std::vector<Samples>>;  // [candidate][metric]
  const Table none(candidates.size(), std::vector<Samples>(comparison.metrics.size()));
  std::map<State, Table> tables;
  int dropped = 0;
  for (const Candidate& candidate : candidates) candidate.sample();  // warm-up
  const Clock::time_point begin = Clock::now();
  for (int round = 0; round < kLeastRounds || seconds_since(begin) < seconds_of_comparison();
       ++round) {
    State before = machine_state();
    for (std::size_t c = 0; c < candidates.size(); ++c) {
      const std::vector<double> values = candidates[c].sample();
      const State after = machine_state();
      if (before == after) {
        Table& table = tables.try_emplace(before, none).first->second;
        for (std::size_t m = 0; m < comparison.metrics.size(); ++m) table[c][m].add(values.at(m));
      } else {
        ++dropped;
      }
      before = after;
    }
  }

  static bool headed = false;
  if (!headed) print_columns("row", "state", "tandem", "peer", "ratio", "reach");
  headed = true;
  for (const auto& [state, table] : tables) {
    for (std::size_t m = 0; m < comparison.metrics.size(); ++m) {
      for (std::size_t c = 0; c < candidates.size(); ++c) {
        for (std::size_t p = 0; p < candidates.size(); ++p) {
          if (candidates[c].is_peer || !candidates[p].is_peer) continue;
          if (table[c][m].empty() || table[p][m].empty()) continue;  // never in this state
          print_ratio(comparison, state, m, candidates[c], table[c][m], candidates[p], table[p][m]);
        }
      }
    }
  }
  print_unmeasured(comparison, [&](State state, const std::string& name, std::size_t metric) {
    const auto table = tables.find(state);
    if (table == tables.end()) return false;
    const auto c = std::ranges::find(candidates, name, &Candidate::name);
    return c != candidates.end() &&
           !table->second[static_cast<std::size_t>(c - candidates.begin())][metric].empty();
  });
  if (dropped != 0) {
    std::printf("(%s: %d samples dropped, the machine's state changed)\n", comparison.work.c_str(),
                dropped);
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
  if (!is_named("TANDEM_BENCH_ROW", comparison.work) || !is_named("TANDEM_BENCH_PEER", name))
    return;
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
