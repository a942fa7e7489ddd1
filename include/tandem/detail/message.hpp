/// \file
/// What the compiled cores carry: bytes with the descriptors of the handles among them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
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

/// Where a message is received. A core that has one of n bytes calls `begin(n, ...)`, `add` with its
/// bytes, in pieces as they lie there, and sets `type`. If `begin` returns false, the bytes can be of
/// no use: the core drops the message and throws DecodeError. What `begin` throws (bad_alloc) passes
/// through and leaves the message where it was; what `add` throws, too, unless a part of the message
/// had been taken before: then the whole of it is dropped.
///
/// The bytes go to `storage` if n is at most `capacity`, else to what `grow(*this, n)` returns, which
/// may be null; or, if `pieces` is set, they are passed on to it.
struct Incoming {
  struct Pieces {
    bool (*begin)(Incoming& self, std::size_t size, std::size_t here);
    void (*add)(Incoming& self, std::span<const std::byte> piece);
  };

  std::byte* storage = nullptr;
  std::size_t capacity = 0;
  std::byte* (*grow)(Incoming& self, std::size_t size) = nullptr;
  const Pieces* pieces = nullptr;
  void* context = nullptr;  // grow's or pieces' own

  std::uint32_t type = 0;
  std::size_t size = 0;
  std::vector<Fd> descriptors;

  /// \param here how many of the bytes have come
  [[nodiscard]] bool begin(std::size_t n, std::size_t here) {
    size = 0;
    if (pieces != nullptr) return pieces->begin(*this, n, here);
    std::byte* const at = place(n);
    if (at == nullptr) return false;
    storage = at;
    return true;
  }
  void add(std::span<const std::byte> piece) {
    if (pieces != nullptr) {
      pieces->add(*this, piece);
    } else if (!piece.empty()) {
      std::memcpy(storage + size, piece.data(), piece.size());
    }
    size += piece.size();
  }

 private:
  [[nodiscard]] std::byte* place(std::size_t n) {
    if (n == 0 && storage == nullptr) return &kNowhere;  // an empty message fits anywhere
    return n <= capacity ? storage : (grow != nullptr ? grow(*this, n) : nullptr);
  }

  static inline std::byte kNowhere{};
};

}  // namespace tandem::detail
