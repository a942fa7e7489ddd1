/// \file
/// The core of Event: a flag that any number of threads of any process wait for.
#pragma once

#include <memory>
#include <string>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"

namespace tandem::detail {

class Decoder;
class Encoder;

class TANDEM_EXPORT EventCore {
 public:
  EventCore() = default;
  EventCore(const EventCore&) = delete;
  EventCore& operator=(const EventCore&) = delete;
  virtual ~EventCore() = default;

  [[nodiscard]] static std::shared_ptr<EventCore> create();
  /// Rebuilds what `hand_over` wrote. \throws DecodeError if it is not an event
  [[nodiscard]] static std::shared_ptr<EventCore> adopt(Decoder& from);
  virtual void hand_over(Encoder& to) const = 0;

  virtual void set() noexcept = 0;
  virtual void clear() noexcept = 0;
  [[nodiscard]] virtual bool is_set() const noexcept = 0;
  /// \returns false when it was not set until the deadline
  [[nodiscard]] virtual bool wait(Deadline deadline) = 0;
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
};

}  // namespace tandem::detail
