/// \file
/// The outcome of a call that another process makes: one of its own (async) or one of a pool's
/// (ProcessPoolExecutor). Several of them at once: as_completed.hpp.
///
///     tandem::Future<double> area = tandem::async(integrate, 0.0, 1.0);
///     prepare();
///     std::cout << area.get() << '\n';
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "tandem/detail/deadline.hpp"
#include "tandem/error.hpp"

namespace tandem {

namespace detail {

class Completions;
class WaitSource;

/// Where a Future's outcome comes from: a process of its own, a pool. Any thread.
class AnyFutureSource {
 public:
  AnyFutureSource() = default;
  AnyFutureSource(const AnyFutureSource&) = delete;
  AnyFutureSource& operator=(const AnyFutureSource&) = delete;
  virtual ~AnyFutureSource() = default;

  /// \returns whether there is an outcome
  [[nodiscard]] virtual bool wait(Deadline deadline) = 0;
  /// \see Future::cancel
  virtual bool cancel() = 0;
  /// The outcome if it is an error, else null. There is an outcome.
  [[nodiscard]] virtual std::exception_ptr error() = 0;

  /// Adds `index` to `to` once there is an outcome, at once if there is one already.
  virtual void report_to(std::shared_ptr<Completions> to, std::size_t index) = 0;
  virtual void forget(const Completions& to) noexcept = 0;
  /// For an outcome that only `wait` fetches: what is ready when it may find one. Else null.
  [[nodiscard]] virtual WaitSource* arrival() noexcept { return nullptr; }
  /// What brings the outcomes of this and other calls: a pool. Null if nothing does.
  [[nodiscard]] virtual const void* driver() const noexcept { return nullptr; }
  /// Does the driver's work until something was added to `to` or the time is up.
  virtual void drive(Completions& /*to*/, Deadline /*deadline*/) {}
};

template <class R>
class FutureSource : public AnyFutureSource {
 public:
  /// Waits for it. \param take false: leaves it in place, and R can be copied
  virtual R get(bool take) = 0;
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
  [[nodiscard]] detail::FutureSource<R>& source() const {
    if (source_ == nullptr) throw Error("Future: it has no call, or was moved from");
    return *source_;
  }

 private:
  std::shared_ptr<detail::FutureSource<R>> source_;
};

}  // namespace tandem
