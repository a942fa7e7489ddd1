/// \file
/// Calls written down one by one and made side by side, as with Python's joblib.
///
///     auto calls = paths | std::views::transform([](const std::string& path) {
///                    return tandem::delayed(shrink)(path, 128);
///                  });
///     std::vector<Image> images = tandem::Parallel(4)(calls);
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <ranges>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/detail/call.hpp"
#include "tandem/pool.hpp"
#include "tandem/process.hpp"
#include "tandem/sendable.hpp"

namespace tandem {

/// A call that waits to be made: `f(args...)`, made by `delayed`. Sendable; each may be made once,
/// as its arguments are given away.
template <class F, class... A>
class Delayed {
 public:
  using TandemHandle = void;
  /// What the call returns.
  using Result = detail::CallResult<F, A...>;

  /// Made by `delayed`.
  template <class... B>
  explicit Delayed(F f, std::in_place_t, B&&... args)
      : f_(std::move(f)), args_(std::forward<B>(args)...) {}

  /// Makes it, here and now.
  Result operator()() { return detail::Invocation<F, A...>::call(f_, args_); }

  // For the library: crossing to a worker.
  void save(detail::Encoder& to) const {
    detail::encode_callable<F>(to, f_);
    std::apply([&](const A&... arg) { (detail::encode_value(to, arg), ...); }, args_);
  }
  [[nodiscard]] static Delayed detail_decode(detail::Decoder& from) {
    F f = detail::decode_callable<F>(from);
    return Delayed(std::move(f), std::tuple<A...>{detail::decode_value<A>(from)...});
  }

 private:
  Delayed(F f, std::tuple<A...> args) : f_(std::move(f)), args_(std::move(args)) {}

  F f_;
  std::tuple<A...> args_;
};

/// `delayed(f)(args...)` writes the call f(args...) down. Callable and arguments cross to workers as
/// those of a Process do (SendableCall).
template <class F>
[[nodiscard]] auto delayed(F f) {
  return [f = std::move(f)]<class... A>(A&&... args) {
    detail::require_sendable_call<F, A...>();
    return Delayed<F, detail::Argument<A>...>(f, std::in_place, std::forward<A>(args)...);
  };
}

/// How a Parallel is made.
struct ParallelOptions {
  /// Calls at a time. 0 and -1: one for each CPU; -2: one CPU is left alone, and so on. With 1 they
  /// are made in this process, unless the pool has an initializer or a finalizer.
  int n_jobs = -1;
  PoolOptions pool = {};   ///< `processes` is given by n_jobs
  TaskOptions tasks = {};  ///< `progress` shows how far it is
};

namespace detail {

struct MakeCall {
  template <class Waiting>
  auto operator()(Waiting waiting) const {
    return waiting();
  }
};

/// As it would arrive in a worker, for calls whose arguments have only one owner.
template <class Waiting>
[[nodiscard]] Waiting take_over_call(const Waiting& waiting) {
  if constexpr (std::is_copy_constructible_v<Waiting>) {
    return waiting;
  } else {
    Buffer buffer;
    std::vector<Fd> descriptors;
    Encoder to(buffer, Route::process, &descriptors);
    waiting.save(to);
    to.shipped();
    Decoder from(buffer.bytes(), Route::process, &descriptors);
    return Waiting::detail_decode(from);
  }
}

[[nodiscard]] inline std::size_t number_of_jobs(int n_jobs) {
  if (n_jobs > 0) return static_cast<std::size_t>(n_jobs);
  const std::size_t cpus = cpu_count();
  const auto left_alone =
      static_cast<std::size_t>(-static_cast<long long>(std::min(n_jobs, -1)) - 1);
  return left_alone < cpus ? cpus - left_alone : 1;
}

}  // namespace detail

/// Makes calls in worker processes. These are started with it, serve as many runs as wanted, and end
/// with it. Move-only; any thread may have it run calls.
class Parallel {
 public:
  /// \see ParallelOptions::n_jobs \throws StartError
  explicit Parallel(int n_jobs = -1) : Parallel(ParallelOptions{.n_jobs = n_jobs}) {}
  /// Under options. \throws StartError
  explicit Parallel(ParallelOptions options) : tasks_(std::move(options.tasks)) {
    if (options.n_jobs == 1 && !options.pool.initializer && !options.pool.finalizer) return;
    options.pool.processes = detail::number_of_jobs(options.n_jobs);
    pool_.emplace(std::move(options.pool));
  }

  /// Makes the calls of a range. One that is generated as it is read is read only as far as the
  /// workers need it.
  /// \param calls of one type: what `delayed(f)(...)` returned
  /// \returns their results in order; nothing for void
  /// \throws the error of the first call that failed, when those that were begun have ended;
  ///   WorkerDied
  template <std::ranges::input_range Calls>
  auto operator()(Calls&& calls) {
    if (pool_) return pool_->with(tasks_).map(detail::MakeCall{}, calls);
    return make_here(calls);
  }
  /// The same for calls that are written out.
  template <class F, class... A>
  auto operator()(std::initializer_list<Delayed<F, A...>> calls) {
    return (*this)(std::span(calls.begin(), calls.size()));
  }

  /// How many calls are made at a time.
  [[nodiscard]] std::size_t n_jobs() const { return pool_ ? pool_->size() : 1; }

 private:
  template <class Calls>
  static auto make_here(Calls& calls) {
    using One = std::ranges::range_value_t<Calls>;
    if constexpr (std::is_void_v<typename One::Result>) {
      for (const One& one : calls) detail::take_over_call(one)();
    } else {
      std::vector<typename One::Result> results;
      for (const One& one : calls) results.push_back(detail::take_over_call(one)());
      return results;
    }
  }

  std::optional<Pool> pool_;
  TaskOptions tasks_;
};

}  // namespace tandem
