/// \file
/// A pool of worker processes that run a program's functions in parallel.
///
///     int square(int x) { return x * x; }
///
///     int main(int argc, char** argv) {
///       tandem::init(argc, argv);
///       tandem::Pool pool;
///       std::vector<int> squares = pool.map(square, std::vector{1, 2, 3});
///     }
///
/// A worker that dies takes only the task it was running with it; that task ends with WorkerDied,
/// and a new worker takes the place.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>

#include "tandem/async_result.hpp"
#include "tandem/detail/pool_calls.hpp"
#include "tandem/detail/pool_core.hpp"
#include "tandem/detail/pool_task.hpp"
#include "tandem/insights.hpp"
#include "tandem/progress.hpp"
#include "tandem/result_stream.hpp"
#include "tandem/sendable.hpp"

namespace tandem {

/// The calls of a pool: of Pool itself, and of a Pool under options (Pool::with).
///
/// Callables cross as Process targets do (SendableCall), elements and results are Sendable. Results
/// need no default constructor and may be move-only; for a void function `map` returns void and a
/// stream yields std::monostate. An error keeps its type if it is a std exception, one of tandem's
/// or registered (register_exception), else it is RemoteError.
/// \tparam Self gives `shared_core()` and `options()`
template <class Self>
class PoolCalls {
 public:
  /// Runs `f(args...)` in a worker. \returns its result \throws its error, WorkerDied, Closed,
  /// Cancelled
  template <class F, class... A>
  auto apply(F f, A&&... args) {
    return Calls::apply<Apply<F, A...>>(core(), options(), f, args...);
  }
  /// The same, and returns at once.
  template <class F, class... A>
  auto apply_async(F f, A&&... args) {
    return Calls::apply_async<Apply<F, A...>>(core(), options(), f, args...);
  }

  /// Runs `f(element)` for every element. \returns the results in the order of the elements
  /// \throws the error of the first element that failed, when all others have ended
  template <class F, std::ranges::input_range Range>
  auto map(F f, Range&& range) {
    return Calls::map<Map<F, Range>>(core(), "Pool::map", options(), f, range);
  }
  /// The same, and returns when the range has been read. \throws what the range throws
  template <class F, std::ranges::input_range Range>
  auto map_async(F f, Range&& range) {
    return Calls::map_async<Map<F, Range>>(core(), "Pool::map_async", options(), f, range);
  }
  /// The same for elements that are tuples: `f(get<0>(element), get<1>(element), ...)`.
  template <class F, std::ranges::input_range Range>
  auto starmap(F f, Range&& range) {
    return Calls::map<Star<F, Range>>(core(), "Pool::starmap", options(), f, range);
  }
  /// As map_async, for elements that are tuples.
  template <class F, std::ranges::input_range Range>
  auto starmap_async(F f, Range&& range) {
    return Calls::map_async<Star<F, Range>>(core(), "Pool::starmap_async", options(), f, range);
  }

  /// As map, lazily: results are handed out one by one, and the range, which may be endless, is
  /// read as they are taken. A range given as an rvalue is kept, another must outlive the stream.
  template <class F, std::ranges::input_range Range>
  auto imap(F f, Range&& range) {
    return Calls::stream<Map<F, Range>>(core(), "Pool::imap", options(), f,
                                        std::forward<Range>(range), true);
  }
  /// Results in the order in which they arrive.
  template <class F, std::ranges::input_range Range>
  auto imap_unordered(F f, Range&& range) {
    return Calls::stream<Map<F, Range>>(core(), "Pool::imap_unordered", options(), f,
                                        std::forward<Range>(range), false);
  }
  /// As imap, for elements that are tuples.
  template <class F, std::ranges::input_range Range>
  auto istarmap(F f, Range&& range) {
    return Calls::stream<Star<F, Range>>(core(), "Pool::istarmap", options(), f,
                                         std::forward<Range>(range), true);
  }
  /// As imap_unordered, for elements that are tuples.
  template <class F, std::ranges::input_range Range>
  auto istarmap_unordered(F f, Range&& range) {
    return Calls::stream<Star<F, Range>>(core(), "Pool::istarmap_unordered", options(), f,
                                         std::forward<Range>(range), false);
  }

 private:
  friend Self;
  PoolCalls() = default;

  using Calls = detail::PoolCallsImpl;
  // Each refuses, with a message that helps, what cannot cross.
  template <class F, class... A>
  struct ApplyChecked {
    static_assert((detail::require_sendable_call<F, A...>(), true));
    using type = detail::ApplyTask<F, detail::Argument<A>...>;
  };
  template <class F, class T>
  struct MapChecked {
    static_assert((detail::require_sendable_call<F, T>(), true));
    using type = detail::MapTask<F, T>;
  };
  template <class F, class... A>
  using Apply = typename ApplyChecked<F, A...>::type;
  template <class F, class Range>
  using Map = typename MapChecked<F, std::ranges::range_value_t<Range>>::type;
  template <class F, class Range>
  using Star = detail::StarTask<F, std::ranges::range_value_t<Range>>;

