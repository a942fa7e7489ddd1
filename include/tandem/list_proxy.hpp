/// \file
/// A list that lives in a Manager's server and is used from any process.
///
///     auto results = manager.list<double>();
///     tandem::Process child([](tandem::ListProxy<double> l) { l.push_back(0.5); }, results);
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/batch.hpp"
#include "tandem/detail/element.hpp"
#include "tandem/detail/manager_proxy.hpp"
#include "tandem/detail/manager_thunks.hpp"
#include "tandem/detail/unique_encoding.hpp"

namespace tandem {

/// Names a list of a manager. What DictProxy says about copies, lifetime, steps, threads and errors
/// holds here too. Positions count from zero; one that does not exist is `std::out_of_range`,
/// nothing changed.
template <class T>
class ListProxy : public detail::ManagerProxy<ListProxy<T>> {
  using Request = detail::ManagerRequest;
  using Reply = detail::ManagerReply;
  using Op = detail::ManagerOp;

 public:
  using value_type = T;
  using iterator = detail::SnapshotIterator<T>;
  using const_iterator = iterator;

  /// Names nothing.
  ListProxy() { check(); }

  /// Adds an element at the end.
  void push_back(const T& v) const {
    Request(this->object_, Op::list_extend, "ListProxy::push_back").value(v).run();
  }
  /// As push_back.
  void append(const T& v) const { push_back(v); }
  /// Appends every element of a range in one step.
  template <std::ranges::input_range Range>
  void extend(Range&& range) const {
    Request request(this->object_, Op::list_extend, "ListProxy::extend");
    for (auto&& v : range) request.value(static_cast<const T&>(v));
    request.run();
  }
  /// Appends these elements in one step.
  void extend(std::initializer_list<T> range) const {
    extend<const std::initializer_list<T>&>(range);
  }
  /// Puts v before position i; i may be the size.
  void insert(std::size_t i, const T& v) const {
    static_cast<void>(found("ListProxy::insert", i,
                            Request(this->object_, Op::list_insert, "ListProxy::insert")
                                .raw(std::uint64_t{i})
                                .value(v)
                                .send()));
  }
  /// Takes the last element out. \throws std::out_of_range when the list is empty
  T pop_back() const {
    Reply reply = Request(this->object_, Op::list_pop_back, "ListProxy::pop_back").send();
    if (!reply.found()) {
      detail::throw_out_of_range("ListProxy::pop_back", this->object_, "the list is empty");
    }
    return reply.template value<T>();
  }
  /// As pop_back.
  T pop() const { return pop_back(); }
  /// Takes the element at i out. \throws std::out_of_range
  T pop(std::size_t i) const {
    return found("ListProxy::pop", i, at_index(Op::list_pop, "ListProxy::pop", i))
        .template value<T>();
  }
  /// Erases the element at i. \throws std::out_of_range
  void erase(std::size_t i) const {
    static_cast<void>(
        found("ListProxy::erase", i, at_index(Op::list_erase, "ListProxy::erase", i)));
  }
  /// Erases the first element equal to v. \returns whether there was one
  bool remove(const T& v) const requires UniquelyEncoded<T> {
    return Request(this->object_, Op::list_remove, "ListProxy::remove").key(v).send().found();
  }
  /// A copy of the element at i. \throws std::out_of_range
  [[nodiscard]] T at(std::size_t i) const {
    return found("ListProxy::at", i, at_index(Op::list_get, "ListProxy::at", i))
        .template value<T>();
  }
  /// `l[i] = v` sets, `T v = l[i]` is `at(i)`, and `l[i] += v` does not compile.
  [[nodiscard]] auto operator[](std::size_t i) const {
    return detail::Element<ListProxy, std::size_t, T>(*this, i);
  }
  /// Replaces the element at i. \throws std::out_of_range
  void set(std::size_t i, const T& v) const {
    static_cast<void>(found("ListProxy::set", i,
                            Request(this->object_, Op::list_set, "ListProxy::set")
                                .raw(std::uint64_t{i})
                                .value(v)
                                .send()));
  }
  /// The elements at from, from + 1, ... before `to`; as in Python, ends beyond the list are the
  /// list's.
  [[nodiscard]] std::vector<T> slice(std::size_t from, std::size_t to) const {
    return Request(this->object_, Op::list_slice, "ListProxy::slice")
        .raw(std::uint64_t{from})
        .raw(std::uint64_t{to})
        .send()
        .template values<T>();
  }
  /// How many elements there are.
  [[nodiscard]] std::size_t size() const {
    return number(Request(this->object_, Op::list_size, "ListProxy::size").send());
  }
  /// Whether there are none.
  [[nodiscard]] bool empty() const { return size() == 0; }
  /// Erases all elements.
  void clear() const { Request(this->object_, Op::list_clear, "ListProxy::clear").run(); }
  /// \returns the position of the first element equal to v
  [[nodiscard]] std::optional<std::size_t> index(const T& v) const requires UniquelyEncoded<T> {
    Reply reply = Request(this->object_, Op::list_index, "ListProxy::index").key(v).send();
    if (!reply.found()) return std::nullopt;
    return number(std::move(reply));
  }
  /// \returns how many elements are equal to v
  [[nodiscard]] std::size_t count(const T& v) const requires UniquelyEncoded<T> {
    return number(Request(this->object_, Op::list_count, "ListProxy::count").key(v).send());
  }
  /// Sorts in the server, stably. `less` may throw: nothing is changed then.
  template <class F = std::less<>>
  requires SendableCall<F, const T&, const T&>
  void sort(F less = {}) const {
    constexpr auto* kThunk = &detail::sort_thunk<T, F>;
    Request(this->object_, Op::list_sort, "ListProxy::sort")
        .raw(detail::thunk_key<detail::SortThunk, kThunk>())
        .bytes([&](detail::Encoder& to) { detail::encode_callable<F>(to, less); })
        .run();
  }
  /// Turns the order round.
  void reverse() const { Request(this->object_, Op::list_reverse, "ListProxy::reverse").run(); }
  /// All elements, as they were at one moment.
  [[nodiscard]] std::vector<T> copy() const { return slice(0, static_cast<std::size_t>(-1)); }
  /// Iteration goes over `copy()` as it was at this call.
  [[nodiscard]] iterator begin() const { return iterator(copy()); }
  /// Behind the last element of the copy.
  [[nodiscard]] iterator end() const { return {}; }

