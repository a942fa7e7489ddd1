/// \file
/// Types that travel as their bytes: what must be wiped before they leave, and mended when
/// they come.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <type_traits>

#include "tandem/detail/aggregate.hpp"
#include "tandem/detail/kind.hpp"

namespace tandem::detail {

/// Whether every byte of a T belongs to its value, so that none can carry something of this
/// process's memory along.
template <class T>
inline constexpr bool kIsDense = std::has_unique_object_representations_v<T> ||
                                 std::is_same_v<T, float> || std::is_same_v<T, double>;

/// Writes the value's bytes with zeros for padding. What cannot be looked into on compilers that do
/// not help is written whole.
template <class T>
void write_wiped(std::byte* to, const T& value) {
#if defined(__has_builtin) && __has_builtin(__builtin_clear_padding)
  alignas(T) std::byte copy[sizeof(T)];
  std::memcpy(copy, static_cast<const void*>(std::addressof(value)), sizeof(T));
  __builtin_clear_padding(reinterpret_cast<T*>(copy));
  std::memcpy(to, copy, sizeof(T));
#else
  if constexpr (!kIsDense<T> && std::is_class_v<T> && kIsOpen<T>) {
    std::memset(to, 0, sizeof(T));
    const auto* start = reinterpret_cast<const std::byte*>(std::addressof(value));
    visit_members(value, [&](const auto&... member) {
      (write_wiped(to + (reinterpret_cast<const std::byte*>(std::addressof(member)) - start),
                   member),
       ...);
    });
  } else {
    std::memcpy(to, static_cast<const void*>(std::addressof(value)), sizeof(T));
  }
#endif
}

template <class List>
struct AnyBoolean;

/// Whether a T holds a bool that can be found.
template <class T>
[[nodiscard]] consteval bool contains_boolean() {
  if constexpr (std::is_array_v<T>) {
    return contains_boolean<std::remove_cv_t<std::remove_all_extents_t<T>>>();
  } else if constexpr (is_boolean<T>()) {
    return true;
  } else if constexpr (!std::is_class_v<T> || kIsByValue<T>) {
    return false;
  } else if constexpr (Standard<T>::kind == Kind::array) {
    return contains_boolean<typename T::value_type>();
  } else if constexpr (kIsOpen<T>) {
    return AnyBoolean<Members<T>>::value();
  } else {
    return false;
  }
}

template <class... T>
struct AnyBoolean<TypeList<T...>> {
  static consteval bool value() { return (contains_boolean<std::remove_cv_t<T>>() || ...); }
};

/// Makes 1 of every bool that is neither 0 nor 1, so that received bytes are a value that may be
/// read. Bools that reflection does not find (private, more than sixteen members, bit-fields) are
/// left.
template <class T>
void mend(T& value) noexcept {
  if constexpr (!contains_boolean<std::remove_cv_t<T>>() || std::is_const_v<T>) {
    return;
  } else if constexpr (is_boolean<T>()) {
    unsigned char byte;
    std::memcpy(&byte, static_cast<const void*>(std::addressof(value)), 1);
    byte = byte != 0 ? 1 : 0;
    std::memcpy(static_cast<void*>(std::addressof(value)), &byte, 1);
  } else if constexpr (std::is_array_v<T> || Standard<T>::kind == Kind::array) {
    for (auto& element : value) mend(element);
  } else if constexpr (requires { visit_members(value, [](auto&...) {}); }) {
    visit_members(value, [](auto&... member) { (mend(member), ...); });
  }
}

template <class Run>
void mend_run(Run& run) noexcept {
  if constexpr (contains_boolean<typename Run::value_type>()) {
    for (auto& element : run) mend(element);
  }
}

}  // namespace tandem::detail
