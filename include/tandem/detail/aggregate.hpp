/// \file
/// Looks into plain structs: how many members, of which types, and a visit to each. Up to sixteen
/// members, no base classes.
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace tandem::detail {

template <class... T>
struct TypeList {};

/// Stands for an initialiser of any member, in unevaluated code only.
struct AnyMember {
  std::size_t position;
  template <class T>
  operator T() const noexcept;  // NOLINT(google-explicit-constructor)
};

/// Stands for an initialiser of a base class of `Derived` only.
template <class Derived>
struct AnyBase {
  template <class T>
  requires(std::is_base_of_v<T, Derived> && !std::is_same_v<T, Derived>) operator T()
      const noexcept;  // NOLINT(google-explicit-constructor)
};

inline constexpr std::size_t kMostMembers = 16;
/// Arrays count once per element before they are found to be one member.
inline constexpr std::size_t kMostInitialisers = 64;

template <class T, std::size_t... I>
[[nodiscard]] consteval bool takes_initialisers(std::index_sequence<I...>) {
  return requires { T{AnyMember{I}...}; };
}

template <class T, std::size_t N = 0, std::size_t Found = 0, bool Started = false>
[[nodiscard]] consteval std::size_t count_initialisers() {
  // A struct with a member that AnyMember cannot become takes n and n + 2 of them, say; the first
  // run is what counts. It starts behind the last member without default.
  if constexpr (N > kMostInitialisers) {
    return N;
  } else if constexpr (takes_initialisers<T>(std::make_index_sequence<N>{})) {
    return count_initialisers<T, N + 1, N, true>();
  } else if constexpr (!Started && N <= kMostMembers) {
    return count_initialisers<T, N + 1>();
  } else {
    return Found;
  }
}

template <class T, std::size_t... Before, std::size_t... Inside, std::size_t... After>
[[nodiscard]] consteval bool takes_nested(std::index_sequence<Before...>,
                                          std::index_sequence<Inside...>,
                                          std::index_sequence<After...>) {
  return requires { T{AnyMember{Before}..., {AnyMember{Inside}...}, AnyMember{After}...}; };
}

/// How many initialisers the member at this position uses up: more than one for an array, which is
/// told from a class by what remains: n bracketed ones leave room for exactly the others.
template <class T, std::size_t Total, std::size_t At, std::size_t Size>
[[nodiscard]] consteval std::size_t width_of_member() {
  if constexpr (Size <= 1) {
    return 1;
  } else {
    constexpr std::size_t rest = Total - At - Size;
    if constexpr (takes_nested<T>(std::make_index_sequence<At>{}, std::make_index_sequence<Size>{},
                                  std::make_index_sequence<rest>{}) &&
                  !takes_nested<T>(std::make_index_sequence<At>{}, std::make_index_sequence<Size>{},
                                   std::make_index_sequence<rest + 1>{})) {
      return Size;
    } else {
      return width_of_member<T, Total, At, Size - 1>();
    }
  }
}

template <class T, std::size_t Total, std::size_t At = 0, std::size_t Members = 0>
[[nodiscard]] consteval std::size_t count_members_from() {
  if constexpr (At >= Total) {
    return Members;
  } else {
    return count_members_from<T, Total, At + width_of_member<T, Total, At, Total - At>(),
                              Members + 1>();
  }
}

template <class T>
[[nodiscard]] consteval bool has_base() {
  return requires { T{AnyBase<T>{}}; };
}

/// Number of members; kMostMembers + 1 when it is larger or not known.
template <class T>
[[nodiscard]] consteval std::size_t count_members() {
  if constexpr (!std::is_aggregate_v<T> || std::is_array_v<T> || std::is_union_v<T>) {
    return kMostMembers + 1;
  } else if constexpr (std::is_empty_v<T>) {
    return has_base<T>() ? kMostMembers + 1 : 0;
  } else if constexpr (has_base<T>()) {
    return kMostMembers + 1;
  } else {
    constexpr std::size_t total = count_initialisers<T>();
    if constexpr (total == 0 || total > kMostInitialisers) {
      return kMostMembers + 1;
    } else {
      return count_members_from<T, total>();
    }
  }
}

template <class T>
inline constexpr std::size_t kMemberCount = count_members<std::remove_cv_t<T>>();

/// Whether `visit_members` and `Members` work for T.
template <class T>
inline constexpr bool kIsOpen = kMemberCount<T> <= kMostMembers;

/// Calls f(first, second, ...) with the members. \returns what f returns
template <class T, class F>
constexpr decltype(auto) visit_members(T& t, F&& f) {
  constexpr std::size_t count = kMemberCount<T>;
  static_assert(count <= kMostMembers);
  if constexpr (count == 0) {
    return f();
  } else if constexpr (count == 1) {
    auto& [m1] = t;
    return f(m1);
  } else if constexpr (count == 2) {
    auto& [m1, m2] = t;
    return f(m1, m2);
  } else if constexpr (count == 3) {
    auto& [m1, m2, m3] = t;
    return f(m1, m2, m3);
  } else if constexpr (count == 4) {
    auto& [m1, m2, m3, m4] = t;
    return f(m1, m2, m3, m4);
  } else if constexpr (count == 5) {
    auto& [m1, m2, m3, m4, m5] = t;
    return f(m1, m2, m3, m4, m5);
  } else if constexpr (count == 6) {
    auto& [m1, m2, m3, m4, m5, m6] = t;
    return f(m1, m2, m3, m4, m5, m6);
  } else if constexpr (count == 7) {
    auto& [m1, m2, m3, m4, m5, m6, m7] = t;
    return f(m1, m2, m3, m4, m5, m6, m7);
  } else if constexpr (count == 8) {
    auto& [m1, m2, m3, m4, m5, m6, m7, m8] = t;
    return f(m1, m2, m3, m4, m5, m6, m7, m8);
  } else if constexpr (count == 9) {
    auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9] = t;
    return f(m1, m2, m3, m4, m5, m6, m7, m8, m9);
  } else if constexpr (count == 10) {
    auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10] = t;
    return f(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10);
  } else if constexpr (count == 11) {
    auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11] = t;
    return f(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11);
  } else if constexpr (count == 12) {
    auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12] = t;
    return f(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12);
  } else if constexpr (count == 13) {
    auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13] = t;
    return f(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13);
  } else if constexpr (count == 14) {
    auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14] = t;
    return f(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14);
  } else if constexpr (count == 15) {
    auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15] = t;
    return f(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15);
  } else if constexpr (count == 16) {
    auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16] = t;
    return f(m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16);
  }
}

