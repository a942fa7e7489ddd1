/// \file
/// How each kind of value is laid out.
///
/// Layout: raw types are their bytes; a bool one byte; a run of elements its length in eight bytes,
/// then the elements; optional and unique_ptr a flag, then the value; variant its index in two
/// bytes, then the value; everything else its parts in order. An element that needs no byte takes
/// one, so that no length can be larger than the bytes behind it.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/detail/aggregate.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/fingerprint.hpp"
#include "tandem/detail/functions.hpp"
#include "tandem/detail/kind.hpp"
#include "tandem/detail/message.hpp"
#include "tandem/detail/raw.hpp"
#include "tandem/detail/run_filler.hpp"

namespace tandem::detail {

template <class T>
[[nodiscard]] T decode_value(Decoder& from);

template <template <class...> class Template, class T>
inline constexpr bool kIsA = false;
template <template <class...> class Template, class... A>
inline constexpr bool kIsA<Template, Template<A...>> = true;

template <class List>
inline constexpr std::size_t kLeastOf = 0;

/// The least bytes a T is encoded in, at least as an element of a run (so never 0).
template <class T>
[[nodiscard]] consteval std::size_t least_bytes() {
  constexpr Kind kind = kKind<T>;
  if constexpr (kind == Kind::raw) {
    return sizeof(T);
  } else if constexpr (kind == Kind::string || kind == Kind::sequence || kind == Kind::set ||
                       kind == Kind::map || kind == Kind::path) {
    return sizeof(std::uint64_t);
  } else if constexpr (kind == Kind::product) {
    return kLeastOf<typename Standard<T>::Parts> != 0 ? kLeastOf<typename Standard<T>::Parts> : 1;
  } else {
    return 1;
  }
}
template <class... T>
inline constexpr std::size_t kLeastOf<TypeList<T...>> =
    ((kKind<std::remove_cv_t<T>> == Kind::raw ? sizeof(T) : 0) + ... + 0);

/// Contiguous runs of raw elements are one memcpy.
template <class T>
inline constexpr bool kIsFlat = false;
template <class C, class A>
inline constexpr bool kIsFlat<std::basic_string<C, std::char_traits<C>, A>> = kIsRaw<C>;
template <class T, class A>
inline constexpr bool kIsFlat<std::vector<T, A>> = kIsRaw<T>;

template <class T>
void write_run(Encoder& to, const T* first, std::size_t n) {
  if constexpr (!kIsDense<T>) {
    if (to.route() == Route::socket) {  // padding must not leave the machine
      for (std::size_t i = 0; i < n; ++i) write_wiped(to.buffer().extend(sizeof(T)), first[i]);
      return;
    }
  }
  to.write_lasting(first, n * sizeof(T));
}

template <class T>
void encode_element(Encoder& to, const T& value) {
  if constexpr (kIsRaw<T>) {
    encode_value(to, value);
  } else {
    const std::size_t before = to.written();
    encode_value(to, value);
    if (to.written() == before) to.write_raw(std::byte{0});
  }
}

template <class T>
[[nodiscard]] T decode_element(Decoder& from) {
  if constexpr (kIsRaw<T>) {
    return decode_value<T>(from);
  } else {
    const std::size_t before = from.left();
    T value = decode_value<T>(from);
    if (from.left() == before) static_cast<void>(from.take(1));
    return value;
  }
}

template <class T>
void encode_value(Encoder& to, const T& value) {
  constexpr Kind kind = kKind<T>;
  if constexpr (kIsA<cereal::NameValuePair, T>) {
    to.process(value.value);
  } else if constexpr (kIsA<cereal::SizeTag, T>) {
    to.write_size(static_cast<std::size_t>(value.size));
  } else if constexpr (kIsA<cereal::BinaryData, T>) {
    to.write(value.data, static_cast<std::size_t>(value.size));
  } else if constexpr (kIsA<cereal::base_class, T>) {
    encode_value(to, *value.base_ptr);
  } else if constexpr (kIsA<cereal::virtual_base_class, T>) {
    if (to.first_visit(value.base_ptr)) encode_value(to, *value.base_ptr);
  } else if constexpr (kIsA<cereal::DeferredData, T>) {
    to.defer([&to, value] { to.process(value.value); });
  } else if constexpr (kind == Kind::handle) {
    const Encoder::Passing passing(to);
    value.save(to);
  } else if constexpr (kind == Kind::boolean) {
    to.write_raw(static_cast<std::uint8_t>(value));
  } else if constexpr (kind == Kind::raw) {
    if constexpr (kIsDense<T> && sizeof(T) < Block::kLeastBytes) {
      to.write_raw(value);
    } else {
      write_run(to, std::addressof(value), 1);
    }
  } else if constexpr (kind == Kind::empty) {
    return;
  } else if constexpr (kind == Kind::string || kind == Kind::sequence) {
    if constexpr (kIsFlat<T>) {
      to.write_size(value.size());
      write_run(to, value.data(), value.size());
    } else {
      using Element = typename T::value_type;
      to.write_size(static_cast<std::size_t>(std::distance(value.begin(), value.end())));
      for (const auto& element : value) encode_element<Element>(to, element);
    }
  } else if constexpr (kind == Kind::set) {
    to.write_size(value.size());
    for (const auto& element : value) encode_element(to, element);
  } else if constexpr (kind == Kind::map) {
    to.write_size(value.size());
    for (const auto& element : value) encode_element(to, element);
  } else if constexpr (kind == Kind::array) {
    for (const auto& element : value) encode_value(to, element);
  } else if constexpr (kind == Kind::product) {
    std::apply([&to](const auto&... part) { (encode_value(to, part), ...); }, value);
  } else if constexpr (kind == Kind::optional || kind == Kind::unique_pointer) {
    const Nesting nesting(to.depth());
    if (nesting.too_deep()) throw_not_sendable("the value is nested more than 1000 deep");
    const bool full = static_cast<bool>(value);
    to.write_raw(static_cast<std::uint8_t>(full));
    if (full) encode_value(to, *value);
  } else if constexpr (kind == Kind::shared_pointer) {
    const Nesting nesting(to.depth());
    if (nesting.too_deep()) throw_not_sendable("the value is nested more than 1000 deep");
    using Pointee = std::remove_cv_t<typename T::element_type>;
    const std::uint32_t number =
        value ? to.register_pointee(fingerprint<Pointee>(), value) : std::uint32_t{0};
    to.write_raw(number);
    if ((number & 0x80000000u) != 0) encode_value(to, *value);
  } else if constexpr (kind == Kind::variant) {
    if (value.valueless_by_exception()) throw_not_sendable("a variant without a value");
    to.write_raw(static_cast<std::uint16_t>(value.index()));
    std::visit([&to](const auto& held) { encode_value(to, held); }, value);
  } else if constexpr (kind == Kind::path) {
    encode_value(to, value.native());
  } else if constexpr (kind == Kind::aggregate) {
    const Nesting nesting(to.depth());
    if (nesting.too_deep()) throw_not_sendable("the value is nested more than 1000 deep");
    visit_members(value, [&to](const auto&... member) { (encode_value(to, member), ...); });
  } else {
    const Nesting nesting(to.depth());
    if (nesting.too_deep()) throw_not_sendable("the value is nested more than 1000 deep");
    const Encoder::Passing passing(to);
    call_save(to, value);
  }
}

/// Puts decoded elements into a container that was empty.
template <class C>
void decode_elements(Decoder& from, C& into) {
  using Element = typename C::value_type;
  const std::size_t n = from.read_size(least_bytes<Element>());
  if constexpr (requires { into.before_begin(); }) {
    auto last = into.before_begin();
    for (std::size_t i = 0; i < n; ++i) {
      last = into.insert_after(last, decode_element<Element>(from));
    }
  } else {
    if constexpr (requires { into.reserve(n); }) {
      // An element may be much larger in memory than in the message.
      into.reserve(std::min(n, 4 * from.here() / sizeof(Element) + 1));
    }
    for (std::size_t i = 0; i < n; ++i) into.push_back(decode_element<Element>(from));
  }
}

template <class M>
void decode_map(Decoder& from, M& into) {
  using Key = typename M::key_type;
  using Value = typename M::mapped_type;
  const std::size_t n = from.read_size(least_bytes<std::pair<Key, Value>>());
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t before = from.left();
    Key key = decode_value<Key>(from);
    into.emplace_hint(into.end(), std::move(key), decode_value<Value>(from));
    if (from.left() == before) static_cast<void>(from.take(1));
  }
}

