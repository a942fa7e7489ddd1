/// \file
/// A place in a Manager's server where a fixed number of threads and processes wait until all have
/// come.
///
///     auto barrier = manager.barrier(3);
///     std::size_t index = barrier.wait();        // returns in all three, with 0, 1 and 2
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "tandem/detail/manager_proxy.hpp"

namespace tandem {

/// Names a barrier of a manager. What DictProxy says about copies, lifetime, threads and errors
/// holds here too.
///
/// It breaks when `abort` is called, when a party has waited longer than its timeout, and when a
/// party is killed within `wait`: all who wait then throw `BrokenBarrier`, and so does every later
/// `wait` until `reset`. A party that dies elsewhere never comes: the others wait for it until their
/// timeout.
class BarrierProxy : public detail::ManagerProxy<BarrierProxy> {
  using Op = detail::ManagerOp;

 public:
  /// Names nothing.
  BarrierProxy() = default;

  /// Waits until all have come.
  /// \returns 0 to parties - 1, a different one for each party
  /// \throws BrokenBarrier
  std::size_t wait() const { return wait_before(detail::Deadline::never(), "BarrierProxy::wait"); }
  /// The same with a timeout. When it passes the barrier is broken for all. Zero or negative breaks
  /// it unless the caller is the last to come.
  template <class Rep, class Period>
  std::size_t wait_for(const std::chrono::duration<Rep, Period>& d) const {
    return wait_before(detail::Deadline::after(d), "BarrierProxy::wait_for");
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  std::size_t wait_until(
      const std::chrono::time_point<std::chrono::steady_clock, Duration>& tp) const {
    return wait_before(detail::Deadline::at(tp), "BarrierProxy::wait_until");
  }

  /// Breaks it.
  void abort() const { static_cast<void>(ask(Op::barrier_abort, "BarrierProxy::abort")); }
  /// Makes it as new; who waits throws `BrokenBarrier`.
  void reset() const { static_cast<void>(ask(Op::barrier_reset, "BarrierProxy::reset")); }
  /// Whether `wait` throws `BrokenBarrier`.
  [[nodiscard]] bool broken() const { return state("BarrierProxy::broken").broken; }
  /// How many must come.
  [[nodiscard]] std::size_t parties() const { return state("BarrierProxy::parties").parties; }
  /// How many have come and wait for the others.
  [[nodiscard]] std::size_t waiting() const { return state("BarrierProxy::waiting").waiting; }

  // For the library.
  static constexpr detail::ObjectKind kKind = detail::ObjectKind::barrier;
  static constexpr std::uint32_t type() { return 1; }
  explicit BarrierProxy(detail::ManagerObject object) noexcept : ManagerProxy(std::move(object)) {}

 private:
  struct State {
    std::size_t parties;
    std::size_t waiting;
    bool broken;
  };
  [[nodiscard]] std::size_t wait_before(detail::Deadline deadline, std::string_view call) const {
    detail::ManagerRequest request(object_, Op::barrier_wait, call);
    return static_cast<std::size_t>(request.timeout(deadline).send().raw<std::uint64_t>());
  }
  [[nodiscard]] State state(std::string_view call) const {
    detail::ManagerReply reply = ask(Op::barrier_state, call);
    State state{};
    state.parties = static_cast<std::size_t>(reply.raw<std::uint64_t>());
    state.waiting = static_cast<std::size_t>(reply.raw<std::uint64_t>());
    state.broken = reply.raw<std::uint8_t>() != 0;
    return state;
  }
};

}  // namespace tandem
