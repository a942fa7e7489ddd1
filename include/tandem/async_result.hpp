/// \file
/// The outcome of a call that a pool runs while its caller goes on.
///
///     tandem::AsyncResult<int> answer = pool.apply_async(compute, 6, 7);
///     answer.on_result([](int& value) { std::cout << value << '\n'; });
///     use(answer.get());
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/pool_results.hpp"
#include "tandem/error.hpp"

namespace tandem {

namespace detail {
struct PoolCallsImpl;
}

/// Names one call of a Pool. Letting go of it does not stop the call. Stays usable after the pool's
/// end: every call has its outcome by then.
///
/// Whoever waits here dispatches the pool's work meanwhile. Any thread.
template <class R>
class AsyncResult {
 public:
  AsyncResult(const AsyncResult&) = delete;
  AsyncResult& operator=(const AsyncResult&) = delete;
  AsyncResult(AsyncResult&&) noexcept = default;
  AsyncResult& operator=(AsyncResult&&) noexcept = default;

  /// Waits for the result and returns a copy of it, or moves it out if it cannot be copied.
  /// \throws the task's error, of several the one with the lowest index; WorkerDied; Cancelled;
  ///   Error when an earlier call moved the result out
  R get() & {
    detail::PoolCore::Lock lock = wait_settled();
    if constexpr (std::is_void_v<R> || std::is_copy_constructible_v<R>) {
      return batch_->copy();
    } else {
      return batch_->take();
    }
  }
  /// As above, and always moves the result out.
  R get() && {
    detail::PoolCore::Lock lock = wait_settled();
    return batch_->take();
  }

  /// Waits until there is an outcome and its callbacks have run.
  void wait() const { static_cast<void>(wait_settled()); }
  /// \returns false when the time was up first
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> d) const {
    return wait(detail::Deadline::after(d));
  }
  /// The same, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] bool wait_until(
      std::chrono::time_point<std::chrono::steady_clock, Duration> tp) const {
    return wait(detail::Deadline::at(tp));
  }
  /// Whether `get` would not wait.
  [[nodiscard]] bool ready() const {
    detail::PoolCore::Lock lock = core_->lock();
    return batch_->settled(core_->on_background_thread());
  }
  /// Whether the outcome is a result. \throws Error when there is none yet
  [[nodiscard]] bool successful() const {
    detail::PoolCore::Lock lock = core_->lock();
    if (!batch_->complete()) throw Error("AsyncResult::successful: the call has not ended");
    return batch_->succeeded();
  }
  /// Ends with Cancelled what has not been begun, and what is running, by killing its worker. A
  /// task whose outcome is on its way keeps it. \returns whether there was any to end
  bool cancel() { return core_->cancel(batch_); }

  /// Has `f(R&)` (for void `f()`) called on the pool's background thread when there is a result, at
  /// once if it is there already. Where `f` throws, a line is logged. May call into the pool.
  template <class F>
  AsyncResult& on_result(F f) {
    detail::PoolCore::Lock lock = core_->lock();
    batch_->check_not_taken();
    if constexpr (std::is_void_v<R>) {
      batch_->on_result([f = std::move(f)](std::monostate&) mutable { f(); });
    } else {
      batch_->on_result([f = std::move(f)](R& value) mutable { f(value); });
    }
    core_->run_callbacks(lock, batch_);
    return *this;
  }
  /// The same with `f(std::exception_ptr)` when the call ends with an error.
  template <class F>
  AsyncResult& on_error(F f) {
    detail::PoolCore::Lock lock = core_->lock();
    batch_->on_error(std::move(f));
    core_->run_callbacks(lock, batch_);
    return *this;
  }

 private:
  friend struct detail::PoolCallsImpl;
  AsyncResult(std::shared_ptr<detail::PoolCore> core,
              std::shared_ptr<detail::OutcomeBatch<R>> batch)
      : core_(std::move(core)), batch_(std::move(batch)) {}

  [[nodiscard]] bool wait(detail::Deadline deadline) const {
    detail::PoolCore::Lock lock = core_->lock();
    return core_->wait(lock, batch_, false, deadline);
  }
  [[nodiscard]] detail::PoolCore::Lock wait_settled() const {
    detail::PoolCore::Lock lock = core_->lock();
    static_cast<void>(core_->wait(lock, batch_, false, detail::Deadline::never()));
    return lock;
  }

  std::shared_ptr<detail::PoolCore> core_;
  std::shared_ptr<detail::OutcomeBatch<R>> batch_;
};

}  // namespace tandem
