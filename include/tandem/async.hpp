/// \file
/// One call in a process of its own, while its caller goes on.
///
///     tandem::Future<int> answer = tandem::async(compute, 6, 7);
///     std::cout << answer.get() << '\n';
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "tandem/detail/async_call.hpp"
#include "tandem/detail/callable.hpp"
#include "tandem/future.hpp"
#include "tandem/process.hpp"

namespace tandem {

/// Starts a Process that calls f(args...) and sends what that returns or throws.
///
/// The process lives as a Process does whose object is the Future: letting go of it waits for the
/// end of the call, and ends it first if it is a daemon or while an exception unwinds. A result that
/// nobody fetches is kept in the process as far as its pipe does not hold it.
/// \returns the outcome to be. A process that ends before it has one (killed, std::exit) makes it
///   WorkerDied
/// \throws StartError, NotSendable as Process::start
template <class F, class... A>
auto async(ProcessOptions options, F&& f, A&&... args) {
  detail::require_sendable_call<F, A...>();
  if constexpr (SendableCall<F, A...>) {
    using R = detail::CallResult<F, A...>;
    return Future<R>(std::make_shared<detail::ProcessCall<R>>(
        std::move(options),
        detail::AsyncCall<R, std::decay_t<F>, detail::Argument<A>...>{std::forward<F>(f)},
        std::forward<A>(args)...));
  }
}
/// With the options a Process has by default.
template <class F, class... A>
requires(!detail::kProcessOption<std::decay_t<F>>) auto async(F&& f, A&&... args) {
  return async(ProcessOptions{}, std::forward<F>(f), std::forward<A>(args)...);
}

}  // namespace tandem
