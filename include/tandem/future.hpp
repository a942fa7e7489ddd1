/// \file
/// The outcome of a call that another process makes.
///
///     tandem::Future<double> area = tandem::async(integrate, 0.0, 1.0);
///     prepare();
///     std::cout << area.get() << '\n';
#pragma once

#include <chrono>
#include <memory>
#include <type_traits>
#include <utility>

#include "tandem/detail/deadline.hpp"
#include "tandem/error.hpp"

namespace tandem {

namespace detail {

/// Where a Future's outcome comes from: a process of its own, a pool. Any thread.
template <class R>
class FutureSource {
 public:
  FutureSource() = default;
  FutureSource(const FutureSource&) = delete;
  FutureSource& operator=(const FutureSource&) = delete;
  virtual ~FutureSource() = default;

  /// \returns whether there is an outcome
  [[nodiscard]] virtual bool wait(Deadline deadline) = 0;
  /// Waits for it. \param take false: leaves it in place, and R can be copied
  virtual R get(bool take) = 0;
  /// \see Future::cancel
  virtual bool cancel() = 0;
};

}  // namespace detail

/// Names one call. Move-only; what letting go of it means, the function that made it says.
///
/// Its members may be called by any thread.
template <class R>
class Future {
 public:
  /// Without a call: every use throws Error.
  Future() = default;
  Future(const Future&) = delete;
  Future& operator=(const Future&) = delete;
  Future(Future&&) noexcept = default;
  Future& operator=(Future&&) noexcept = default;

  /// Waits for the result and returns a copy of it, or moves it out if it cannot be copied.
  /// \throws what the call threw; WorkerDied when its process ended before it returned; Cancelled;
  ///   Error when an earlier call moved the result out
  R get() & { return source().get(!std::is_void_v<R> && !std::is_copy_constructible_v<R>); }
  /// As above, and always moves the result out.
  R get() && { return source().get(true); }

  /// Waits until there is an outcome, result or error.
  void wait() const { static_cast<void>(source().wait(detail::Deadline::never())); }
  /// \returns false when the time was up first
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> d) const {
    return source().wait(detail::Deadline::after(d));
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] bool wait_until(
      std::chrono::time_point<std::chrono::steady_clock, Duration> tp) const {
    return source().wait(detail::Deadline::at(tp));
  }
  /// Whether `get` would not wait.
  [[nodiscard]] bool ready() const { return source().wait(detail::Deadline::now()); }

  /// Ends the call, which then has the outcome Cancelled. \returns false when it had another already
  bool cancel() { return source().cancel(); }

  // For the library.
  explicit Future(std::shared_ptr<detail::FutureSource<R>> source) noexcept
      : source_(std::move(source)) {}

 private:
  [[nodiscard]] detail::FutureSource<R>& source() const {
    if (source_ == nullptr) throw Error("Future: it has no call, or was moved from");
    return *source_;
  }

  std::shared_ptr<detail::FutureSource<R>> source_;
};

}  // namespace tandem
