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

/// f(element)
template <class F, class T>
struct MapTask {
  using Function = F;
  using Result = CallResult<F, T>;
  static decltype(auto) call(F& f, Decoder& from) {
    std::tuple<T> arguments{decode<T>(from)};
    from.expect_end();
    return Invocation<F, T>::call(f, arguments);
  }
};

/// f(args...), each encoded by itself
template <class F, class... A>
struct ApplyTask {
  using Function = F;
  using Result = CallResult<F, A...>;
  static decltype(auto) call(F& f, Decoder& from) {
    std::tuple<A...> arguments{decode<A>(from)...};  // braces: in this order
    from.expect_end();
    return Invocation<F, A...>::call(f, arguments);
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
  static decltype(auto) call(F& f, Decoder& from) {
    std::tuple<A...> arguments(decode<Tuple<A...>>(from));
    from.expect_end();
    return Invocation<F, A...>::call(f, arguments);
  }
};

template <class Task>
void run_chunk(ChunkRun& run) {
  std::optional<typename Task::Function> f;
  while (run.next()) {
    try {
      if (!f) {
        Decoder from = run.callable();
        f.emplace(decode_callable<typename Task::Function>(from));
      }
      if constexpr (std::is_void_v<typename Task::Result>) {
        Task::call(*f, run.element());
        run.succeed();
      } else {
        const typename Task::Result& result = Task::call(*f, run.element());
        encode(run.result(), result);
        run.succeed();
      }
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
