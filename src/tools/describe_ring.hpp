// What the words of a ring say: depth, totals.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "shm/ring.hpp"

namespace tandem::tools {

struct Depth {
  std::uint64_t items = 0;
  std::uint64_t bytes = 0;
};

inline constexpr std::uint64_t kItemsModulus = std::uint64_t{1} << 31;
inline constexpr std::uint64_t kBytesModulus = shm::Cursor::kUnit << 32;

/// \returns nothing when the words cannot be true
[[nodiscard]] inline std::optional<Depth> depth_of(shm::Cursor head, shm::Cursor tail,
                                                   std::uint64_t capacity) noexcept {
  const std::uint64_t bytes = shm::bytes_between(head, tail);
  if (bytes <= capacity) return Depth{shm::items_between(head, tail), bytes};
  // The words are not copied in one instant. A head that is beyond the tail was read a moment
  // later: all that was there at the time has been taken.
  if (shm::bytes_between(tail, head) <= capacity) return Depth{};
  return std::nullopt;
}

}  // namespace tandem::tools
