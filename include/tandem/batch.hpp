/// \file
/// Many steps on a manager's dict or list in one trip to the server.
///
///     auto batch = counts.batch();
///     auto apples = batch.get("apples");
///     batch.set("pears", 3);
///     batch.run();
///     if (apples.get()) ...
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include "tandem/detail/manager_batch.hpp"
#include "tandem/detail/manager_thunks.hpp"

namespace tandem {

namespace detail {
/// What an apply of a batch returned.
template <class R>
R applied(BatchStep& step) {
  ManagerReply& reply = step.found();
  if constexpr (!std::is_void_v<R>) return reply.template value<R>();
}
}  // namespace detail

/// Collects steps on one dictionary; `run` has the server do them, in this order and with nobody's
/// steps between them. A step that fails does not undo the others and does not stop those after it.
/// After `run` the batch is empty and may be filled again. Move-only; one thread at a time.
template <class K, class V>
class DictBatch {
  using Op = detail::ManagerOp;
  using Step = detail::BatchStep;

 public:
  // For the library.
  explicit DictBatch(detail::ManagerObject object) : batch_(std::move(object)) {}

  /// As DictProxy::at. \returns what the step will have given when the batch has run; so do the others
  Later<V> at(const K& k) {
    return {key(Op::dict_get, "DictProxy::at", k),
            [](Step& s) { return s.found().template value<V>(); }};
  }
  /// As DictProxy::get.
  Later<std::optional<V>> get(const K& k) {
    return {key(Op::dict_get, "DictProxy::get", k), optional};
  }
  /// As DictProxy::pop; nothing where there is no such key.
  Later<std::optional<V>> pop(const K& k) {
    return {key(Op::dict_pop, "DictProxy::pop", k), optional};
  }
  /// As DictProxy::contains.
  Later<bool> contains(const K& k) {
    return {key(Op::dict_contains, "DictProxy::contains", k), whether};
  }
  /// As DictProxy::erase.
  Later<bool> erase(const K& k) { return {key(Op::dict_erase, "DictProxy::erase", k), whether}; }
  /// As DictProxy::set.
  void set(const K& k, const V& v) { value(Op::dict_set, "DictProxy::set", k, v); }
  /// As DictProxy::insert.
  Later<bool> insert(const K& k, const V& v) {
    return {value(Op::dict_insert, "DictProxy::insert", k, v), whether};
  }
  /// As DictProxy::set_default.
  Later<V> set_default(const K& k, const V& v) {
    return {value(Op::dict_set_default, "DictProxy::set_default", k, v),
            [](Step& s) { return s.reply().template value<V>(); }};
  }
  /// As DictProxy::fetch_add.
  Later<V> fetch_add(const K& k, std::type_identity_t<V> n) requires detail::Addable<V> {
    detail::ManagerRequest request(batch_.object(), Op::dict_fetch_add, "DictProxy::fetch_add");
    request.key(k).raw(detail::number_type<V>()).raw(n);
    return {batch_.add_needing(request, "DictProxy::fetch_add"),
            [](Step& s) { return s.found().template raw<V>(); }};
  }
  /// Runs `f(V&, args...)` in the server, as DictProxy::apply does.
  template <class F, class... A>
  requires SendableCall<F, V&, A...> && std::is_invocable_v<F&, V&, detail::Argument<A>...>
  auto apply(const K& k, F f, A&&... args) {
    detail::ManagerRequest request(batch_.object(), Op::dict_apply, "DictProxy::apply");
    detail::add_apply<V>(request.key(k), f, args...);
    return Later<detail::Applied<V, F, A...>>(batch_.add_needing(request, "DictProxy::apply"),
                                              detail::applied<detail::Applied<V, F, A...>>);
  }

  /// One trip. \throws EndOfFile when the server is gone: the steps may have been done or not; then
  /// what the first step threw whose result nobody holds, std::out_of_range for a fetch_add or apply
  /// that found no such key
  void run() { batch_.run("DictBatch::run"); }

 private:
  static std::optional<V> optional(Step& s) {
    detail::ManagerReply& reply = s.reply();
    if (!reply.found()) return std::nullopt;
    return reply.template value<V>();
  }
  static bool whether(Step& s) { return s.reply().found(); }
  auto key(Op op, std::string_view call, const K& k) {
    detail::ManagerRequest request(batch_.object(), op, call);
    return batch_.add(request.key(k), call);
  }
  std::shared_ptr<Step> value(Op op, std::string_view call, const K& k, const V& v) {
    detail::ManagerRequest request(batch_.object(), op, call);
    return batch_.add(request.key(k).value(v), call);
  }

  detail::ManagerBatch batch_;
};

/// The same for a list.
template <class T>
class ListBatch {
  using Op = detail::ManagerOp;
  using Step = detail::BatchStep;

 public:
  // For the library.
  explicit ListBatch(detail::ManagerObject object) : batch_(std::move(object)) {}

  /// As ListProxy::at.
  Later<T> at(std::size_t i) {
    detail::ManagerRequest request(batch_.object(), Op::list_get, "ListProxy::at");
    return {batch_.add(request.raw(std::uint64_t{i}), "ListProxy::at"),
            [](Step& s) { return s.found().template value<T>(); }};
  }
  /// As ListProxy::push_back.
  void push_back(const T& v) {
    detail::ManagerRequest request(batch_.object(), Op::list_extend, "ListProxy::push_back");
    batch_.add(request.value(v), "ListProxy::push_back");
  }
  /// \returns later whether there was such a position
  Later<bool> set(std::size_t i, const T& v) {
    detail::ManagerRequest request(batch_.object(), Op::list_set, "ListProxy::set");
    return {batch_.add(request.raw(std::uint64_t{i}).value(v), "ListProxy::set"),
            [](Step& s) { return s.reply().found(); }};
  }
  /// As ListProxy::pop_back; nothing where the list is empty.
  Later<std::optional<T>> pop_back() {
    detail::ManagerRequest request(batch_.object(), Op::list_pop_back, "ListProxy::pop_back");
    return {batch_.add(request, "ListProxy::pop_back"), [](Step& s) -> std::optional<T> {
              detail::ManagerReply& reply = s.reply();
              if (!reply.found()) return std::nullopt;
              return reply.template value<T>();
            }};
  }
  /// As ListProxy::fetch_add.
  Later<T> fetch_add(std::size_t i, std::type_identity_t<T> n) requires detail::Addable<T> {
    detail::ManagerRequest request(batch_.object(), Op::list_fetch_add, "ListProxy::fetch_add");
    request.raw(std::uint64_t{i}).raw(detail::number_type<T>()).raw(n);
    return {batch_.add_needing(request, "ListProxy::fetch_add"),
            [](Step& s) { return s.found().template raw<T>(); }};
  }
  /// Runs `f(T&, args...)` in the server, as ListProxy::apply does.
  template <class F, class... A>
  requires SendableCall<F, T&, A...> && std::is_invocable_v<F&, T&, detail::Argument<A>...>
  auto apply(std::size_t i, F f, A&&... args) {
    detail::ManagerRequest request(batch_.object(), Op::list_apply, "ListProxy::apply");
    detail::add_apply<T>(request.raw(std::uint64_t{i}), f, args...);
    return Later<detail::Applied<T, F, A...>>(batch_.add_needing(request, "ListProxy::apply"),
                                              detail::applied<detail::Applied<T, F, A...>>);
  }

  /// As DictBatch::run.
  void run() { batch_.run("ListBatch::run"); }

 private:
  detail::ManagerBatch batch_;
};

}  // namespace tandem
