/// \file
/// An object of a class of the program that lives in a Manager's server and is used from any
/// process.
///
///     class Account { public: explicit Account(int cents); void deposit(int cents); int cents() const; };
///
///     auto account = manager.create<Account>(100);
///     account.call<&Account::deposit>(50);
///     int cents = account.call<&Account::cents>();
#pragma once

#include <cstdint>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tandem/detail/manager_proxy.hpp"
#include "tandem/detail/object_thunks.hpp"

namespace tandem {

/// Names an object of a manager. What DictProxy says about copies, lifetime, threads and errors
/// holds here too. T need not be Sendable: it is made in the server and never leaves it, and is
/// destroyed when nothing refers to it any more.
///
/// One call is one step: nobody's comes between, so T needs no locks. A slow one delays only others
/// on the same object. A method that throws has done what it had done until then. Needs the same
/// build of the program at both ends; DecodeError says so. Methods must not use the manager (that
/// throws), and a proxy kept in a member does not keep its object alive.
template <class T>
class ObjectProxy : public detail::ManagerProxy<ObjectProxy<T>> {
 public:
  /// Names nothing.
  ObjectProxy() = default;

  /// Calls the method in the server, `object.method(args...)`. One that is not overloaded, const or
  /// not; its parameters and result must be Sendable, or references to what is.
  /// \returns what the method returned, references as copies
  /// \throws what the method threw, with its type
  template <auto method, class... A>
  requires detail::MethodOf<method, T>
  auto call(A&&... args) const {
    using Method = detail::Method<decltype(method)>;
    using Result = typename Method::Result;
    static_assert(sizeof...(A) == Method::kParameters,
                  "ObjectProxy::call: as many arguments as the method has parameters");
    detail::ManagerRequest request(this->object_, detail::ManagerOp::object_call,
                                   "ObjectProxy::call");
    constexpr auto* kThunk = &detail::method_thunk<T, method>;
    request.raw(detail::thunk_key<detail::MethodThunk<T>, kThunk>().place)
        .bytes([&](detail::Encoder& to) { Method::encode(to, std::forward<A>(args)...); });
    detail::ManagerReply reply = request.send();
    if constexpr (!std::is_void_v<Result>) return reply.template value<Result>();
  }

  // For the library.
  static constexpr detail::ObjectKind kKind = detail::ObjectKind::object;
  static constexpr std::uint32_t type() {
    constexpr std::uint64_t hash = detail::hash_type_name(detail::type_name<T>());
    return static_cast<std::uint32_t>(hash ^ (hash >> 32)) | 1u;
  }
  explicit ObjectProxy(detail::ManagerObject object) noexcept
      : detail::ManagerProxy<ObjectProxy>(std::move(object)) {}
};

}  // namespace tandem
