/// \file
/// A number that tells types apart on the wire.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tandem/detail/kind.hpp"
#include "tandem/detail/type_name.hpp"

namespace tandem::detail {

template <class T>
[[nodiscard]] constexpr std::uint64_t hash_type() noexcept;

template <class List>
inline constexpr std::uint64_t kHashOfList = 0;
template <class... T>
inline constexpr std::uint64_t kHashOfList<TypeList<T...>> = [] {
  std::uint64_t hash = hash_text("list");
  ((hash = hash_add(hash, hash_type<T>())), ...);
  return hash;
}();

/// A user's template: its own name, and its arguments by structure, since compilers differ in how
/// they write, say, a std::string among them.
template <class T>
struct HashOfName {
  static constexpr std::uint64_t value = hash_type_name(type_name<T>());
};
template <template <class...> class Template, class... T>
struct HashOfName<Template<T...>> {
  static constexpr std::uint64_t value = hash_add(
      hash_type_name(type_name<Template<T...>>().substr(0, type_name<Template<T...>>().find('<'))),
      kHashOfList<TypeList<T...>>);
};

template <class T>
[[nodiscard]] constexpr std::uint64_t hash_type() noexcept {
  if constexpr (!std::is_same_v<T, std::remove_cv_t<T>>) {
    return hash_type<std::remove_cv_t<T>>();
  } else if constexpr (std::is_same_v<T, bool>) {
    return hash_text("bool");
  } else if constexpr (std::is_same_v<T, char> || std::is_same_v<T, wchar_t> ||
                       std::is_same_v<T, char8_t> || std::is_same_v<T, char16_t> ||
                       std::is_same_v<T, char32_t>) {
    return hash_type_name(type_name<T>());
  } else if constexpr (std::is_arithmetic_v<T>) {
    // long and long long are one type to the wire.
    return hash_add(hash_text(std::is_floating_point_v<T> ? "float"
                              : std::is_signed_v<T>       ? "signed"
                                                          : "unsigned"),
                    sizeof(T));
  } else if constexpr (std::is_array_v<T>) {
    return hash_add(hash_add(hash_text("array"), std::extent_v<T>),
                    hash_type<std::remove_extent_t<T>>());
  } else if constexpr (Standard<T>::kind != Kind::none) {
    std::uint64_t hash = hash_add(hash_text("std"), static_cast<std::uint64_t>(Standard<T>::kind));
    if constexpr (Standard<T>::kind == Kind::array) hash = hash_add(hash, std::tuple_size_v<T>);
    return hash_add(hash, kHashOfList<typename Standard<T>::Parts>);
  } else if constexpr (std::is_class_v<T> || std::is_union_v<T> || std::is_enum_v<T>) {
    std::uint64_t hash = HashOfName<T>::value;
    if constexpr (kIsRaw<T>) hash = hash_add(hash, sizeof(T));
    return hash;
  } else {
    return hash_type_name(type_name<T>());
  }
}

/// Never 0. Equal for one type in all builds: by structure for the standard's types and arithmetic,
/// by name (and size, where the bytes travel as they are) for the user's. Containers of one kind
/// and one element type (vector and list, set and unordered_set) are laid out alike and share
/// theirs.
template <class T>
[[nodiscard]] constexpr std::uint32_t fingerprint() noexcept {
  constexpr std::uint64_t hash = hash_type<T>();
  constexpr auto folded = static_cast<std::uint32_t>(hash ^ (hash >> 32));
  return folded == 0 ? 1 : folded;
}

}  // namespace tandem::detail
