/// \file
/// A pool of processes with the interface of Python's `concurrent.futures.ProcessPoolExecutor`.
///
///     tandem::ProcessPoolExecutor executor;
///     tandem::Future<Image> image = executor.submit(render, scene);
///     for (double area : executor.map(integrate, lower_bounds, upper_bounds)) use(area);
///     show(image.get());
#pragma once

#include <cstddef>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>

#include "tandem/as_completed.hpp"
#include "tandem/detail/pool_calls.hpp"
#include "tandem/detail/pool_future.hpp"
#include "tandem/detail/pool_task.hpp"
#include "tandem/detail/zip.hpp"
#include "tandem/future.hpp"
#include "tandem/pool.hpp"
#include "tandem/sendable.hpp"

namespace tandem {

/// Any thread may call any member. Moved from: every call throws Closed.
///
/// Unlike Python's: a worker that dies takes only the call it was running with it, whose future ends
/// with WorkerDied, and is replaced; the executor is not broken by it. All workers are started at
/// once. `map` reads its ranges as its results are taken, 256 elements ahead, so they may be endless.
class ProcessPoolExecutor {
 public:
  /// \param max_workers 0 = cpu_count() \throws StartError
  explicit ProcessPoolExecutor(std::size_t max_workers = 0) : pool_(max_workers) {}
  /// Under a pool's options. \throws StartError
  explicit ProcessPoolExecutor(PoolOptions options) : pool_(std::move(options)) {}
  ProcessPoolExecutor(const ProcessPoolExecutor&) = delete;
  ProcessPoolExecutor& operator=(const ProcessPoolExecutor&) = delete;
  ProcessPoolExecutor(ProcessPoolExecutor&&) noexcept = default;
  ProcessPoolExecutor& operator=(ProcessPoolExecutor&&) noexcept = default;
  /// As `shutdown()`. While an exception unwinds the calls are ended with Cancelled instead.
  ~ProcessPoolExecutor() = default;

  /// Has `f(args...)` run in a worker. Letting go of the future does not stop the call; it stays
  /// usable after the executor's end. Its `cancel` is that of AsyncResult.
  /// \throws Closed after shutdown; the initializer's error
  template <class F, class... A>
  auto submit(F f, A&&... args) {
    detail::require_sendable_call<F, A...>();
    if constexpr (SendableCall<F, A...>) {
      using Task = detail::ApplyTask<F, detail::Argument<A>...>;
      using R = typename Task::Result;
      const std::shared_ptr<detail::PoolCore>& core = pool_.shared_core();
      return Future<R>(std::make_shared<detail::PoolFuture<R>>(
          core, detail::PoolCallsImpl::start<Task>(core, "ProcessPoolExecutor::submit", {}, f, true,
                                                   args...)));
    }
  }

  /// Runs `f(element)` for every element; of several ranges `f(first, second, ...)` for those at the
  /// same place, up to the end of the shortest.
  /// \returns the results, lazily and in order, as Pool::imap: an error is thrown at its element,
  ///   and the stream goes on behind it. A range given as an rvalue is kept, another must outlive
  ///   the stream
  template <class F, std::ranges::input_range... Range>
  requires(sizeof...(Range) != 0) [[nodiscard]] auto map(F f, Range&&... ranges) {
    if constexpr (sizeof...(Range) == 1) {
      return pool_.with({.window = kMapWindow}).imap(f, std::forward<Range>(ranges)...);
    } else {
      return pool_.with({.window = kMapWindow})
          .istarmap(f, detail::Zip<Range...>(std::forward<Range>(ranges)...));
    }
  }

  /// No further calls are taken: `submit` and `map` throw Closed. What a stream of `map` has not read
  /// from its ranges when all else has ended is not run. May be called again.
  /// \param wait until all calls have ended and the workers are gone; else returns at once, and the
  ///   destructor waits
  /// \param cancel_futures ends with Cancelled what no worker has been given yet
  void shutdown(bool wait = true, bool cancel_futures = false) {
    pool_.close();
    if (cancel_futures) pool_.shared_core()->cancel_unsent("ProcessPoolExecutor::shutdown");
    if (wait) pool_.join();
  }

  /// The pool underneath, for its other calls, options and statistics.
  [[nodiscard]] Pool& pool() noexcept { return pool_; }

 private:
  static constexpr std::size_t kMapWindow = 256;

  Pool pool_;
};

}  // namespace tandem
