/// \file
/// What runs in a manager's server for ObjectProxy: constructors and methods of the program's
/// classes.
#pragma once

#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/call.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/detail/manager_protocol.hpp"
#include "tandem/sendable.hpp"

namespace tandem::detail {

template <class T>
using MethodThunk = void(T& object, Decoder& arguments, Encoder& result);

/// What a pointer to a member function says.
template <class M>
struct Method;
template <class C, class R, class... P>
struct Method<R (C::*)(P...)> {
  using Class = C;
  using Result = std::remove_cvref_t<R>;
  using Arguments = std::tuple<std::remove_cvref_t<P>...>;
  static constexpr std::size_t kParameters = sizeof...(P);
  static constexpr bool kSendable =
      (Sendable<std::remove_cvref_t<P>> && ...) && (std::is_void_v<R> || Sendable<Result>);

  template <class... A>
  static void encode(Encoder& to, A&&... args) {
    (encode_value<std::remove_cvref_t<P>>(
         to, static_cast<const std::remove_cvref_t<P>&>(
                 convert<std::remove_cvref_t<P>>(std::forward<A>(args)))),
     ...);
  }
  [[nodiscard]] static Arguments decode(Decoder& from) {
    return Arguments{decode_value<std::remove_cvref_t<P>>(from)...};  // braces: in this order
  }
  template <class T, class M, std::size_t... i>
  static decltype(auto) call(T& object, M method, Arguments& arguments, std::index_sequence<i...>) {
    return (object.*method)(static_cast<P&&>(std::get<i>(arguments))...);
  }

 private:
  /// The argument itself where it is of the parameter's type, else what it converts to.
  template <class Parameter, class A>
  static decltype(auto) convert(A&& arg) {
    if constexpr (std::is_same_v<std::remove_cvref_t<A>, Parameter>) {
      return static_cast<const Parameter&>(arg);
    } else {
      return static_cast<Parameter>(std::forward<A>(arg));
    }
  }
};
template <class C, class R, class... P>
struct Method<R (C::*)(P...) const> : Method<R (C::*)(P...)> {};
template <class C, class R, class... P>
struct Method<R (C::*)(P...) noexcept> : Method<R (C::*)(P...)> {};
template <class C, class R, class... P>
struct Method<R (C::*)(P...) const noexcept> : Method<R (C::*)(P...)> {};

template <auto method, class T>
concept MethodOf = std::is_member_function_pointer_v<decltype(method)> &&
    std::is_base_of_v<typename Method<decltype(method)>::Class, T>;

template <class T, auto method>
void method_thunk(T& object, Decoder& from, Encoder& result) {
  using M = Method<decltype(method)>;
  static_assert(M::kSendable,
                "ObjectProxy::call: the method's parameters and result must be Sendable");
  typename M::Arguments arguments = M::decode(from);
  from.expect_end();
  constexpr auto kAll = std::make_index_sequence<M::kParameters>{};
  if constexpr (std::is_void_v<typename M::Result>) {
    M::call(object, method, arguments, kAll);
  } else {
    encode_value<typename M::Result>(result, M::call(object, method, arguments, kAll));
  }
}

template <class T>
class HeldObjectOf final : public HeldObject {
 public:
  template <class... A>
  explicit HeldObjectOf(std::tuple<A...>& arguments)
      : HeldObjectOf(arguments, std::index_sequence_for<A...>{}) {}

  void call(FunctionPlace method, Decoder& arguments, Encoder& result) override {
    resolve(ThunkKey<MethodThunk<T>>{method})(object_, arguments, result);
  }

 private:
  template <class... A, std::size_t... i>
  HeldObjectOf(std::tuple<A...>& arguments,
               std::index_sequence<i...>) requires(std::is_constructible_v<T, A...>)
      : object_(std::move(std::get<i>(arguments))...) {}
  template <class... A, std::size_t... i>
  HeldObjectOf(std::tuple<A...>& arguments,
               std::index_sequence<i...>) requires(!std::is_constructible_v<T, A...>)
      : object_{std::move(std::get<i>(arguments))...} {}

  T object_;
};

template <class T, class... A>
[[nodiscard]] std::unique_ptr<HeldObject> make_thunk(Decoder& from) {
  std::tuple<A...> arguments{decode_value<A>(from)...};  // braces: in this order
  from.expect_end();
  return std::make_unique<HeldObjectOf<T>>(arguments);
}

}  // namespace tandem::detail
