// A pool's trace: what its writers are told, and the two that there are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

namespace tandem::detail {

/// Times are nanoseconds of CLOCK_MONOTONIC; 0: not known, or not yet.
struct WorkerLife {
  std::uint64_t number = 0;  // of the process, in its pool
  std::size_t lane = 0;      // its place in the pool
  std::string_view name = {};
  int pid = 0;
  std::uint64_t began_ns = 0;        // its start
  std::uint64_t initializer_ns = 0;  // when that began
  std::uint64_t ready_ns = 0;
  std::uint64_t gone_ns = 0;
};

enum class Outcome { value, error, died };

/// Calls of one function under one title are a kind.
struct TaskRun {
  std::size_t kind = 0;
  std::string_view title = {};  // of the kind
  bool single = false;          // the calls of this kind have one task each
  std::uint64_t call = 0;       // number of the call in its pool
  std::size_t index = 0;        // in its call
  std::uint64_t began_ns = 0;
  std::uint64_t ran_ns = 0;
  Outcome outcome = Outcome::value;
  std::string_view error = {};  // what it says
};

enum class Departure { ended, replaced, died };

/// Each worker is announced first, becomes ready at most once, has tasks one after the other, and
/// is gone last. Nothing throws: a file that cannot be written is the log's business.
class TraceWriter {
 public:
  TraceWriter() = default;
  TraceWriter(const TraceWriter&) = delete;
  TraceWriter& operator=(const TraceWriter&) = delete;
  virtual ~TraceWriter() = default;

  virtual void started(const WorkerLife& worker) = 0;
  virtual void ready(const WorkerLife& worker) = 0;
  virtual void task(const WorkerLife& worker, const TaskRun& task) = 0;
  /// \param how in words
  virtual void gone(const WorkerLife& worker, Departure departure, std::string_view how) = 0;
  /// Nothing more will come.
  virtual void finish() = 0;
};

/// A page if the path ends in .html, else Chrome's trace events.
/// \param zero_ns what counts as time 0
/// \throws SystemError when the file cannot be written
[[nodiscard]] std::unique_ptr<TraceWriter> open_trace(const std::filesystem::path& path,
                                                      std::uint64_t zero_ns);

// What `open_trace` makes.
[[nodiscard]] std::unique_ptr<TraceWriter> open_trace_events(const std::filesystem::path& path,
                                                             std::uint64_t zero_ns);
[[nodiscard]] std::unique_ptr<TraceWriter> open_trace_page(const std::filesystem::path& path,
                                                           std::uint64_t zero_ns);

}  // namespace tandem::detail
