/// \file
/// Named values of any types that live in a Manager's server.
///
///     auto settings = manager.namespace_();
///     settings.set("rounds", 10);
///     settings.set("title", std::string("first run"));
///     int rounds = settings.get<int>("rounds");
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/detail/fingerprint.hpp"
#include "tandem/detail/manager_proxy.hpp"
#include "tandem/error.hpp"
#include "tandem/sendable.hpp"

namespace tandem {

/// Names a namespace of a manager. What DictProxy says about copies, lifetime, steps, threads and
/// errors holds here too. As Python's `Manager().Namespace()`, with `ns.x = v` spelt `ns.set("x",
/// v)`: a value has a type, and is read with that type.
class NamespaceProxy : public detail::ManagerProxy<NamespaceProxy> {
  using Op = detail::ManagerOp;

 public:
  /// Names nothing.
  NamespaceProxy() = default;

  /// A string literal is set as a std::string.
  template <class T>
  void set(std::string_view name, const T& v) const {
    using Stored = detail::Argument<const T&>;
    static_assert(Sendable<Stored>, "a namespace's values travel: they must be Sendable");
    detail::ManagerRequest request(object_, Op::dict_set, "NamespaceProxy::set");
    request.key(std::string(name)).value_by([&](detail::Encoder& to) {
      to.write_raw(detail::fingerprint<Stored>());
      detail::encode<Stored>(to, static_cast<const Stored&>(v));
    });
    request.run();
  }
  /// \throws std::out_of_range when there is no such name; Error when it was set as another type
  template <class T>
  [[nodiscard]] T get(std::string_view name) const {
    static_assert(Sendable<T>, "a namespace's values travel: they must be Sendable");
    detail::ManagerReply reply = with_name(Op::dict_get, "NamespaceProxy::get", name);
    if (!reply.found()) {
      detail::throw_out_of_range("NamespaceProxy::get", object_, "no " + std::string(name));
    }
    return reply.value_by([&](detail::Decoder& from) {
      if (from.read_raw<std::uint32_t>() != detail::fingerprint<T>()) {
        throw Error("NamespaceProxy::get on " + object_.description() + ": " + std::string(name) +
                    " is of another type");
      }
      return detail::decode<T>(from);
    });
  }
  /// Whether there is such a name.
  [[nodiscard]] bool contains(std::string_view name) const {
    return with_name(Op::dict_contains, "NamespaceProxy::contains", name).found();
  }
  /// \returns whether it was there
  bool erase(std::string_view name) const {
    return with_name(Op::dict_erase, "NamespaceProxy::erase", name).found();
  }
  /// In no particular order.
  [[nodiscard]] std::vector<std::string> names() const {
    return ask(Op::dict_keys, "NamespaceProxy::names").values<std::string>();
  }

  // For the library.
  static constexpr detail::ObjectKind kKind = detail::ObjectKind::namespace_;
  static constexpr std::uint32_t type() { return 1; }
  explicit NamespaceProxy(detail::ManagerObject object) noexcept
      : ManagerProxy(std::move(object)) {}

 private:
  [[nodiscard]] detail::ManagerReply with_name(Op op, std::string_view call,
                                               std::string_view name) const {
    return detail::ManagerRequest(object_, op, call).key(std::string(name)).send();
  }
};

}  // namespace tandem
