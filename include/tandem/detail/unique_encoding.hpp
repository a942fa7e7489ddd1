/// \file
/// Types whose equal values have equal bytes, so that a server that knows only bytes can compare.
#pragma once

#include <type_traits>

#include "tandem/detail/kind.hpp"
#include "tandem/sendable.hpp"

namespace tandem {

/// Specialise as true for a type whose cereal functions write the same bytes for equal values and
/// different bytes for different ones. Other types need not: it is known of them.
template <class T>
inline constexpr bool enable_unique_encoding = false;

namespace detail {

template <class T, class... Seen>
[[nodiscard]] consteval bool is_uniquely_encoded();

template <class List, class... Seen>
inline constexpr bool kAllUniquelyEncoded = false;
template <class... T, class... Seen>
inline constexpr bool kAllUniquelyEncoded<TypeList<T...>, Seen...> =
    (is_uniquely_encoded<std::remove_cv_t<T>, Seen...>() && ...);

template <class T, class... Seen>
consteval bool is_uniquely_encoded() {
  if constexpr ((std::is_same_v<T, Seen> || ...) || enable_unique_encoding<T>) {
    return true;
  } else {
    switch (kKind<T>) {
      case Kind::boolean:
      case Kind::empty:
        return true;
      case Kind::raw:
        return std::has_unique_object_representations_v<T>;  // no padding, no floating point
      case Kind::string:
      case Kind::sequence:
      case Kind::array:
      case Kind::product:
      case Kind::optional:
      case Kind::variant:
        return kAllUniquelyEncoded<typename Standard<T>::Parts, Seen...>;
      case Kind::set:
      case Kind::map:
        // An unordered container walks equal contents in any order.
        return !requires { typename T::hasher; }
        &&kAllUniquelyEncoded<typename Standard<T>::Parts, Seen...>;
      case Kind::aggregate:
        if constexpr (kKind<T> == Kind::aggregate) {
          return kAllUniquelyEncoded<Members<T>, T, Seen...>;
        } else {
          return false;
        }
      case Kind::none:
      case Kind::handle:
      case Kind::functions:
      case Kind::path:  // path("a//b") == path("a/b")
      case Kind::unique_pointer:
      case Kind::shared_pointer:
        return false;
    }
    return false;
  }
}

}  // namespace detail

/// One encoding per value: no padding, no floating point, no unordered containers.
template <class T>
concept UniquelyEncoded = Sendable<T> && detail::is_uniquely_encoded<T>();

}  // namespace tandem
