/// \file
/// Names of types at compile time, and a hash of text that is the same in every build.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tandem::detail {

// In a namespace that no type is in: GCC leaves out the namespace of the function.
namespace naming {
template <class T>
[[nodiscard]] constexpr std::string_view raw_type_name() noexcept {
  return __PRETTY_FUNCTION__;
}
}  // namespace naming

/// The type's name as this compiler writes it; gcc and clang agree on plain named types.
template <class T>
[[nodiscard]] constexpr std::string_view type_name() noexcept {
  // What surrounds the name is measured on a type whose name is known.
  constexpr std::string_view probe = naming::raw_type_name<double>();
  constexpr std::size_t before = probe.find("double");
  constexpr std::size_t after = probe.size() - before - std::string_view("double").size();
  constexpr std::string_view whole = naming::raw_type_name<T>();
  return whole.substr(before, whole.size() - before - after);
}

inline constexpr std::uint64_t kHashStart = 0xcbf29ce484222325u;

/// FNV-1a.
[[nodiscard]] constexpr std::uint64_t hash_text(std::string_view text,
                                                std::uint64_t hash = kHashStart) noexcept {
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3u;
  }
  return hash;
}

/// Mixes another number into a hash; the order matters.
[[nodiscard]] constexpr std::uint64_t hash_add(std::uint64_t hash, std::uint64_t number) noexcept {
  hash ^= number + 0x9e3779b97f4a7c15u + (hash << 6) + (hash >> 2);
  hash *= 0xff51afd7ed558ccdu;
  return hash ^ (hash >> 33);
}

/// The name without what compilers write differently: blanks, and anonymous namespaces.
[[nodiscard]] constexpr std::uint64_t hash_type_name(std::string_view name) noexcept {
  constexpr std::string_view gcc = "{anonymous}";
  constexpr std::string_view clang = "(anonymous namespace)";
  std::uint64_t hash = kHashStart;
  for (std::size_t i = 0; i < name.size();) {
    if (name.substr(i, gcc.size()) == gcc) {
      hash = hash_text("~", hash);
      i += gcc.size();
    } else if (name.substr(i, clang.size()) == clang) {
      hash = hash_text("~", hash);
      i += clang.size();
    } else {
      if (name[i] != ' ') hash = hash_text(name.substr(i, 1), hash);
      ++i;
    }
  }
  return hash;
}

/// True for the names that gcc and clang give to closure types (and not to templates over them).
[[nodiscard]] constexpr bool names_closure(std::string_view name) noexcept {
  if (name.empty()) return false;
  if (name.back() == ')') {  // clang: (lambda at file.cpp:3:7)
    const std::size_t at = name.rfind("(lambda at ");
    return at != std::string_view::npos && name.find("::", at) == std::string_view::npos;
  }
  if (name.back() != '>') return false;
  std::size_t depth = 0;  // gcc: scope()::<lambda(int) mutable>
  for (std::size_t i = name.size(); i-- > 0;) {
    if (name[i] == '>' && (i == 0 || name[i - 1] != '-')) ++depth;
    if (name[i] == '<' && --depth == 0) {
      return name.substr(i).starts_with("<lambda(") &&
             (i == 0 || name.substr(0, i).ends_with("::"));
    }
  }
  return false;
}

}  // namespace tandem::detail
