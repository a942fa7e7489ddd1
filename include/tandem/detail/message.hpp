/// \file
/// What the compiled cores carry: bytes with the descriptors of the handles among them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tandem/detail/fd.hpp"

namespace tandem::detail {

/// A message on its way out. The core copies the bytes; it takes the descriptors once it has
/// accepted the message and leaves them alone when it throws.
struct Outgoing {
  std::uint32_t type = 0;  // fingerprint of the C++ type, checked by the receiver's shell
  std::span<const std::byte> bytes;
  std::vector<Fd>* descriptors = nullptr;  // may be null: none
};

/// Where a message is received. A core that has one of n bytes writes them to `storage` if n is at
/// most `capacity`, else to what `grow(*this, n)` returns; then sets `storage`, `type` and `size`.
/// `grow` may return null: the bytes can be of no use, the core drops the message and throws
/// DecodeError. What it throws (bad_alloc) passes through and leaves the message where it was.
struct Incoming {
  std::byte* storage = nullptr;
  std::size_t capacity = 0;
  std::byte* (*grow)(Incoming& self, std::size_t size) = nullptr;
  void* context = nullptr;  // grow's own

  std::uint32_t type = 0;
  std::size_t size = 0;
  std::vector<Fd> descriptors;

  [[nodiscard]] std::byte* place(std::size_t n) {
    if (n == 0 && storage == nullptr) return &kNowhere;  // an empty message fits anywhere
    return n <= capacity ? storage : (grow != nullptr ? grow(*this, n) : nullptr);
  }

 private:
  static inline std::byte kNowhere{};
};

}  // namespace tandem::detail
