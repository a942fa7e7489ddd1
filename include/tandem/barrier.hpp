/// \file
/// A place where a fixed number of threads and processes wait until all have come.
///
///     tandem::Barrier barrier(3);
///     tandem::Process child(work, barrier);      // and another one, and ourselves
///     child.start();
///     std::size_t index = barrier.wait();        // returns in all three, with 0, 1 and 2
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "tandem/call.hpp"
#include "tandem/detail/barrier_core.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"

namespace tandem {

/// A copy names the same barrier; it lives as long as a handle does in any process. Sendable to
/// processes and over connections of this machine, those of the same program if it has an action.
///
/// A barrier breaks when `abort` is called, when a party has waited longer than its timeout, when
/// the action throws, and when a party is killed within `wait`: all who wait then throw
/// `BrokenBarrier` (within 100 ms of a death), and so does every later `wait` until `reset`. A party
/// that dies elsewhere never comes: the others wait for it until their timeout.
///
/// As Python's `multiprocessing.Barrier`, which waits for ever when a party is killed. While the
/// action runs nobody times out.
class TANDEM_EXPORT Barrier {
 public:
  using TandemHandle = void;

  /// \param parties how many must come, 1 to 65536
  /// \param action run by the last to come, before any is released; see the other constructors
  /// \param timeout how long each `wait` waits for the others; nothing: for ever
  /// \throws SystemError EINVAL for a number that cannot be; when there is no memory or descriptor
  explicit Barrier(std::size_t parties, const Call& action = {},
                   std::optional<duration> timeout = {});
  /// \param action a SendableCall without arguments; `tandem::call(f, args...)` gives it some
  template <class F>
  requires std::invocable < std::decay_t<F>
  & > explicit Barrier(std::size_t parties, F&& action, std::optional<duration> timeout = {})
      : Barrier(parties, call(std::forward<F>(action)), timeout) {}
  /// Without an action: \param none std::nullopt or nullptr
  template <class None>
  requires std::same_as<None, std::nullopt_t> || std::same_as<None, std::nullptr_t>
  explicit Barrier(std::size_t parties, [[maybe_unused]] None none,
                   std::optional<duration> timeout = {})
      : Barrier(parties, Call(), timeout) {}

  Barrier(const Barrier&) = default;
  Barrier& operator=(const Barrier&) = default;
  ~Barrier() = default;

  /// Waits until all have come, at most for the barrier's own timeout.
  /// \returns 0 to parties - 1, a different one for each party
  /// \throws BrokenBarrier
  /// \throws what the action throws, for the party that runs it
  std::size_t wait() { return core_->wait(core_->own_deadline(), "Barrier::wait"); }
  /// The same with another timeout. When it passes the barrier is broken for all. Zero or negative
  /// breaks it unless the caller is the last to come.
  template <class Rep, class Period>
  std::size_t wait_for(const std::chrono::duration<Rep, Period>& d) {
    return core_->wait(detail::Deadline::after(d), "Barrier::wait_for");
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  std::size_t wait_until(const std::chrono::time_point<std::chrono::steady_clock, Duration>& tp) {
    return core_->wait(detail::Deadline::at(tp), "Barrier::wait_until");
  }

  /// Breaks it. Never waits.
  void abort() noexcept { core_->abort(); }
  /// Makes it as new; who waits throws `BrokenBarrier`.
  void reset() { core_->reset(); }
  /// Whether `wait` throws `BrokenBarrier`.
  [[nodiscard]] bool broken() const noexcept { return core_->broken(); }
  /// How many must come.
  [[nodiscard]] std::size_t parties() const noexcept { return core_->parties(); }
  /// How many have come and wait for the others.
  [[nodiscard]] std::size_t waiting() const noexcept { return core_->waiting(); }

  /// As messages call it; the same in every process.
  [[nodiscard]] const std::string& name() const noexcept { return core_->name(); }

  void save(detail::Encoder& to) const;
  [[nodiscard]] static Barrier detail_decode(detail::Decoder& from);

 private:
  explicit Barrier(std::shared_ptr<detail::BarrierCore> core) noexcept;

  std::shared_ptr<detail::BarrierCore> core_;
};

}  // namespace tandem
