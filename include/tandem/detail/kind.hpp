/// \file
/// What a type is to the archive: how it is encoded, of which parts it consists, whether it
/// may cross.
#pragma once

#include <array>
#include <cereal/cereal.hpp>
#include <chrono>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <tuple>
#include <type_traits>
#include <typeindex>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "tandem/detail/aggregate.hpp"
#include "tandem/detail/type_name.hpp"

namespace tandem::detail {

class Encoder;
class Decoder;

// Archives that nobody but the probing below knows: what serves them was written by the user. The
// empty base puts namespace cereal, where users write functions for others' types, into the lookup.
class OutputProbe : public cereal::detail::OutputArchiveBase,
                    public cereal::LoadAndConstruct<void> {
 public:
  using is_loading = std::false_type;
  using is_saving = std::true_type;
  template <class... T>
  OutputProbe& operator()(T&&...);
  template <class T>
  OutputProbe& operator&(T&&);
  template <class T>
  OutputProbe& operator<<(T&&);
};
class InputProbe : public cereal::detail::InputArchiveBase, public cereal::LoadAndConstruct<void> {
 public:
  using is_loading = std::true_type;
  using is_saving = std::false_type;
  template <class... T>
  InputProbe& operator()(T&&...);
  template <class T>
  InputProbe& operator&(T&&);
  template <class T>
  InputProbe& operator>>(T&&);
};

}  // namespace tandem::detail

CEREAL_SETUP_ARCHIVE_TRAITS(tandem::detail::InputProbe, tandem::detail::OutputProbe)

