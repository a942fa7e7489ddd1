/// \file
/// What the proxies of a Manager have in common: a handle that is a value, and how a call waits.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/manager_client.hpp"
#include "tandem/detail/manager_protocol.hpp"

namespace tandem::detail {

/// The base of `Proxy`, which has kKind, type() and a constructor from a ManagerObject.
template <class Proxy>
class ManagerProxy {
 public:
  using TandemHandle = void;

  // For the library: crossing to another process.
  void save(Encoder& to) const { object_.save(to); }
  [[nodiscard]] static Proxy detail_decode(Decoder& from) {
    return Proxy(ManagerObject::load(from, Proxy::kKind, Proxy::type()));
  }

  /// Whether both name the same object.
  friend bool operator==(const ManagerProxy& a, const ManagerProxy& b) noexcept {
    return a.object_ == b.object_;
  }

 protected:
  ManagerProxy() = default;
  explicit ManagerProxy(ManagerObject object) noexcept : object_(std::move(object)) {}

  [[nodiscard]] ManagerReply ask(ManagerOp op, std::string_view call) const {
    return ManagerRequest(object_, op, call).send();
  }
  /// A step that may wait in the server. \returns false when the deadline passed first
  template <class... Raw>
  [[nodiscard]] bool wait_in_server(ManagerOp op, std::string_view call, Deadline deadline,
                                    const Raw&... more) const {
    ManagerRequest request(object_, op, call);
    request.timeout(deadline);
    (request.raw(more), ...);
    return request.send().found();
  }

  ManagerObject object_;
};

/// The calling thread's number, which no other thread of this process ever has: what owns a lock of
/// a manager is this thread of this process.
[[nodiscard]] TANDEM_EXPORT std::uint64_t manager_thread() noexcept;

}  // namespace tandem::detail
