/// \file
/// Semaphores that live in a Manager's server: between processes of any machines.
///
///     auto licences = manager.bounded_semaphore(4);
///     licences.acquire();                          // waits while four are in use
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "tandem/detail/manager_proxy.hpp"

namespace tandem {

/// Names a semaphore of a manager. What DictProxy says about copies, lifetime, threads and errors
/// holds here too. Any thread may release what another acquired; who waits is served in the order of
/// arrival.
///
/// A permit has no owner: a process that dies takes the permits it had acquired along, for ever. One
/// that dies while it waits harms nobody.
///
/// \tparam kind SemaphoreProxy or BoundedSemaphoreProxy, which never has more permits than it began
/// with
template <detail::ObjectKind kind>
class BasicSemaphoreProxy : public detail::ManagerProxy<BasicSemaphoreProxy<kind>> {
  using Op = detail::ManagerOp;

 public:
  /// Names nothing.
  BasicSemaphoreProxy() = default;

  /// Waits for a permit and takes it.
  void acquire() const {
    (void)acquire_before(detail::Deadline::never(), "SemaphoreProxy::acquire");
  }
  /// \returns whether it took one
  [[nodiscard]] bool try_acquire() const {
    return acquire_before(detail::Deadline::now(), "SemaphoreProxy::try_acquire");
  }
  /// Waits at most that long. Zero or negative means try once.
  template <class Rep, class Period>
  [[nodiscard]] bool try_acquire_for(const std::chrono::duration<Rep, Period>& d) const {
    return acquire_before(detail::Deadline::after(d), "SemaphoreProxy::try_acquire_for");
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] bool try_acquire_until(
      const std::chrono::time_point<std::chrono::steady_clock, Duration>& tp) const {
    return acquire_before(detail::Deadline::at(tp), "SemaphoreProxy::try_acquire_until");
  }
  /// Adds that many permits, all at once.
  /// \throws SystemError EOVERFLOW when there would be too many; then none was added
  void release(std::size_t permits = 1) const {
    detail::ManagerRequest(this->object_, Op::semaphore_release, "SemaphoreProxy::release")
        .raw(std::uint64_t{permits})
        .run();
  }
  /// How many could be taken now.
  [[nodiscard]] std::size_t value() const {
    return static_cast<std::size_t>(
        this->ask(Op::semaphore_value, "SemaphoreProxy::value").template raw<std::uint64_t>());
  }

  // For the library.
  static constexpr detail::ObjectKind kKind = kind;
  static constexpr std::uint32_t type() { return 1; }
  explicit BasicSemaphoreProxy(detail::ManagerObject object) noexcept
      : detail::ManagerProxy<BasicSemaphoreProxy>(std::move(object)) {}

 private:
  [[nodiscard]] bool acquire_before(detail::Deadline deadline, std::string_view call) const {
    return this->wait_in_server(Op::semaphore_acquire, call, deadline);
  }
};

/// A semaphore that may have more permits than it began with.
using SemaphoreProxy = BasicSemaphoreProxy<detail::ObjectKind::semaphore>;
/// A semaphore that never has more permits than it began with.
using BoundedSemaphoreProxy = BasicSemaphoreProxy<detail::ObjectKind::bounded_semaphore>;

}  // namespace tandem
