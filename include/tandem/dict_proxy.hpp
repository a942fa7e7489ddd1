/// \file
/// A dictionary that lives in a Manager's server and is used from any process.
///
///     tandem::Manager manager;
///     auto counts = manager.dict<std::string, int>({{"apples", 0}});
///     tandem::Process child(
///         [](tandem::DictProxy<std::string, int> d) { d.fetch_add("apples", 3); }, counts);
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/batch.hpp"
#include "tandem/detail/element.hpp"
#include "tandem/detail/manager_proxy.hpp"
#include "tandem/detail/manager_thunks.hpp"
#include "tandem/detail/unique_encoding.hpp"

namespace tandem {

/// Names a dictionary of a manager. A copy names the same one; the dictionary lives while any proxy
/// in any process, a container of its manager, or a name refers to it. Two containers that hold
/// each other keep each other alive until the manager ends: clear one of them.
///
/// Every member function is one atomic step in the server, which works on encoded bytes. May be
/// used from any thread and any process. All throw `EndOfFile` when the server is gone, `Closed`
/// when this proxy names nothing, and what the step threw, with its type. What Python spells
/// `d[k] += 1` and loses updates by is `fetch_add(k, 1)` or `apply(k, f)` here.
template <class K, class V>
class DictProxy : public detail::ManagerProxy<DictProxy<K, V>> {
  using Request = detail::ManagerRequest;
  using Reply = detail::ManagerReply;
  using Op = detail::ManagerOp;

 public:
  using key_type = K;
  using mapped_type = V;
  using value_type = std::pair<K, V>;
  using iterator = detail::SnapshotIterator<value_type>;
  using const_iterator = iterator;

  /// Names nothing.
  DictProxy() { check(); }

  /// \throws std::out_of_range when there is no such key
  [[nodiscard]] V at(const K& k) const {
    return found("DictProxy::at", with_key(Op::dict_get, "DictProxy::at", k)).template value<V>();
  }
  /// A copy of the value; nothing when there is no such key.
  [[nodiscard]] std::optional<V> get(const K& k) const {
    return maybe(with_key(Op::dict_get, "DictProxy::get", k));
  }
  /// A copy of the value, or `otherwise` when there is no such key.
  [[nodiscard]] V get_or(const K& k, V otherwise) const {
    Reply reply = with_key(Op::dict_get, "DictProxy::get_or", k);
    return reply.found() ? reply.template value<V>() : std::move(otherwise);
  }
  /// Puts the value there, whatever was there before.
  void set(const K& k, const V& v) const {
    Request(this->object_, Op::dict_set, "DictProxy::set").key(k).value(v).run();
  }
  /// \returns false, nothing changed, when the key was there
  bool insert(const K& k, const V& v) const {
    return Request(this->object_, Op::dict_insert, "DictProxy::insert")
        .key(k)
        .value(v)
        .send()
        .found();
  }
  /// \returns whether the key was there
  bool erase(const K& k) const { return with_key(Op::dict_erase, "DictProxy::erase", k).found(); }
  /// Takes the value out. \throws std::out_of_range when there is no such key
  V pop(const K& k) const {
    return found("DictProxy::pop", with_key(Op::dict_pop, "DictProxy::pop", k)).template value<V>();
  }
  /// Takes the value out; `otherwise` when there is no such key.
  V pop(const K& k, V otherwise) const {
    Reply reply = with_key(Op::dict_pop, "DictProxy::pop", k);
    return reply.found() ? reply.template value<V>() : std::move(otherwise);
  }
  /// Takes the youngest key out, as Python does; nothing when empty.
  std::optional<std::pair<K, V>> pop_item() const {
    Reply reply = Request(this->object_, Op::dict_pop_item, "DictProxy::pop_item").send();
    if (!reply.found()) return std::nullopt;
    K key = reply.template value<K>();
    return std::pair<K, V>(std::move(key), reply.template value<V>());
  }
  /// \returns the value there, after `v` was put there if there was none
  V set_default(const K& k, const V& v) const {
    return Request(this->object_, Op::dict_set_default, "DictProxy::set_default")
        .key(k)
        .value(v)
        .send()
        .template value<V>();
  }
  /// Sets every pair of a range in one step; of equal keys the last wins.
  template <std::ranges::input_range Range>
  void update(Range&& pairs) const {
    Request request(this->object_, Op::dict_update, "DictProxy::update");
    for (auto&& [k, v] : pairs) {
      request.key(static_cast<const K&>(k)).value(static_cast<const V&>(v));
    }
    request.run();
  }
  /// Sets these pairs in one step.
  void update(std::initializer_list<std::pair<K, V>> pairs) const {
    update<const std::initializer_list<std::pair<K, V>>&>(pairs);
  }
  /// Whether there is such a key.
  [[nodiscard]] bool contains(const K& k) const {
    return with_key(Op::dict_contains, "DictProxy::contains", k).found();
  }
  /// How many keys there are.
  [[nodiscard]] std::size_t size() const {
    return static_cast<std::size_t>(Request(this->object_, Op::dict_size, "DictProxy::size")
                                        .send()
                                        .template raw<std::uint64_t>());
  }
  /// Whether there are none.
  [[nodiscard]] bool empty() const { return size() == 0; }
  /// Erases all keys.
  void clear() const { Request(this->object_, Op::dict_clear, "DictProxy::clear").run(); }

