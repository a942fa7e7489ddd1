/// \file
/// A number of permits that threads and processes take and give back.
///
///     tandem::BoundedSemaphore connections(4);
///     tandem::Process child(work, connections);    // the child counts in the same semaphore
///     child.start();
///     connections.acquire();                       // waits while four are in use
///     ...
///     connections.release();
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/semaphore_core.hpp"

namespace tandem {

/// A copy names the same semaphore; it lives as long as a handle does in any process. Sendable to
/// processes and over connections of this machine. Any thread may release what another acquired.
///
/// A permit has no owner. A process that dies takes the permits it had acquired along, for ever:
/// nobody can tell what it had from what it had handed on. Where that may happen wait with a
/// timeout, or use a Lock, which knows its holder. A process that dies while it waits harms nobody.
///
/// As Python's `multiprocessing.Semaphore`. At most 2^31 - 1 permits.
class TANDEM_EXPORT Semaphore {
 public:
  using TandemHandle = void;

  /// With one permit.
  Semaphore() : Semaphore(1) {}
  /// \param permits to begin with
  /// \throws SystemError EINVAL for too many; when there is no memory or no descriptor left
  explicit Semaphore(std::size_t permits);
  Semaphore(const Semaphore&) = default;
  Semaphore& operator=(const Semaphore&) = default;
  ~Semaphore() = default;

  /// Waits for a permit and takes it. What was written before the `release` of it is seen after.
  void acquire() { (void)core_->acquire(detail::Deadline::never()); }
  /// \returns whether it took one
  [[nodiscard]] bool try_acquire() { return core_->acquire(detail::Deadline::now()); }
  /// Waits at most that long. Zero or negative means try once.
  template <class Rep, class Period>
  [[nodiscard]] bool try_acquire_for(const std::chrono::duration<Rep, Period>& d) {
    return core_->acquire(detail::Deadline::after(d));
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] bool try_acquire_until(
      const std::chrono::time_point<std::chrono::steady_clock, Duration>& tp) {
    return core_->acquire(detail::Deadline::at(tp));
  }

  /// Adds that many permits, all at once. No system call when nobody waits.
  /// \throws SystemError EOVERFLOW when there would be too many; then none was added
  void release(std::size_t permits = 1) { core_->release(permits, "Semaphore::release"); }

  /// How many could be taken now; others may be doing so.
  [[nodiscard]] std::size_t value() const noexcept { return core_->value(); }

  /// As messages call it; the same in every process.
  [[nodiscard]] const std::string& name() const noexcept { return core_->name(); }

  void save(detail::Encoder& to) const;
  [[nodiscard]] static Semaphore detail_decode(detail::Decoder& from);

 protected:
  explicit Semaphore(std::shared_ptr<detail::SemaphoreCore> core) noexcept;

 private:
  std::shared_ptr<detail::SemaphoreCore> core_;
};

/// A Semaphore that never has more permits than it began with: a `release` too many throws
/// SystemError EOVERFLOW. As Python's `multiprocessing.BoundedSemaphore`, which throws ValueError.
class TANDEM_EXPORT BoundedSemaphore : public Semaphore {
 public:
  /// With one permit.
  BoundedSemaphore() : BoundedSemaphore(1) {}
  /// \param permits to begin with, and at most \throws as Semaphore
  explicit BoundedSemaphore(std::size_t permits);
  [[nodiscard]] static BoundedSemaphore detail_decode(detail::Decoder& from);

 private:
  explicit BoundedSemaphore(std::shared_ptr<detail::SemaphoreCore> core) noexcept;
};

}  // namespace tandem
