/// \file
/// A flag in a Manager's server that one process sets and others wait for.
///
///     auto ready = manager.event();
///     tandem::Process child(serve, ready);
///     child.start();
///     ready.wait();
#pragma once

#include <chrono>
#include <cstdint>
#include <utility>

#include "tandem/detail/manager_proxy.hpp"

namespace tandem {

/// Names an event of a manager. What DictProxy says about copies, lifetime, threads and errors holds
/// here too. As `Event`: a `set` that is followed by a `clear` still releases all who were waiting.
class EventProxy : public detail::ManagerProxy<EventProxy> {
  using Op = detail::ManagerOp;

 public:
  /// Names nothing.
  EventProxy() = default;

  /// Releases all who wait, and all who will until `clear`.
  void set() const { static_cast<void>(ask(Op::event_set, "EventProxy::set")); }
  /// From now on `wait` waits again.
  void clear() const { static_cast<void>(ask(Op::event_clear, "EventProxy::clear")); }
  /// Whether `wait` would return at once.
  [[nodiscard]] bool is_set() const { return ask(Op::event_is_set, "EventProxy::is_set").found(); }
  /// Returns once it is, or was while waiting, set.
  void wait() const {
    (void)wait_in_server(Op::event_wait, "EventProxy::wait", detail::Deadline::never());
  }
  /// \returns false when it was not set in that time. Zero or negative means look once.
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(const std::chrono::duration<Rep, Period>& d) const {
    return wait_in_server(Op::event_wait, "EventProxy::wait_for", detail::Deadline::after(d));
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] bool wait_until(
      const std::chrono::time_point<std::chrono::steady_clock, Duration>& tp) const {
    return wait_in_server(Op::event_wait, "EventProxy::wait_until", detail::Deadline::at(tp));
  }

  // For the library.
  static constexpr detail::ObjectKind kKind = detail::ObjectKind::event;
  static constexpr std::uint32_t type() { return 1; }
  explicit EventProxy(detail::ManagerObject object) noexcept : ManagerProxy(std::move(object)) {}
};

}  // namespace tandem