template <class V, std::size_t... I>
[[nodiscard]] V decode_variant(Decoder& from, std::index_sequence<I...>) {
  using Decode = V (*)(Decoder&);
  constexpr std::array<Decode, sizeof...(I)> decoders = {[](Decoder& d) {
    using Alternative = std::variant_alternative_t<I, V>;
    return V(std::in_place_index<I>, decode_value<Alternative>(d));
  }...};
  const auto index = from.read_raw<std::uint16_t>();
  if (index >= decoders.size()) throw_decode_error("a variant's index is out of range");
  return decoders[index](from);
}

template <class T, std::size_t... I>
[[nodiscard]] T decode_array(Decoder& from, std::index_sequence<I...>) {
  return T{{(static_cast<void>(I), decode_value<typename T::value_type>(from))...}};
}

template <class T, class... M>
[[nodiscard]] T decode_members(Decoder& from, TypeList<M...>) {
  if constexpr ((std::is_array_v<M> || ...)) {
    T value{};
    visit_members(value, [&from](auto&... member) { (decode_into(from, member), ...); });
    return value;
  } else {
    return T{decode_value<std::remove_cv_t<M>>(from)...};
  }
}

template <class T, class... P>
[[nodiscard]] T decode_product(Decoder& from, TypeList<P...>) {
  return T{decode_value<std::remove_cv_t<P>>(from)...};  // braces: in this order
}

