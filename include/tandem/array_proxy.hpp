/// \file
/// An array that lives in a Manager's server and is used from any process.
///
///     auto hits = manager.array<int>(10);          // ten zeros
///     tandem::Process child([](tandem::ArrayProxy<int> a) { a.fetch_add(3, 1); }, hits);
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/detail/element.hpp"
#include "tandem/detail/manager_proxy.hpp"
#include "tandem/detail/manager_thunks.hpp"
#include "tandem/detail/unique_encoding.hpp"

namespace tandem {

/// Names an array of a manager: a ListProxy whose length never changes. What DictProxy says about
/// copies, lifetime, steps, threads and errors holds here too; a position that does not exist is
/// `std::out_of_range`, nothing changed.
template <class T>
class ArrayProxy : public detail::ManagerProxy<ArrayProxy<T>> {
  static_assert(Sendable<T>, "an array's elements travel: they must be Sendable");
  using Request = detail::ManagerRequest;
  using Reply = detail::ManagerReply;
  using Op = detail::ManagerOp;

 public:
  using value_type = T;
  using iterator = detail::SnapshotIterator<T>;
  using const_iterator = iterator;

  /// Names nothing.
  ArrayProxy() = default;

  /// A copy of the element. \throws std::out_of_range
  [[nodiscard]] T at(std::size_t i) const {
    Request request = at_index(Op::list_get, "ArrayProxy::at", i);
    return found("ArrayProxy::at", i, request.send()).template value<T>();
  }
  /// Replaces the element. \throws std::out_of_range
  void set(std::size_t i, const T& v) const {
    Request request = at_index(Op::list_set, "ArrayProxy::set", i);
    static_cast<void>(found("ArrayProxy::set", i, request.value(v).send()));
  }
  /// `a[i] = v` sets, `T v = a[i]` is `at(i)`, and `a[i] += v` does not compile.
  [[nodiscard]] auto operator[](std::size_t i) const {
    return detail::Element<ArrayProxy, std::size_t, T>(*this, i);
  }
  /// How many elements there are.
  [[nodiscard]] std::size_t size() const {
    return static_cast<std::size_t>(
        this->ask(Op::list_size, "ArrayProxy::size").template raw<std::uint64_t>());
  }
  /// The elements at from, from + 1, ... before `to`; ends beyond the array are the array's.
  [[nodiscard]] std::vector<T> slice(std::size_t from, std::size_t to) const {
    Request request = at_index(Op::list_slice, "ArrayProxy::slice", from);
    return request.raw(std::uint64_t{to}).send().template values<T>();
  }
  /// All elements, as they were at one moment.
  [[nodiscard]] std::vector<T> copy() const { return slice(0, static_cast<std::size_t>(-1)); }
  /// Iteration goes over `copy()` as it was at this call.
  [[nodiscard]] iterator begin() const { return iterator(copy()); }
  /// Behind the last element of the copy.
  [[nodiscard]] iterator end() const { return {}; }

  /// Adds n; integers wrap around. \returns the value before
  T fetch_add(std::size_t i, std::type_identity_t<T> n) const requires detail::Addable<T> {
    Request request = at_index(Op::list_fetch_add, "ArrayProxy::fetch_add", i);
    request.raw(detail::number_type<T>()).raw(n);
    return found("ArrayProxy::fetch_add", i, request.send()).template raw<T>();
  }
  /// Sets `desired` if the element is `expected`. \returns whether it was
  bool compare_exchange(std::size_t i, const T& expected,
                        const T& desired) const requires UniquelyEncoded<T> {
    Request request = at_index(Op::list_compare_exchange, "ArrayProxy::compare_exchange", i);
    request.key(expected).value(desired);
    return found("ArrayProxy::compare_exchange", i, request.send()).template raw<bool>();
  }
  /// Runs `f(T&, args...)` in the server, alone, as DictProxy::apply does.
  template <class F, class... A>
  requires SendableCall<F, T&, A...> && std::is_invocable_v<F&, T&, detail::Argument<A>...>
  auto apply(std::size_t i, F f, A&&... args) const {
    using Result = detail::Applied<T, F, A...>;
    Request request = at_index(Op::list_apply, "ArrayProxy::apply", i);
    Reply reply = found("ArrayProxy::apply", i, detail::add_apply<T>(request, f, args...).send());
    if constexpr (!std::is_void_v<Result>) return reply.template value<Result>();
  }

  // For the library.
  static constexpr detail::ObjectKind kKind = detail::ObjectKind::array;
  static constexpr std::uint32_t type() { return detail::fingerprint<T>(); }
  explicit ArrayProxy(detail::ManagerObject object) noexcept
      : detail::ManagerProxy<ArrayProxy>(std::move(object)) {}

 private:
  [[nodiscard]] Request at_index(Op op, std::string_view call, std::size_t i) const {
    Request request(this->object_, op, call);
    request.raw(std::uint64_t{i});
    return request;
  }
  [[nodiscard]] Reply found(std::string_view call, std::size_t i, Reply reply) const {
    if (!reply.found()) {
      detail::throw_out_of_range(call, this->object_, "no position " + std::to_string(i));
    }
    return reply;
  }
};

}  // namespace tandem
