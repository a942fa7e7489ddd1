// What is seen of a pool's work: how long everything took, and a trace if there is one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "pool/message.hpp"
#include "pool/seat.hpp"
#include "pool/trace.hpp"
#include "tandem/detail/pool_core.hpp"
#include "tandem/insights.hpp"

namespace tandem::detail {

/// Told of everything by the dispatcher, under its lock.
class Watcher {
 public:
  explicit Watcher(bool insights) noexcept;

  /// Whether the chunks that are sent now should be timed.
  [[nodiscard]] bool timed() const noexcept { return insights_ || trace_ != nullptr; }

  /// Completes the trace there is and begins this one; the workers there are, are yet to be
  /// introduced. \throws SystemError, and goes on with the trace there was
  void trace_to(const std::filesystem::path& path);
  void introduce(const Seat& seat);
  /// The pool has ended.
  void finish() noexcept;

  void started(Seat& seat);
  void ready(const Seat& seat);
  /// \param times 0 where the task was not timed, and where the worker `died` in it
  void attempt_ended(const Seat& seat, PoolBatch& batch, std::size_t index, TaskTimes times,
                     const std::exception_ptr& error, bool died);
  /// Its process has ended, but is still there to be asked.
  void gone(const Seat& seat, Departure departure, std::string_view how);

  /// Of the workers that are gone.
  [[nodiscard]] PoolInsights insights() const;
  /// Adds the worker that is there now.
  void add_running(const Seat& seat, PoolInsights& to) const;

 private:
  static constexpr std::size_t kSlowest = 10;
  static constexpr std::size_t kMostKinds = 1000;

  struct Lane {
    WorkerInsights sum = {};  // of those gone; name and pid of the last
    std::size_t workers = 0;
    std::uint64_t number = 0;  // of the last
  };
  struct Slow {
    std::uint64_t ran_ns;
    std::string title;
    std::uint64_t call;
    std::size_t index;
    int pid;
    bool failed;
  };

  [[nodiscard]] WorkerLife life_of(const Seat& seat) const;
  void keep_if_slow(const Seat& seat, const TaskRun& task);
  void number_kind(PoolBatch& batch);

  const bool insights_;
  const std::uint64_t made_ns_;
  std::vector<Lane> lanes_;
  std::uint64_t workers_ = 0;
  std::map<std::tuple<const RunTime*, std::string, bool>, std::size_t> kinds_;
  std::vector<Slow> slowest_;  // the slowest first
  std::unique_ptr<TraceWriter> trace_;
};

}  // namespace tandem::detail
