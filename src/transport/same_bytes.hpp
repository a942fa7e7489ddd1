// Comparison of secrets.
#pragma once

#include <cstddef>
#include <span>

namespace tandem::transport {

/// How long it takes depends on the sizes only.
[[nodiscard]] inline bool same_bytes(std::span<const std::byte> a,
                                     std::span<const std::byte> b) noexcept {
  if (a.size() != b.size()) return false;
  unsigned char different = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    different = static_cast<unsigned char>(different | std::to_integer<unsigned char>(a[i] ^ b[i]));
    // Keeps the compiler from seeing that the loop could end once a bit is set.
    asm volatile("" : "+r"(different));
  }
  return different == 0;
}

}  // namespace tandem::transport
