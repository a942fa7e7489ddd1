/// \file
/// A flag that one process sets and others wait for.
///
///     tandem::Event ready;
///     tandem::Process child(serve, ready);
///     child.start();
///     ready.wait();
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/event_core.hpp"
#include "tandem/detail/export.hpp"

namespace tandem {

/// A copy names the same event; it lives as long as a handle does in any process. Sendable to
/// processes and over connections of this machine. Any thread of any process; nobody's death harms
/// it.
///
/// As Python's `multiprocessing.Event`, except that a `set` that is followed by a `clear` still
/// releases all who were waiting.
class TANDEM_EXPORT Event {
 public:
  using TandemHandle = void;

  /// Not set. \throws SystemError when there is no memory or no descriptor left
  Event();
  Event(const Event&) = default;
  Event& operator=(const Event&) = default;
  ~Event() = default;

  /// Releases all who wait, and all who will until `clear`. No system call when nobody waits. What
  /// the caller wrote before it is seen by those it releases.
  void set();
  /// From now on `wait` waits again.
  void clear();
  /// Whether `wait` would return at once.
  [[nodiscard]] bool is_set() const;

  /// Returns once it is, or was while waiting, set.
  void wait();
  /// \returns false when it was not set in that time. Zero or negative means look once.
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(const std::chrono::duration<Rep, Period>& d) {
    return core_->wait(detail::Deadline::after(d));
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] bool wait_until(
      const std::chrono::time_point<std::chrono::steady_clock, Duration>& tp) {
    return core_->wait(detail::Deadline::at(tp));
  }

  /// As messages call it; the same in every process.
  [[nodiscard]] const std::string& name() const noexcept { return core_->name(); }

  void save(detail::Encoder& to) const;
  [[nodiscard]] static Event detail_decode(detail::Decoder& from);

 private:
  explicit Event(std::shared_ptr<detail::EventCore> core) noexcept;

  std::shared_ptr<detail::EventCore> core_;
};

}  // namespace tandem
