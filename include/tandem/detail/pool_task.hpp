/// \file
/// How one task is run in a worker: a thunk per kind of call.
#pragma once

#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tandem/detail/call.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/detail/pool_chunk.hpp"
#include "tandem/sendable.hpp"

namespace tandem::detail {

/// Gives `then` what `call` returns, or nothing for void, while what it was given still lives: the
/// result may be a reference to it.
template <class Result, class Call, class Then>
void pass_on(Call call, Then then) {
  if constexpr (std::is_void_v<Result>) {
    call();
    then();
  } else {
    const Result& result = call();
    then(result);
  }
}

/// f(element)
template <class F, class T>
struct MapTask {
  using Function = F;
  using Result = CallResult<F, T>;
  template <class Then>
  static void call(F& f, Decoder& from, Then then) {
    std::tuple<T> arguments{decode<T>(from)};
    from.expect_end();
    pass_on<Result>([&]() -> decltype(auto) { return Invocation<F, T>::call(f, arguments); }, then);
  }
};

/// f(args...), each encoded by itself
template <class F, class... A>
struct ApplyTask {
  using Function = F;
  using Result = CallResult<F, A...>;
  template <class Then>
  static void call(F& f, Decoder& from, Then then) {
    std::tuple<A...> arguments{decode<A>(from)...};  // braces: in this order
    from.expect_end();
    pass_on<Result>([&]() -> decltype(auto) { return Invocation<F, A...>::call(f, arguments); },
                    then);
  }
};

/// f(parts of the element...), which is a std::tuple or a std::pair
template <class F, class Element>
struct StarTask {
  static_assert(kIsA<std::tuple, Element> || kIsA<std::pair, Element>,
                "tandem: the elements of a starmap are tuples");
};
template <class F, template <class...> class Tuple, class... A>
requires(kIsA<std::tuple, Tuple<A...>> ||
         kIsA<std::pair, Tuple<A...>>) struct StarTask<F, Tuple<A...>> {
  using Function = F;
  using Result = CallResult<F, A...>;
  template <class Then>
  static void call(F& f, Decoder& from, Then then) {
    std::tuple<A...> arguments(decode<Tuple<A...>>(from));
    from.expect_end();
    pass_on<Result>([&]() -> decltype(auto) { return Invocation<F, A...>::call(f, arguments); },
                    then);
  }
};

template <class Task>
void run_chunk(ChunkRun& run) {
  std::optional<typename Task::Function> f;
  while (run.next()) {
    try {
      if (!f) {
        if constexpr (contains_functions<typename Task::Function>()) run.element().await_all();
        Decoder from = run.callable();
        f.emplace(decode_callable<typename Task::Function>(from));
      }
      Task::call(*f, run.element(), [&run](const auto&... result) {
        (encode(run.result(), result), ...);
        run.succeed();
      });
    } catch (...) {
      run.fail(std::current_exception());
    }
  }
}

/// \throws what encoding the callable's state throws
template <class Task>
[[nodiscard]] TaskCall make_task_call(const typename Task::Function& f) {
  TaskCall call;
  call.thunk = thunk_key<ChunkThunk, &run_chunk<Task>>();
  Encoder encoder(call.callable, Route::process, &call.descriptors);
  encode_callable(encoder, f);
  return call;
}

}  // namespace tandem::detail