  /// In ascending order.
  [[nodiscard]] std::vector<K> keys() const {
    auto all = Request(this->object_, Op::dict_keys, "DictProxy::keys").send().template values<K>();
    std::sort(all.begin(), all.end());
    return all;
  }
  /// In the order of their keys.
  [[nodiscard]] std::vector<V> values() const {
    std::vector<V> all;
    for (auto& item : items()) all.push_back(std::move(item.second));
    return all;
  }
  /// In the order of their keys.
  [[nodiscard]] std::vector<std::pair<K, V>> items() const {
    Reply reply = Request(this->object_, Op::dict_items, "DictProxy::items").send();
    const auto n = reply.template raw<std::uint64_t>();
    std::vector<std::pair<K, V>> all;
    all.reserve(reply.plausible(n));
    for (std::uint64_t i = 0; i < n; ++i) {
      K key = reply.template value<K>();
      all.emplace_back(std::move(key), reply.template value<V>());
    }
    std::sort(all.begin(), all.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    return all;
  }
  /// All items, as they were at one moment.
  [[nodiscard]] std::map<K, V> copy() const {
    std::map<K, V> all;
    for (auto& [k, v] : items()) all.emplace_hint(all.end(), std::move(k), std::move(v));
    return all;
  }
  /// Iteration goes over `items()` as they were at this call.
  [[nodiscard]] iterator begin() const { return iterator(items()); }
  /// Behind the last of the items.
  [[nodiscard]] iterator end() const { return {}; }

  /// `d[k] = v` sets, `V v = d[k]` is `at(k)`, and `d[k] += v` does not compile.
  [[nodiscard]] auto operator[](K k) const {
    return detail::Element<DictProxy, K, V>(*this, std::move(k));
  }

  /// Adds n; integers wrap around. \returns the value before
  /// \throws std::out_of_range when there is no such key; none is made
  V fetch_add(const K& k, std::type_identity_t<V> n) const requires detail::Addable<V> {
    return found("DictProxy::fetch_add",
                 Request(this->object_, Op::dict_fetch_add, "DictProxy::fetch_add")
                     .key(k)
                     .raw(detail::number_type<V>())
                     .raw(n)
                     .send())
        .template raw<V>();
  }
  /// Sets `desired` if the value is `expected`. \returns whether it was
  /// \throws std::out_of_range when there is no such key
  bool compare_exchange(const K& k, const V& expected,
                        const V& desired) const requires UniquelyEncoded<V> {
    return found("DictProxy::compare_exchange",
                 Request(this->object_, Op::dict_compare_exchange, "DictProxy::compare_exchange")
                     .key(k)
                     .key(expected)
                     .value(desired)
                     .send())
        .template raw<bool>();
  }
  /// Runs `f(V&, args...)` in the server, alone, and keeps what it made of the value. f must not
  /// use the manager (that throws); an f that throws leaves the value as it was. A slow f
  /// delays only steps on this dictionary. Needs the same build of the program at both ends.
  /// \returns what f returned. \throws std::out_of_range when there is no such key; what f threw
  template <class F, class... A>
  requires SendableCall<F, V&, A...> && std::is_invocable_v<F&, V&, detail::Argument<A>...>
  auto apply(const K& k, F f, A&&... args) const {
    using Result = detail::Applied<V, F, A...>;
    Request request(this->object_, Op::dict_apply, "DictProxy::apply");
    Reply reply =
        found("DictProxy::apply", detail::add_apply<V>(request.key(k), f, args...).send());
    if constexpr (!std::is_void_v<Result>) return reply.template value<Result>();
  }

  /// Collects steps for one trip to the server. \see DictBatch
  [[nodiscard]] DictBatch<K, V> batch() const { return DictBatch<K, V>(this->object_); }

  // For the library.
  static constexpr detail::ObjectKind kKind = detail::ObjectKind::dict;
  static constexpr std::uint32_t type() { return detail::fingerprint<std::pair<K, V>>(); }
  explicit DictProxy(detail::ManagerObject object) noexcept
      : detail::ManagerProxy<DictProxy>(std::move(object)) {
    check();
  }

 private:
  static constexpr void check() {
    static_assert(UniquelyEncoded<K>,
                  "the server finds keys by their bytes: a key needs one encoding per value, so no "
                  "floating point, no padding and no unordered container");
    static_assert(Sendable<V>, "a dict's values travel: they must be Sendable");
  }

  [[nodiscard]] Reply with_key(Op op, std::string_view call, const K& k) const {
    return Request(this->object_, op, call).key(k).send();
  }
  [[nodiscard]] static std::optional<V> maybe(Reply reply) {
    if (!reply.found()) return std::nullopt;
    return reply.template value<V>();
  }
  [[nodiscard]] Reply found(std::string_view call, Reply reply) const {
    if (!reply.found()) detail::throw_out_of_range(call, this->object_, "no such key");
    return reply;
  }
};

}  // namespace tandem
