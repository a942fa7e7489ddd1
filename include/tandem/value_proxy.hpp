/// \file
/// One value that lives in a Manager's server and is used from any process.
///
///     auto best = manager.value<double>(0.0);
///     tandem::Process child([](tandem::ValueProxy<double> v) { v.store(0.5); }, best);
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "tandem/detail/manager_proxy.hpp"
#include "tandem/detail/manager_thunks.hpp"
#include "tandem/detail/unique_encoding.hpp"

namespace tandem {

/// Names a value of a manager. What DictProxy says about copies, lifetime, steps, threads and errors
/// holds here too. As Python's `Manager().Value`, whose `v.value += 1` loses updates: here it is
/// `fetch_add(1)` or `apply(f)`.
template <class T>
class ValueProxy : public detail::ManagerProxy<ValueProxy<T>> {
  static_assert(Sendable<T>, "a manager's value travels: it must be Sendable");
  using Request = detail::ManagerRequest;
  using Reply = detail::ManagerReply;
  using Op = detail::ManagerOp;

 public:
  using value_type = T;

  /// Names nothing.
  ValueProxy() = default;

  /// A copy of the value.
  [[nodiscard]] T load() const {
    return request(Op::list_get, "ValueProxy::load").send().template value<T>();
  }
  /// Replaces the value.
  void store(const T& v) const { request(Op::list_set, "ValueProxy::store").value(v).run(); }
  /// Sets it. \returns what it was
  T exchange(const T& v) const {
    return request(Op::list_exchange, "ValueProxy::exchange").value(v).send().template value<T>();
  }
  /// Adds n; integers wrap around. \returns the value before
  T fetch_add(std::type_identity_t<T> n) const requires detail::Addable<T> {
    return request(Op::list_fetch_add, "ValueProxy::fetch_add")
        .raw(detail::number_type<T>())
        .raw(n)
        .send()
        .template raw<T>();
  }
  /// Sets `desired` if the value is `expected`. \returns whether it was
  bool compare_exchange(const T& expected, const T& desired) const requires UniquelyEncoded<T> {
    return request(Op::list_compare_exchange, "ValueProxy::compare_exchange")
        .key(expected)
        .value(desired)
        .send()
        .template raw<bool>();
  }
  /// Runs `f(T&, args...)` in the server, alone, as DictProxy::apply does. \returns what f returned
  template <class F, class... A>
  requires SendableCall<F, T&, A...> && std::is_invocable_v<F&, T&, detail::Argument<A>...>
  auto apply(F f, A&&... args) const {
    using Result = detail::Applied<T, F, A...>;
    Request request(this->object_, Op::list_apply, "ValueProxy::apply");
    request.raw(std::uint64_t{0});
    Reply reply = detail::add_apply<T>(request, f, args...).send();
    if constexpr (!std::is_void_v<Result>) return reply.template value<Result>();
  }

  // For the library.
  static constexpr detail::ObjectKind kKind = detail::ObjectKind::value;
  static constexpr std::uint32_t type() { return detail::fingerprint<T>(); }
  explicit ValueProxy(detail::ManagerObject object) noexcept
      : detail::ManagerProxy<ValueProxy>(std::move(object)) {}

 private:
  [[nodiscard]] Request request(Op op, std::string_view call) const {
    Request request(this->object_, op, call);
    request.raw(std::uint64_t{0});
    return request;
  }
};

}  // namespace tandem