[[nodiscard]] inline bool read_flag(Decoder& from) {
  const auto flag = from.read_raw<std::uint8_t>();
  if (flag > 1) throw_decode_error("a flag is neither 0 nor 1");
  return flag == 1;
}

template <class T>
[[nodiscard]] T decode_functions(Decoder& from) {
  from.await_all();
  if constexpr (std::is_default_constructible_v<T>) {
    T value = T();  // not T{}: a member's constructor may be explicit
    call_load(from, value);
    return value;
  } else {
    static_assert(cereal::traits::has_load_and_construct<T, Decoder>::value,
                  "a type without default constructor needs cereal's load_and_construct");
    return call_load_and_construct<T>(from);
  }
}

template <class T>
[[nodiscard]] T decode_value(Decoder& from) {
  constexpr Kind kind = kKind<T>;
  if constexpr (kind == Kind::handle) {
    if constexpr (requires { T::detail_decode(from); }) {
      return T::detail_decode(from);
    } else {
      T value;
      value.load(from);
      return value;
    }
  } else if constexpr (kind == Kind::boolean) {
    return static_cast<T>(from.read_raw<std::uint8_t>() != 0);
  } else if constexpr (kind == Kind::raw) {
    return from.read_raw<T>();
  } else if constexpr (kind == Kind::empty) {
    return T{};
  } else if constexpr (kIsFlat<T>) {
    using Element = typename T::value_type;
    const std::size_t n = from.read_size(sizeof(Element));
    RunFiller<T> filler;
    const std::size_t bytes = n * sizeof(Element);
    static_cast<void>(filler.begin(bytes, std::min(bytes, from.here())));
    from.visit(bytes, [&filler](std::span<const std::byte> piece) { filler.add(piece); });
    T value = std::move(filler.run());
    mend_run(value);
    return value;
  } else if constexpr (kind == Kind::sequence) {
    T value;
    decode_elements(from, value);
    return value;
  } else if constexpr (kind == Kind::set) {
    using Element = typename T::value_type;
    T value;
    const std::size_t n = from.read_size(least_bytes<Element>());
    for (std::size_t i = 0; i < n; ++i) {
      value.emplace_hint(value.end(), decode_element<Element>(from));
    }
    return value;
  } else if constexpr (kind == Kind::map) {
    T value;
    decode_map(from, value);
    return value;
  } else if constexpr (kind == Kind::array) {
    constexpr std::size_t n = std::tuple_size_v<T>;
    using Element = typename T::value_type;
    if constexpr (n > 32 && std::is_default_constructible_v<Element>) {
      T value{};
      for (auto& element : value) decode_into(from, element);
      return value;
    } else if constexpr (n == 0) {
      return T{};
    } else {
      return decode_array<T>(from, std::make_index_sequence<n>{});
    }
  } else if constexpr (kind == Kind::product) {
    return decode_product<T>(from, typename Standard<T>::Parts{});
  } else if constexpr (kind == Kind::optional) {
    const Nesting nesting(from.depth());
    if (nesting.too_deep()) throw_decode_error("the value is nested more than 1000 deep");
    if (!read_flag(from)) return T{};
    return T{std::in_place, decode_value<typename T::value_type>(from)};
  } else if constexpr (kind == Kind::unique_pointer) {
    const Nesting nesting(from.depth());
    if (nesting.too_deep()) throw_decode_error("the value is nested more than 1000 deep");
    using Pointee = std::remove_cv_t<typename T::element_type>;
    if (!read_flag(from)) return T{};
    return T(new Pointee(decode_value<Pointee>(from)));
  } else if constexpr (kind == Kind::shared_pointer) {
    const Nesting nesting(from.depth());
    if (nesting.too_deep()) throw_decode_error("the value is nested more than 1000 deep");
    using Pointee = std::remove_cv_t<typename T::element_type>;
    const auto number = from.read_raw<std::uint32_t>();
    if (number == 0) return T{};
    if ((number & 0x80000000u) == 0) {
      return std::static_pointer_cast<Pointee>(from.find_pointee(number, fingerprint<Pointee>()));
    }
    std::shared_ptr<Pointee> value(new Pointee(decode_value<Pointee>(from)));
    from.register_pointee(number & 0x7fffffffu, fingerprint<Pointee>(), value);
    return value;
  } else if constexpr (kind == Kind::variant) {
    return decode_variant<T>(from, std::make_index_sequence<std::variant_size_v<T>>{});
  } else if constexpr (kind == Kind::path) {
    return T(decode_value<typename T::string_type>(from));
  } else if constexpr (kind == Kind::aggregate) {
    const Nesting nesting(from.depth());
    if (nesting.too_deep()) throw_decode_error("the value is nested more than 1000 deep");
    return decode_members<T>(from, Members<T>{});
  } else {
    const Nesting nesting(from.depth());
    if (nesting.too_deep()) throw_decode_error("the value is nested more than 1000 deep");
    return decode_functions<T>(from);
  }
}

