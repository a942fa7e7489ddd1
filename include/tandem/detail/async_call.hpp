/// \file
/// Both ends of a call in a process of its own.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "tandem/detail/call.hpp"
#include "tandem/detail/completions.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/exception.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/error.hpp"
#include "tandem/future.hpp"
#include "tandem/pipe.hpp"
#include "tandem/process.hpp"

namespace tandem::detail {

/// What a call came to, on its way home: a flag, then the result or the exception.
template <class R>
struct AsyncOutcome {
  using TandemHandle = void;
  using Value = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

  std::optional<Value> value = {};
  std::exception_ptr error = {};

  void save(Encoder& to) const {
    to.write_raw(value.has_value());
    if (value) {
      encode_value(to, *value);
    } else {
      save_error(to);
    }
  }
  [[nodiscard]] static AsyncOutcome detail_decode(Decoder& from) {
    AsyncOutcome outcome;
    if (from.read_raw<bool>()) {
      outcome.value.emplace(decode_value<Value>(from));
    } else {
      outcome.error = decode_exception(from);
    }
    return outcome;
  }

 private:
  void save_error(Encoder& to) const;
};

/// "async in Process-3 (pid 4711)", of this process.
[[nodiscard]] TANDEM_EXPORT std::string async_place();
/// What is to be said about the process, which ends without having sent an outcome.
[[nodiscard]] TANDEM_EXPORT std::exception_ptr death_before_outcome(Process& process);

template <class R>
void AsyncOutcome<R>::save_error(Encoder& to) const {
  encode_exception(to, error, async_place());
}

/// The target of the process.
template <class R, class F, class... A>
struct AsyncCall {
  using TandemHandle = void;
  F f;

  void save(Encoder& to) const { encode_callable<F>(to, f); }
  [[nodiscard]] static AsyncCall detail_decode(Decoder& from) {
    return AsyncCall{decode_callable<F>(from)};
  }

  void operator()(Writer<AsyncOutcome<R>> home, A... args) {
    try {
      home.send(call(std::tuple<A...>(std::move(args)...)));
    } catch (const EndOfFile&) {
      // Nobody waits for it any more.
    } catch (...) {  // the result cannot be encoded
      home.send(AsyncOutcome<R>{.error = std::current_exception()});
    }
  }

 private:
  [[nodiscard]] AsyncOutcome<R> call(std::tuple<A...> args) {
    AsyncOutcome<R> outcome;
    try {
      if constexpr (std::is_void_v<R>) {
        Invocation<F, A...>::call(f, args);
        outcome.value.emplace();
      } else {
        outcome.value.emplace(Invocation<F, A...>::call(f, args));
      }
    } catch (...) {
      outcome.error = std::current_exception();
    }
    return outcome;
  }
};

/// The caller's end. One of the threads that wait receives, the others wait for it.
template <class R>
class ProcessCall final : public FutureSource<R> {
 public:
  template <class Call, class... A>
  ProcessCall(ProcessOptions options, Call call, A&&... args)
      : ProcessCall(OneWayPipe<AsyncOutcome<R>>(), std::move(options), std::move(call),
                    std::forward<A>(args)...) {}

  [[nodiscard]] bool wait(Deadline deadline) override {
    std::unique_lock lock(mutex_);
    while (!outcome_) {
      if (receiving_) {
        if (!wait_for_receiver(lock, deadline)) return outcome_.has_value();
        continue;
      }
      receiving_ = true;
      lock.unlock();
      auto outcome = receive(deadline);
      lock.lock();
      receiving_ = false;
      const bool received = outcome.has_value();
      if (received) {
        outcome_ = std::move(outcome);
        reports_.make();
      }
      changed_.notify_all();
      if (!received) return false;
    }
    return true;
  }

  R get(bool take) override {
    static_cast<void>(wait(Deadline::never()));
    const std::lock_guard lock(mutex_);
    if (outcome_->error != nullptr) std::rethrow_exception(outcome_->error);
    if (!outcome_->value) throw Error("Future::get: an earlier get moved the result out");
    if constexpr (!std::is_void_v<R>) {
      if constexpr (std::is_copy_constructible_v<R>) {
        if (!take) return *outcome_->value;
      }
      R value = std::move(*outcome_->value);
      outcome_->value.reset();
      return value;
    } else {
      static_cast<void>(take);
    }
  }

  bool cancel() override {
    {
      const std::lock_guard lock(mutex_);
      if (outcome_) return false;
      cancelled_ = true;
    }
    process_.kill();
    static_cast<void>(wait(Deadline::never()));
    const std::lock_guard lock(mutex_);
    return outcome_is_cancelled_;
  }

  [[nodiscard]] std::exception_ptr error() override {
    const std::lock_guard lock(mutex_);
    return outcome_->error;
  }
  void report_to(std::shared_ptr<Completions> to, std::size_t index) override {
    const std::lock_guard lock(mutex_);
    reports_.add(std::move(to), index, outcome_.has_value());
  }
  void forget(const Completions& to) noexcept override {
    const std::lock_guard lock(mutex_);
    reports_.forget(to);
  }
  [[nodiscard]] WaitSource* arrival() noexcept override { return &from_.wait_source(); }

 private:
  template <class Call, class... A>
  ProcessCall(OneWayPipe<AsyncOutcome<R>> pipe, ProcessOptions options, Call call, A&&... args)
      : process_(std::move(options), std::move(call), std::move(pipe.second),
                 std::forward<A>(args)...),
        from_(std::move(pipe.first)) {
    process_.start();
  }

  [[nodiscard]] bool wait_for_receiver(std::unique_lock<std::mutex>& lock, Deadline deadline) {
    if (deadline.is_never()) {
      changed_.wait(lock);
      return true;
    }
    return changed_.wait_for(lock, deadline.left()) == std::cv_status::no_timeout;
  }

  /// \returns nothing when there was none by then. What cannot be received is an outcome, too.
  [[nodiscard]] std::optional<AsyncOutcome<R>> receive(Deadline deadline) {
    try {
      if (deadline.is_never()) return from_.recv();
      return from_.recv_for(deadline.left());
    } catch (const EndOfFile&) {
      std::exception_ptr death = death_before_outcome(process_);
      const std::lock_guard lock(mutex_);
      outcome_is_cancelled_ = cancelled_;
      if (cancelled_)
        death = std::make_exception_ptr(Cancelled("Future::get: the call was cancelled"));
      return AsyncOutcome<R>{.error = std::move(death)};
    } catch (...) {
      return AsyncOutcome<R>{.error = std::current_exception()};
    }
  }

  Process process_;
  Reader<AsyncOutcome<R>> from_;  // goes first: a process that still sends then ends
  std::mutex mutex_;
  std::condition_variable changed_;
  bool receiving_ = false;
  bool cancelled_ = false;
  bool outcome_is_cancelled_ = false;
  std::optional<AsyncOutcome<R>> outcome_;
  Reports reports_;
};

}  // namespace tandem::detail