  /// Adds n; integers wrap around. \returns the value before
  T fetch_add(std::size_t i, std::type_identity_t<T> n) const requires detail::Addable<T> {
    return found("ListProxy::fetch_add", i,
                 Request(this->object_, Op::list_fetch_add, "ListProxy::fetch_add")
                     .raw(std::uint64_t{i})
                     .raw(detail::number_type<T>())
                     .raw(n)
                     .send())
        .template raw<T>();
  }
  /// Sets `desired` if the element is `expected`. \returns whether it was
  bool compare_exchange(std::size_t i, const T& expected,
                        const T& desired) const requires UniquelyEncoded<T> {
    return found("ListProxy::compare_exchange", i,
                 Request(this->object_, Op::list_compare_exchange, "ListProxy::compare_exchange")
                     .raw(std::uint64_t{i})
                     .key(expected)
                     .value(desired)
                     .send())
        .template raw<bool>();
  }
  /// Runs `f(T&, args...)` in the server, alone, as DictProxy::apply does.
  template <class F, class... A>
  requires SendableCall<F, T&, A...> && std::is_invocable_v<F&, T&, detail::Argument<A>...>
  auto apply(std::size_t i, F f, A&&... args) const {
    using Result = detail::Applied<T, F, A...>;
    Request request(this->object_, Op::list_apply, "ListProxy::apply");
    request.raw(std::uint64_t{i});
    Reply reply = found("ListProxy::apply", i, detail::add_apply<T>(request, f, args...).send());
    if constexpr (!std::is_void_v<Result>) return reply.template value<Result>();
  }

  /// Collects steps for one trip to the server. \see ListBatch
  [[nodiscard]] ListBatch<T> batch() const { return ListBatch<T>(this->object_); }

  // For the library.
  static constexpr detail::ObjectKind kKind = detail::ObjectKind::list;
  static constexpr std::uint32_t type() { return detail::fingerprint<T>(); }
  explicit ListProxy(detail::ManagerObject object) noexcept
      : detail::ManagerProxy<ListProxy>(std::move(object)) {
    check();
  }

 private:
  static constexpr void check() {
    static_assert(Sendable<T>, "a list's elements travel: they must be Sendable");
  }

  [[nodiscard]] Reply at_index(Op op, std::string_view call, std::size_t i) const {
    return Request(this->object_, op, call).raw(std::uint64_t{i}).send();
  }
  [[nodiscard]] static std::size_t number(Reply reply) {
    return static_cast<std::size_t>(reply.template raw<std::uint64_t>());
  }
  [[nodiscard]] Reply found(std::string_view call, std::size_t i, Reply reply) const {
    if (!reply.found()) {
      detail::throw_out_of_range(call, this->object_, "no position " + std::to_string(i));
    }
    return reply;
  }
};

}  // namespace tandem
