/// \file
/// Where the time of a pool went: what each worker did, and which tasks took longest.
///
///     tandem::Pool pool({.processes = 4, .insights = true});
///     pool.map(resize, files);
///     std::cerr << pool.insights();
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"

namespace tandem {

/// What was done at one worker's place in a pool: sums over all the processes that it had.
/// `start_up + initializer + busy + idle` is how long there was a process.
struct WorkerInsights {
  std::string name = {};      ///< of the process that is or was there last: PoolWorker-3
  int pid = 0;                ///< of the same
  std::size_t tasks = 0;      ///< tasks done, failed ones included; not those a worker died in
  duration start_up = {};     ///< until it could run the initializer or a task
  duration initializer = {};  ///< in PoolOptions::initializer
  duration busy = {};         ///< in tasks
  duration idle = {};         ///< ready, and not in a task
  std::size_t restarts = 0;   ///< how often a new process took the place
};

/// One task that was run.
struct TaskInsights {
  std::string call = {};   ///< its call's progress label, or Pool::map and the like
  std::size_t number = 0;  ///< of its call; a pool's calls are counted from 1
  std::size_t index = 0;   ///< in its call
  duration took = {};      ///< decoding, running and encoding, in the worker
  int pid = 0;             ///< of the worker
  bool failed = false;     ///< whether it ended with an error
};

/// What Pool::insights tells.
struct PoolInsights {
  std::vector<WorkerInsights> workers = {};  ///< one for each place
  /// The ten that took longest, the longest first; empty unless tasks were timed, which they are
  /// under PoolOptions::insights and while there is a trace (Pool::trace_to).
  std::vector<TaskInsights> slowest = {};
};

/// Two tables in plain text, with a line end after each row.
[[nodiscard]] TANDEM_EXPORT std::string to_string(const PoolInsights& insights);
/// Writes `to_string(insights)`.
TANDEM_EXPORT std::ostream& operator<<(std::ostream& to, const PoolInsights& insights);

}  // namespace tandem