  [[nodiscard]] const std::shared_ptr<detail::PoolCore>& core() {
    return static_cast<Self*>(this)->shared_core();
  }
  [[nodiscard]] TaskOptions options() { return static_cast<Self*>(this)->options(); }
};

/// Any thread may call any member. Moved from: every call throws Closed.
///
/// The thread that waits for a result does the dispatching itself. A background thread, started by
/// the first call that returns before its results are in, does it while nobody waits.
///
/// Workers are daemon processes: they end with the one that made the pool, however that ends. They
/// ignore SIGINT, and write what goes to standard output line by line. A forked copy of the maker
/// cannot use the pool.
class TANDEM_EXPORT Pool : public PoolCalls<Pool> {
 public:
  class With;

  /// With one worker for each CPU.
  Pool();
  /// With that many workers; 0: one for each CPU.
  explicit Pool(std::size_t processes);
  /// Starts the workers; does not wait for their initializers. An initializer that throws or dies
  /// fails the pool: every call throws its error. \throws StartError
  explicit Pool(PoolOptions options);
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  /// Calls that are under way go on.
  Pool(Pool&& other) noexcept;
  /// Closes and joins the pool it had.
  Pool& operator=(Pool&& other) noexcept;
  /// Closes and joins: waits for what was submitted. While an exception unwinds: terminates.
  ~Pool();

  /// The same calls under these options.
  [[nodiscard]] With with(TaskOptions options);

  /// No further calls are taken: they throw Closed. What was submitted goes on; where nothing is
  /// left to do, the workers end at once, without a `join`.
  void close();
  /// Kills the workers. What has no outcome yet ends with Cancelled.
  void terminate();
  /// Waits until all submitted tasks have ended and the workers are gone. Input that a stream has
  /// not read by then is not run. \throws Error when neither `close` nor `terminate` was called
  void join();
  /// \returns false when the time was up first
  template <class Rep, class Period>
  [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> d) {
    return core().join(detail::Deadline::after(d));
  }

  /// Has so many workers from now on. Those that are too many end when they have done what they
  /// were sent. \throws Error for none; Closed
  void resize(std::size_t processes);
  /// Number of workers there should be.
  [[nodiscard]] std::size_t size() const;
  /// What it has done and has to do, at this moment.
  [[nodiscard]] PoolStats stats() const;
  /// What each worker did so far, and the slowest tasks (PoolOptions::insights). Also when the pool
  /// has ended.
  [[nodiscard]] PoolInsights insights() const;

  /// Draws who ran what when, from now on, into a file: one lane for each worker, with its start,
  /// its initializer, every task that is sent from now on, and deaths. `.html` is a page that any
  /// browser shows by itself; other names get Chrome's trace event format, for chrome://tracing,
  /// Perfetto and scripts. What is there already is overwritten. The file is complete when the pool
  /// has ended (`join`, `terminate`, destruction), and whole, if a second old, at any time before.
  /// A second call completes the first file and begins another.
  ///
  /// Written as the tasks end, and not kept in memory. Costs two readings of the clock in the
  /// worker and about a microsecond here for each task, and 150 bytes in a .json; in a page 40, and
  /// after the first 50 000 tasks short ones beside each other are drawn as one. When writing fails
  /// later on (a full disk), the log says so and the pool goes on without.
  /// \throws SystemError when the file cannot be written; Closed after `close`
  void trace_to(const std::filesystem::path& path);

 private:
  friend class PoolCalls<Pool>;
  friend class ProcessPoolExecutor;
  [[nodiscard]] static TaskOptions options() { return {}; }
  [[nodiscard]] detail::PoolCore& core() const;
  [[nodiscard]] const std::shared_ptr<detail::PoolCore>& shared_core() const;

  std::shared_ptr<detail::PoolCore> core_;
  int exceptions_ = 0;  // in flight when it was made
};

/// A pool's calls under options.
class Pool::With : public PoolCalls<Pool::With> {
 private:
  friend class Pool;
  friend class PoolCalls<Pool::With>;
  With(std::shared_ptr<detail::PoolCore> core, TaskOptions options)
      : core_(std::move(core)), options_(std::move(options)) {}
  [[nodiscard]] const std::shared_ptr<detail::PoolCore>& shared_core() const { return core_; }
  [[nodiscard]] const TaskOptions& options() const { return options_; }

  std::shared_ptr<detail::PoolCore> core_;
  TaskOptions options_;
};

inline Pool::With Pool::with(TaskOptions options) {
  return With(shared_core(), std::move(options));
}

}  // namespace tandem
