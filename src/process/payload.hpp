// What a child that does not share its starter's memory is told, as one file and some descriptors.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "process/context.hpp"
#include "tandem/detail/buffer.hpp"
#include "tandem/detail/process_core.hpp"

namespace tandem::detail {

/// Encodes into `to`, whose buffer is empty, all that `child` has to know to become itself and run
/// `target`.
void write_payload(Encoder& to, std::vector<Fd>& descriptors, const Target& target,
                   const Identity& child);
[[nodiscard]] Fd payload_file(const Buffer& payload);

class ReceivedPayload {
 public:
  /// \returns nothing when the file is not what write_payload made, for as many descriptors
  [[nodiscard]] static std::optional<ReceivedPayload> read(const Fd& file, std::size_t descriptors);

  /// Becomes the child and runs its target. What that throws passes through.
  void run(std::vector<Fd> descriptors);

 private:
  ReceivedPayload() = default;
  Buffer bytes_;
};

}  // namespace tandem::detail