/// A function whose result type is the list. decltype of a binding is the member's own type, a
/// reference's or a bit-field's too.
template <class T>
[[nodiscard]] consteval auto list_members() {
  constexpr std::size_t count = kMemberCount<T>;
  static_assert(count <= kMostMembers);
  if constexpr (count == 0) {
    return [](T&) { return TypeList<>{}; };
  } else if constexpr (count == 1) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1] = t;
      return TypeList<decltype(m1)>{};
    };
  } else if constexpr (count == 2) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2] = t;
      return TypeList<decltype(m1), decltype(m2)>{};
    };
  } else if constexpr (count == 3) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2, m3] = t;
      return TypeList<decltype(m1), decltype(m2), decltype(m3)>{};
    };
  } else if constexpr (count == 4) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2, m3, m4] = t;
      return TypeList<decltype(m1), decltype(m2), decltype(m3), decltype(m4)>{};
    };
  } else if constexpr (count == 5) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2, m3, m4, m5] = t;
      return TypeList<decltype(m1), decltype(m2), decltype(m3), decltype(m4), decltype(m5)>{};
    };
  } else if constexpr (count == 6) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2, m3, m4, m5, m6] = t;
      return TypeList<decltype(m1), decltype(m2), decltype(m3), decltype(m4), decltype(m5),
                      decltype(m6)>{};
    };
  } else if constexpr (count == 7) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2, m3, m4, m5, m6, m7] = t;
      return TypeList<decltype(m1), decltype(m2), decltype(m3), decltype(m4), decltype(m5),
                      decltype(m6), decltype(m7)>{};
    };
  } else if constexpr (count == 8) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2, m3, m4, m5, m6, m7, m8] = t;
      return TypeList<decltype(m1), decltype(m2), decltype(m3), decltype(m4), decltype(m5),
                      decltype(m6), decltype(m7), decltype(m8)>{};
    };
  } else if constexpr (count == 9) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9] = t;
      return TypeList<decltype(m1), decltype(m2), decltype(m3), decltype(m4), decltype(m5),
                      decltype(m6), decltype(m7), decltype(m8), decltype(m9)>{};
    };
  } else if constexpr (count == 10) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10] = t;
      return TypeList<decltype(m1), decltype(m2), decltype(m3), decltype(m4), decltype(m5),
                      decltype(m6), decltype(m7), decltype(m8), decltype(m9), decltype(m10)>{};
    };
  } else if constexpr (count == 11) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11] = t;
      return TypeList<decltype(m1), decltype(m2), decltype(m3), decltype(m4), decltype(m5),
                      decltype(m6), decltype(m7), decltype(m8), decltype(m9), decltype(m10),
                      decltype(m11)>{};
    };
  } else if constexpr (count == 12) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12] = t;
      return TypeList<decltype(m1), decltype(m2), decltype(m3), decltype(m4), decltype(m5),
                      decltype(m6), decltype(m7), decltype(m8), decltype(m9), decltype(m10),
                      decltype(m11), decltype(m12)>{};
    };
  } else if constexpr (count == 13) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13] = t;
      return TypeList<decltype(m1), decltype(m2), decltype(m3), decltype(m4), decltype(m5),
                      decltype(m6), decltype(m7), decltype(m8), decltype(m9), decltype(m10),
                      decltype(m11), decltype(m12), decltype(m13)>{};
    };
  } else if constexpr (count == 14) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14] = t;
      return TypeList<decltype(m1), decltype(m2), decltype(m3), decltype(m4), decltype(m5),
                      decltype(m6), decltype(m7), decltype(m8), decltype(m9), decltype(m10),
                      decltype(m11), decltype(m12), decltype(m13), decltype(m14)>{};
    };
  } else if constexpr (count == 15) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15] = t;
      return TypeList<decltype(m1), decltype(m2), decltype(m3), decltype(m4), decltype(m5),
                      decltype(m6), decltype(m7), decltype(m8), decltype(m9), decltype(m10),
                      decltype(m11), decltype(m12), decltype(m13), decltype(m14), decltype(m15)>{};
    };
  } else if constexpr (count == 16) {
    return [](T& t) {
      [[maybe_unused]] auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15,
                              m16] = t;
      return TypeList<decltype(m1), decltype(m2), decltype(m3), decltype(m4), decltype(m5),
                      decltype(m6), decltype(m7), decltype(m8), decltype(m9), decltype(m10),
                      decltype(m11), decltype(m12), decltype(m13), decltype(m14), decltype(m15),
                      decltype(m16)>{};
    };
  }
}

/// The members' types, in order, as a TypeList.
template <class T>
using Members = decltype(list_members<std::remove_cv_t<T>>()(std::declval<std::remove_cv_t<T>&>()));

}  // namespace tandem::detail
