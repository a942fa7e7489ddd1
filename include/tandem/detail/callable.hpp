/// \file
/// Which calls can cross to another process, and how their arguments are passed when they are made.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tandem/detail/kind.hpp"

namespace tandem {

namespace detail {

/// A lambda whose user vouches that its captures are plain values.
template <class F>
class ByValue {
 public:
  explicit ByValue(F f) : f_(std::move(f)) {}

  template <class... A>
  requires std::is_invocable_v<F&, A...>
  decltype(auto) operator()(A&&... args) { return f_(std::forward<A>(args)...); }
  template <class... A>
  requires std::is_invocable_v<const F&, A...>
  decltype(auto) operator()(A&&... args) const { return f_(std::forward<A>(args)...); }

 private:
  F f_;
};

/// What an argument of type A is kept as until the call: a copy without reference and const, as
/// std::thread does; a string literal as a std::string.
template <class A, class Bare = std::remove_cvref_t<A>>
using Argument =
    std::conditional_t<std::is_array_v<Bare> &&
                           std::is_same_v<std::remove_cv_t<std::remove_extent_t<Bare>>, char>,
                       std::string, std::decay_t<A>>;

template <class F>
inline constexpr bool kIsFunctionPointer =
    std::is_pointer_v<F>&& std::is_function_v<std::remove_pointer_t<F>>;

/// Whether the callable itself can cross. F is decayed.
template <class F>
[[nodiscard]] consteval bool is_sendable_callable() {
  if constexpr (kIsFunctionPointer<F>) {
    return true;
  } else if constexpr (std::is_class_v<F>) {
    return is_sendable<F>();
  } else {
    return false;
  }
}

template <class F>
struct Parameters {
  static constexpr bool known = false;
};
template <class... P>
struct ParametersOf {
  static constexpr bool known = true;
  static constexpr std::size_t count = sizeof...(P);
  /// A parameter that refers to something it may change must be given an object that has a name.
  static constexpr std::array<bool, sizeof...(P) + 1> mutable_reference = {
      (std::is_lvalue_reference_v<P> && !std::is_const_v<std::remove_reference_t<P>>)..., false};
};
template <class R, class... P>
struct Parameters<R (*)(P...)> : ParametersOf<P...> {};
template <class R, class... P>
struct Parameters<R (*)(P...) noexcept> : ParametersOf<P...> {};
template <class R, class C, class... P>
struct Parameters<R (C::*)(P...)> : ParametersOf<P...> {};
template <class R, class C, class... P>
struct Parameters<R (C::*)(P...) const> : ParametersOf<P...> {};
template <class R, class C, class... P>
struct Parameters<R (C::*)(P...) noexcept> : ParametersOf<P...> {};
template <class R, class C, class... P>
struct Parameters<R (C::*)(P...) const noexcept> : ParametersOf<P...> {};
template <class F>
requires(std::is_class_v<F>&& requires { &F::operator(); }) struct Parameters<F>
    : Parameters<decltype(&F::operator())> {
};

enum class Passing : unsigned char { none, by_signature, moved, named };

template <class F, class... A, std::size_t... I>
[[nodiscard]] consteval bool fits_signature(TypeList<A...>, std::index_sequence<I...>) {
  return std::is_invocable_v<F&,
                             std::conditional_t<Parameters<F>::mutable_reference[I], A&, A&&>...>;
}

template <class F, class... A>
[[nodiscard]] consteval Passing find_passing() {
  if constexpr (Parameters<F>::known) {
    if constexpr (Parameters<F>::count == sizeof...(A)) {
      return fits_signature<F>(TypeList<A...>{}, std::index_sequence_for<A...>{})
                 ? Passing::by_signature
                 : Passing::none;
    } else {
      return Passing::none;
    }
  } else {
    return std::is_invocable_v<F&, A&&...>  ? Passing::moved
           : std::is_invocable_v<F&, A&...> ? Passing::named
                                            : Passing::none;
  }
}

/// How F is called with stored objects of types A: as its signature asks if that is known, else all
/// of them moved in, else all of them as the named objects they are.
template <class F, class... A>
struct Invocation {
  static constexpr Passing passing = find_passing<F, A...>();

  template <std::size_t I>
  static consteval bool is_named() {
    if constexpr (passing == Passing::by_signature) {
      return Parameters<F>::mutable_reference[I];
    } else {
      return passing == Passing::named;
    }
  }
  /// \param args a tuple of A...
  template <class Tuple>
  static decltype(auto) call(F& f, Tuple& args) {
    return call(f, args, std::index_sequence_for<A...>{});
  }
  template <class Tuple, std::size_t... I>
  static decltype(auto) call(F& f, Tuple& args, std::index_sequence<I...>) {
    return std::invoke(
        f, static_cast<std::conditional_t<is_named<I>(), A&, A&&>>(std::get<I>(args))...);
  }
};

/// What a call returns, as a value. Void stays void.
template <class F, class... A>
using CallResult = std::remove_cvref_t<decltype(Invocation<std::decay_t<F>, Argument<A>...>::call(
    std::declval<std::decay_t<F>&>(), std::declval<std::tuple<Argument<A>...>&>()))>;

template <class F, class... A>
[[nodiscard]] consteval bool is_sendable_call() {
  using Callable = std::decay_t<F>;
  if constexpr (!is_sendable_callable<Callable>() || !(is_sendable<Argument<A>>() && ...)) {
    return false;
  } else {
    return Invocation<Callable, Argument<A>...>::passing != Passing::none;
  }
}

/// Refuses, with a message that helps, a call that cannot cross.
template <class F, class... A>
consteval void require_sendable_call() {
  using Callable = std::decay_t<F>;
  constexpr bool captures = kIsClosure<Callable> && !kIsPlainClosure<Callable>;
  static_assert(!captures,
                "tandem: a lambda with captures cannot cross to another process. Pass the value as "
                "an argument; or wrap the lambda in tandem::by_value(lambda) if its captures are "
                "plain values; or start the process with tandem::start::fork.");
  if constexpr (!captures) {
    static_assert(is_sendable_callable<Callable>(),
                  "tandem: this callable cannot cross to another process. Use a function, a lambda "
                  "without captures, or a function object that has cereal functions or is an "
                  "aggregate of Sendable members.");
    static_assert((is_sendable<Argument<A>>() && ...),
                  "tandem: an argument is not Sendable: pointers, references, string_view, span, "
                  "iterators and types without cereal functions cannot cross to another process.");
    if constexpr (is_sendable_callable<Callable>() && (is_sendable<Argument<A>>() && ...)) {
      static_assert(Invocation<Callable, Argument<A>...>::passing != Passing::none,
                    "tandem: the callable cannot be called with copies of these arguments.");
    }
  }
}

}  // namespace detail
}  // namespace tandem
