/// \file
/// Messages one after another as a queue's ring holds them, to be moved in one piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tandem/detail/buffer.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/message.hpp"

namespace tandem::detail {

class TANDEM_EXPORT Batch {
 public:
  /// Adds a message of less than 2^28 bytes without descriptors.
  void add(const Outgoing& message);
  /// Adds `bytes` that are `items` whole records. \returns where to write them
  [[nodiscard]] std::byte* extend(std::size_t bytes, std::size_t items) {
    items_ += items;
    return records_.extend(bytes);
  }
  void clear() noexcept {
    records_.clear();
    items_ = 0;
    next_ = 0;
  }

  [[nodiscard]] std::size_t items() const noexcept { return items_; }
  [[nodiscard]] std::span<const std::byte> records() const noexcept { return records_.bytes(); }

  /// Receives the next message as a core would. \returns false when there is none
  /// \throws DecodeError, after which the message counts as received, and what into.grow throws
  [[nodiscard]] bool take(Incoming& into);

 private:
  Buffer records_;
  std::size_t items_ = 0;
  std::size_t next_ = 0;  // offset of the next record to take
};

}  // namespace tandem::detail