template <class T>
void decode_into(Decoder& from, T& value) {
  if constexpr (kIsA<cereal::NameValuePair, std::remove_const_t<T>>) {
    from.process(value.value);
  } else if constexpr (kIsA<cereal::SizeTag, std::remove_const_t<T>>) {
    value.size = static_cast<std::remove_reference_t<decltype(value.size)>>(from.read_size(1));
  } else if constexpr (kIsA<cereal::BinaryData, std::remove_const_t<T>>) {
    from.read(value.data, static_cast<std::size_t>(value.size));
  } else if constexpr (kIsA<cereal::base_class, std::remove_const_t<T>>) {
    decode_into(from, *value.base_ptr);
  } else if constexpr (kIsA<cereal::virtual_base_class, std::remove_const_t<T>>) {
    if (from.first_visit(value.base_ptr)) decode_into(from, *value.base_ptr);
  } else if constexpr (kIsA<cereal::DeferredData, std::remove_const_t<T>>) {
    from.defer([&from, value] { from.process(value.value); });
  } else if constexpr (kKind<T> == Kind::array) {
    for (auto& element : value) decode_into(from, element);
  } else if constexpr (kKind<T> == Kind::functions || kKind<T> == Kind::none) {
    const Nesting nesting(from.depth());
    if (nesting.too_deep()) throw_decode_error("the value is nested more than 1000 deep");
    from.await_all();
    call_load(from, value);
  } else if constexpr (kKind<T> == Kind::raw) {
    from.read(static_cast<void*>(std::addressof(value)), sizeof(T));
    mend(value);
  } else {
    value = decode_value<T>(from);
  }
}

}  // namespace tandem::detail