namespace tandem::detail {

enum class Kind : std::uint8_t {
  none,       // cannot cross
  handle,     // tandem's own: save and load, or detail_decode
  boolean,    // bool, and enums over it: one byte, read as zero or not
  raw,        // its bytes
  empty,      // no bytes: captureless closures and stateless function objects
  functions,  // the user's cereal functions
  string,     // basic_string
  sequence,   // vector, deque, list, forward_list
  set,        // (unordered_)(multi)set
  map,        // (unordered_)(multi)map
  array,      // std::array and, as a member, T[n]
  product,    // pair, tuple
  optional,
  variant,
  path,
  unique_pointer,
  shared_pointer,
  aggregate,  // its members in order
};

/// What is known of the templates of the standard library; `kind` is none for all other types.
template <class T>
struct Standard {
  static constexpr Kind kind = Kind::none;
  using Parts = TypeList<>;
};

template <Kind K, class... P>
struct StandardOf {
  static constexpr Kind kind = K;
  using Parts = TypeList<P...>;
};

template <class C, class A>
struct Standard<std::basic_string<C, std::char_traits<C>, A>> : StandardOf<Kind::string, C> {};
template <class T, class A>
struct Standard<std::vector<T, A>> : StandardOf<Kind::sequence, T> {};
template <class T, class A>
struct Standard<std::deque<T, A>> : StandardOf<Kind::sequence, T> {};
template <class T, class A>
struct Standard<std::list<T, A>> : StandardOf<Kind::sequence, T> {};
template <class T, class A>
struct Standard<std::forward_list<T, A>> : StandardOf<Kind::sequence, T> {};
template <class T, class L, class A>
struct Standard<std::set<T, L, A>> : StandardOf<Kind::set, T> {};
template <class T, class L, class A>
struct Standard<std::multiset<T, L, A>> : StandardOf<Kind::set, T> {};
template <class T, class H, class E, class A>
struct Standard<std::unordered_set<T, H, E, A>> : StandardOf<Kind::set, T> {};
template <class T, class H, class E, class A>
struct Standard<std::unordered_multiset<T, H, E, A>> : StandardOf<Kind::set, T> {};
template <class K, class V, class L, class A>
struct Standard<std::map<K, V, L, A>> : StandardOf<Kind::map, K, V> {};
template <class K, class V, class L, class A>
struct Standard<std::multimap<K, V, L, A>> : StandardOf<Kind::map, K, V> {};
template <class K, class V, class H, class E, class A>
struct Standard<std::unordered_map<K, V, H, E, A>> : StandardOf<Kind::map, K, V> {};
template <class K, class V, class H, class E, class A>
struct Standard<std::unordered_multimap<K, V, H, E, A>> : StandardOf<Kind::map, K, V> {};
template <class T, std::size_t N>
struct Standard<std::array<T, N>> : StandardOf<Kind::array, T> {};
template <class T, std::size_t N>
struct Standard<T[N]> : StandardOf<Kind::array, T> {};
template <class A, class B>
struct Standard<std::pair<A, B>> : StandardOf<Kind::product, A, B> {};
template <class... T>
struct Standard<std::tuple<T...>> : StandardOf<Kind::product, T...> {};
template <class T>
struct Standard<std::optional<T>> : StandardOf<Kind::optional, T> {};
template <class... T>
struct Standard<std::variant<T...>> : StandardOf<Kind::variant, T...> {};
template <>
struct Standard<std::filesystem::path> : StandardOf<Kind::path> {};
template <class T>
requires(!std::is_array_v<T>) struct Standard<std::unique_ptr<T>>
    : StandardOf<Kind::unique_pointer, T> {
};
template <class T>
requires(!std::is_array_v<T>) struct Standard<std::shared_ptr<T>>
    : StandardOf<Kind::shared_pointer, T> {
};

template <class T>
inline constexpr bool kIsClosure =
    std::is_class_v<T> && !std::is_aggregate_v<T> && names_closure(type_name<T>());

/// A closure without captures. One that captures an empty object is empty, too, but not default
/// constructible.
template <class T>
inline constexpr bool kIsPlainClosure =
    kIsClosure<T>&& std::is_empty_v<T>&& std::is_default_constructible_v<T>;

template <class F>
class ByValue;
template <class T>
inline constexpr bool kIsByValue = false;
template <class F>
inline constexpr bool kIsByValue<ByValue<F>> = true;

template <class T>
concept IsHandle = requires {
  typename T::TandemHandle;
};

/// Types that point somewhere, those of the standard library that look plain among them.
template <class T>
inline constexpr bool kPoints =
    std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_reference_v<T> ||
    std::is_null_pointer_v<T> || std::is_function_v<T>;
template <class C, class Traits>
inline constexpr bool kPoints<std::basic_string_view<C, Traits>> = true;
template <class T, std::size_t N>
inline constexpr bool kPoints<std::span<T, N>> = true;
template <class T>
inline constexpr bool kPoints<std::reference_wrapper<T>> = true;
template <class T>
inline constexpr bool kPoints<std::initializer_list<T>> = true;
template <class T>
inline constexpr bool kPoints<std::coroutine_handle<T>> = true;
template <class T, class D>
inline constexpr bool kPoints<std::unique_ptr<T, D>> =
    Standard<std::unique_ptr<T, D>>::kind == Kind::none;
template <class T>
inline constexpr bool kPoints<std::shared_ptr<T>> =
    Standard<std::shared_ptr<T>>::kind == Kind::none;
template <class T>
inline constexpr bool kPoints<std::weak_ptr<T>> = true;
template <>
inline constexpr bool kPoints<std::type_index> = true;
template <>
inline constexpr bool kPoints<std::error_code> = true;
template <>
inline constexpr bool kPoints<std::error_condition> = true;
template <>
inline constexpr bool kPoints<std::thread::id> = true;

/// True when the user wrote cereal functions for T, whatever the archive.
template <class T>
[[nodiscard]] consteval bool has_functions() {
  if constexpr (!std::is_class_v<T> && !std::is_union_v<T>) {
    return false;
  } else if constexpr (kIsClosure<T> || kPoints<T> || Standard<T>::kind != Kind::none) {
    return false;
  } else {
    return cereal::traits::is_output_serializable<T, OutputProbe>::value &&
           cereal::traits::is_input_serializable<T, InputProbe>::value;
  }
}

template <class List>
struct Any;

/// Whether the bytes of a T mean something only in this process, as far as can be told.
template <class T>
[[nodiscard]] consteval bool points() {
  if constexpr (kPoints<T>) {
    return true;
  } else if constexpr (std::is_array_v<T>) {
    return points<std::remove_cv_t<std::remove_all_extents_t<T>>>();
  } else if constexpr (kIsByValue<T>) {
    return false;
  } else if constexpr (kIsClosure<T>) {
    return !kIsPlainClosure<T>;
  } else if constexpr (Standard<T>::kind != Kind::none) {
    return Any<typename Standard<T>::Parts>::points();
  } else if constexpr (!std::is_class_v<T>) {
    return false;
  } else if constexpr (std::input_or_output_iterator<T> || std::ranges::enable_borrowed_range<T> ||
                       (!std::is_empty_v<T> && type_name<T>().starts_with("std::_") &&
                        !type_name<T>().starts_with("std::__cxx"))) {
    return true;  // the last are what std::bind, mem_fn and their like return
  } else if constexpr (kIsOpen<T>) {
    return Any<Members<T>>::points();
  } else {
    // A reference inside takes assignment away, and so does nothing else that is common.
    return !std::is_empty_v<T> && !std::is_copy_assignable_v<T> && !std::is_move_assignable_v<T>;
  }
}

/// Whether a T contains one of the standard's types whose bytes are not free: a decoded optional
/// with a flag of 7 would be undefined behaviour. Such a struct goes by its members.
template <class T>
[[nodiscard]] consteval bool constrains_bytes() {
  if constexpr (std::is_array_v<T>) {
    return constrains_bytes<std::remove_cv_t<std::remove_all_extents_t<T>>>();
  } else if constexpr (Standard<T>::kind == Kind::array) {
    return Any<typename Standard<T>::Parts>::constrains();
  } else if constexpr (Standard<T>::kind != Kind::none || kIsPlainClosure<T>) {
    return true;
  } else if constexpr (std::is_class_v<T> && !kIsByValue<T> && kIsOpen<T>) {
    return Any<Members<T>>::constrains();
  } else {
    return false;
  }
}

/// Whether a member somewhere in T has cereal functions, which must then be used for it.
template <class T>
[[nodiscard]] consteval bool contains_functions() {
  if constexpr (has_functions<T>() || IsHandle<T>) {
    return true;
  } else if constexpr (std::is_array_v<T>) {
    return contains_functions<std::remove_cv_t<std::remove_all_extents_t<T>>>();
  } else if constexpr (Standard<T>::kind != Kind::none) {
    return Any<typename Standard<T>::Parts>::has_functions();
  } else if constexpr (std::is_class_v<T> && !kIsByValue<T> && !kIsClosure<T> && kIsOpen<T>) {
    return Any<Members<T>>::has_functions();
  } else {
    return false;
  }
}

template <class... T>
struct Any<TypeList<T...>> {
  static consteval bool points() { return (detail::points<std::remove_cv_t<T>>() || ...); }
  static consteval bool constrains() { return (constrains_bytes<std::remove_cv_t<T>>() || ...); }
  static consteval bool has_functions() {
    return (contains_functions<std::remove_cv_t<T>>() || ...);
  }
};

template <class T>
[[nodiscard]] consteval bool is_boolean() {
  if constexpr (std::is_enum_v<T>) {
    return std::is_same_v<std::underlying_type_t<T>, bool>;
  } else {
    return std::is_same_v<T, bool>;
  }
}

/// The kind of T itself; its parts may still turn out not to be Sendable.
template <class T>
[[nodiscard]] consteval Kind find_kind() {
  if constexpr (kPoints<T> || !std::is_object_v<T> || !std::is_same_v<T, std::remove_cv_t<T>>) {
    return Kind::none;
  } else if constexpr (is_boolean<T>()) {
    return Kind::boolean;
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    return Kind::raw;
  } else if constexpr (IsHandle<T>) {
    return Kind::handle;
  } else if constexpr (kIsClosure<T>) {
    return kIsPlainClosure<T> ? Kind::empty : Kind::none;
  } else if constexpr (kIsByValue<T>) {
    return Kind::raw;
  } else if constexpr (Standard<T>::kind == Kind::array) {
    if constexpr (std::is_array_v<T>) {
      return Kind::array;
    } else if constexpr (find_kind<typename T::value_type>() == Kind::raw && !points<T>()) {
      return std::tuple_size_v<T> == 0 ? Kind::array : Kind::raw;
    } else {
      return Kind::array;
    }
  } else if constexpr (Standard<T>::kind != Kind::none) {
    return Standard<T>::kind;
  } else if constexpr (!std::is_move_constructible_v<T>) {
    return Kind::none;
  } else if constexpr (has_functions<T>()) {
    return Kind::functions;
  } else if constexpr (std::is_trivially_copyable_v<T> && points<T>()) {
    return Kind::none;
  } else if constexpr (std::is_trivially_copyable_v<T> && !contains_functions<T>() &&
                       !constrains_bytes<T>()) {
    return std::is_empty_v<T> && std::is_default_constructible_v<T> ? Kind::empty : Kind::raw;
  } else if constexpr (kIsOpen<T>) {
    return Kind::aggregate;
  } else {
    return Kind::none;
  }
}

template <class T>
inline constexpr Kind kKind = find_kind<T>();

/// Whether T is encoded as exactly its bytes, so that runs of it are one memcpy.
template <class T>
inline constexpr bool kIsRaw = kKind<T> == Kind::raw;

template <class T, class... Seen>
[[nodiscard]] consteval bool is_sendable();

template <class List, class... Seen>
inline constexpr bool kAllSendable = false;
template <class... T, class... Seen>
inline constexpr bool kAllSendable<TypeList<T...>, Seen...> =
    (is_sendable<std::remove_cv_t<T>, Seen...>() && ...);

/// \tparam Seen the aggregates being looked into: one that contains itself (by a vector) is as
/// Sendable as its other members
template <class T, class... Seen>
[[nodiscard]] consteval bool is_sendable() {
  if constexpr ((std::is_same_v<T, Seen> || ...)) {
    return true;
  } else {
    constexpr Kind kind = kKind<T>;
    if constexpr (kind == Kind::none) {
      return false;
    } else if constexpr (kind == Kind::aggregate) {
      return kAllSendable<Members<T>, T, Seen...>;
    } else if constexpr (kind == Kind::unique_pointer || kind == Kind::shared_pointer) {
      // A pointee that is only a base would arrive as a slice of what was sent.
      using Pointee = std::remove_cv_t<typename T::element_type>;
      if constexpr (std::is_array_v<Pointee> || std::is_void_v<Pointee>) {
        return false;
      } else {
        return (!std::is_polymorphic_v<Pointee> ||
                std::is_final_v<Pointee>)&&is_sendable<Pointee, Seen...>();
      }
    } else if constexpr (kind == Kind::raw) {
      return true;
    } else {
      return kAllSendable<typename Standard<T>::Parts, Seen...>;
    }
  }
}

}  // namespace tandem::detail
