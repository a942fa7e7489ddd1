/// \file
/// Calls as bytes. What crosses is never an address but the place of a function in its module.
#pragma once

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tandem/detail/codec.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/type_name.hpp"
#include "tandem/sendable.hpp"

namespace tandem::detail {

/// A function's place: the build id of its module, hashed, and its offset there.
struct FunctionPlace {
  std::uint64_t module;
  std::uint64_t offset;
  friend bool operator==(const FunctionPlace&, const FunctionPlace&) = default;
};

using AnyFunction = void (*)();

/// \throws NotSendable when no loaded module has it, as for code generated at run time
[[nodiscard]] TANDEM_EXPORT FunctionPlace place_of(AnyFunction function);
/// \throws DecodeError unless the place is code of a module that is loaded here
[[nodiscard]] TANDEM_EXPORT AnyFunction function_at(FunctionPlace place);

struct ListedThunk;

/// A function that other processes may ask to be run. Listed while its module is loaded.
class TANDEM_EXPORT ThunkEntry {
 public:
  ThunkEntry(AnyFunction function, std::uint64_t signature);
  ThunkEntry(const ThunkEntry&) = delete;
  ThunkEntry& operator=(const ThunkEntry&) = delete;
  ~ThunkEntry();

  [[nodiscard]] FunctionPlace place() const;

 private:
  ListedThunk* listed_;
  AnyFunction function_;
};

/// \throws DecodeError unless a function of this signature is listed at the place
[[nodiscard]] TANDEM_EXPORT AnyFunction find_thunk(FunctionPlace place, std::uint64_t signature);

template <class Sig>
inline constexpr std::uint64_t kSignature = hash_type_name(type_name<Sig>());

/// Names a registered function of signature Sig to a process of the same build.
template <class Sig>
struct ThunkKey {
  FunctionPlace place;
};

template <class Sig, Sig* function>
struct Thunk {
  static inline ThunkEntry entry{reinterpret_cast<AnyFunction>(function), kSignature<Sig>};
};

/// The key of a function, which is listed from load time on in every program that contains this
/// call.
template <class Sig, Sig* function>
[[nodiscard]] ThunkKey<Sig> thunk_key() {
  return {Thunk<Sig, function>::entry.place()};
}

/// \throws DecodeError when this process has no such function
template <class Sig>
[[nodiscard]] Sig* resolve(ThunkKey<Sig> key) {
  return reinterpret_cast<Sig*>(find_thunk(key.place, kSignature<Sig>));
}

/// The callable's state only: nothing for a lambda without captures.
template <class F>
void encode_callable(Encoder& to, const F& f) {
  static_assert(is_sendable_callable<F>());
  if constexpr (kIsFunctionPointer<F>) {
    if (f == nullptr) throw_not_sendable("a null function pointer");
    to.write_raw(place_of(reinterpret_cast<AnyFunction>(f)));
  } else {
    encode_value(to, f);
  }
}

template <class F>
[[nodiscard]] F decode_callable(Decoder& from) {
  static_assert(is_sendable_callable<F>());
  if constexpr (kIsFunctionPointer<F>) {
    return reinterpret_cast<F>(function_at(from.read_raw<FunctionPlace>()));
  } else {
    return decode_value<F>(from);
  }
}

/// \param result may be null: what the call returns is dropped
using CallThunk = void(Decoder& from, Encoder* result);

template <class F, class... A>
void run_thunk(Decoder& from, Encoder* result) {
  F f = decode_callable<F>(from);
  std::tuple<A...> args{decode_value<A>(from)...};  // braces: in this order
  using Call = Invocation<F, A...>;
  using Result = CallResult<F, A...>;
  if constexpr (std::is_void_v<Result>) {
    Call::call(f, args);
  } else if constexpr (Sendable<Result>) {
    if (result == nullptr) {
      static_cast<void>(Call::call(f, args));
    } else {
      encode_value<Result>(*result, Call::call(f, args));
    }
  } else {
    if (result != nullptr)
      throw_not_sendable("the call's result is of a type that is not Sendable");
    static_cast<void>(Call::call(f, args));
  }
}

template <class A, class Given>
void encode_argument(Encoder& to, const Given& given) {
  if constexpr (std::is_same_v<A, Given>) {
    encode_value(to, given);
  } else {
    const Encoder::Passing passing(to);
    encode_value(to, A(given));  // a string literal
  }
}

/// A whole call, to be made once elsewhere by `run_call`.
template <class F, class... A>
void encode_call(Encoder& to, const F& f, const A&... args) {
  require_sendable_call<F, A...>();
  if constexpr (SendableCall<F, A...>) {
    using Callable = std::decay_t<F>;
    to.write_raw(thunk_key<CallThunk, &run_thunk<Callable, Argument<A>...>>().place);
    encode_callable<Callable>(to, f);
    (encode_argument<Argument<A>>(to, args), ...);
  }
}

/// Decodes a call and makes it. What it returns is dropped; what it throws passes through.
/// \throws DecodeError when the bytes are not a call of this program
inline void run_call(Decoder& from) {
  resolve(ThunkKey<CallThunk>{from.read_raw<FunctionPlace>()})(from, nullptr);
}
/// The same; what it returns is encoded (nothing for void). \throws NotSendable when it cannot be
inline void run_call(Decoder& from, Encoder& result) {
  resolve(ThunkKey<CallThunk>{from.read_raw<FunctionPlace>()})(from, &result);
}

}  // namespace tandem::detail
