/// \file
/// The functions that run in a manager's server for `apply` and `sort`.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/call.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/detail/manager_client.hpp"
#include "tandem/detail/manager_protocol.hpp"
#include "tandem/sendable.hpp"

namespace tandem::detail {

template <class T>
T decode_whole(std::span<const std::byte> bytes) {
  Decoder from(bytes, Route::manager);
  T value = decode<T>(from);
  from.expect_end();
  return value;
}

template <class V, class F, class... A>
void apply_thunk(Decoder& call, std::span<const std::byte> value, Encoder& updated,
                 Encoder& result) {
  F f = decode_callable<F>(call);
  std::tuple<A...> arguments{decode<A>(call)...};  // braces: in this order
  call.expect_end();
  V copy = decode_whole<V>(value);
  const auto invoke = [&]() -> decltype(auto) {
    return std::apply(
        [&](A&... a) -> decltype(auto) { return std::invoke(f, copy, std::move(a)...); },
        arguments);
  };
  if constexpr (std::is_void_v<decltype(invoke())>) {
    invoke();
  } else {
    using Result = std::remove_cvref_t<decltype(invoke())>;
    static_assert(Sendable<Result>,
                  "what apply's function returns travels back: it must be Sendable");
    encode<Result>(result, invoke());
  }
  encode<V>(updated, copy);
}

/// What f returns that is applied to a V.
template <class V, class F, class... A>
using Applied = std::remove_cvref_t<std::invoke_result_t<F&, V&, Argument<A>...>>;

/// The end of a request that applies f to a V: thunk, f, arguments.
template <class V, class F, class... A>
ManagerRequest& add_apply(ManagerRequest& request, const F& f, const A&... args) {
  constexpr auto* kThunk = &apply_thunk<V, F, Argument<A>...>;
  return request.raw(thunk_key<ApplyThunk, kThunk>()).bytes([&](Encoder& to) {
    encode_callable<F>(to, f);
    (encode_argument<Argument<A>>(to, args), ...);
  });
}

template <class T, class F>
void sort_thunk(Decoder& call, const std::vector<std::span<const std::byte>>& values,
                std::vector<std::uint32_t>& order) {
  F less = decode_callable<F>(call);
  call.expect_end();
  std::vector<T> decoded;
  decoded.reserve(values.size());
  for (const auto& bytes : values) decoded.push_back(decode_whole<T>(bytes));
  order.resize(values.size());
  std::iota(order.begin(), order.end(), std::uint32_t{0});
  // Stable, as Python's; and a comparison that is no order cannot make it leave the range.
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return static_cast<bool>(
        std::invoke(less, std::as_const(decoded[a]), std::as_const(decoded[b])));
  });
}

}  // namespace tandem::detail
