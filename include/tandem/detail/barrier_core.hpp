/// \file
/// The core of Barrier: parties of any process that wait for one another.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "tandem/call.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"

namespace tandem::detail {

class TANDEM_EXPORT BarrierCore {
 public:
  BarrierCore() = default;
  BarrierCore(const BarrierCore&) = delete;
  BarrierCore& operator=(const BarrierCore&) = delete;
  virtual ~BarrierCore() = default;

  /// \param action may be empty
  /// \throws SystemError EINVAL for no or too many parties; NotSendable for the action
  [[nodiscard]] static std::shared_ptr<BarrierCore> create(std::size_t parties, const Call& action,
                                                           std::optional<duration> timeout);
  /// Rebuilds what `hand_over` wrote. \throws DecodeError if it is not a barrier
  [[nodiscard]] static std::shared_ptr<BarrierCore> adopt(Decoder& from);
  virtual void hand_over(Encoder& to) const = 0;

  /// When a wait that begins now ends by the barrier's own timeout.
  [[nodiscard]] virtual Deadline own_deadline() const = 0;
  /// \throws BrokenBarrier; what the action throws
  [[nodiscard]] virtual std::size_t wait(Deadline deadline, const char* call) = 0;
  virtual void abort() noexcept = 0;
  virtual void reset() = 0;
  [[nodiscard]] virtual bool broken() const noexcept = 0;
  [[nodiscard]] virtual std::size_t parties() const noexcept = 0;
  [[nodiscard]] virtual std::size_t waiting() const noexcept = 0;
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
};

}  // namespace tandem::detail
