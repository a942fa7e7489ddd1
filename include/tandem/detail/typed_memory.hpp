/// \file
/// Shared memory that begins by saying what type it holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/fingerprint.hpp"
#include "tandem/detail/type_name.hpp"
#include "tandem/memory.hpp"
#include "tandem/sendable.hpp"

namespace tandem {

/// What can lie in shared memory as it is: trivially copyable, and no pointer in it as far as can
/// be told.
template <class T>
concept PlainValue = std::is_trivially_copyable_v<T> && Sendable<T>;

namespace detail {

/// The first bytes; what is held begins at kOffset.
struct TypedHeader {
  static constexpr std::uint64_t kMagic = 0x315059544d444e54;  // "TNDMTYP1", little-endian
  static constexpr std::size_t kOffset = 64;

  std::uint64_t magic;
  std::uint32_t holder;  // 'V' for Value, 'A' for Array
  std::uint32_t type;    // fingerprint
  std::uint64_t count;   // elements
  std::uint64_t size;    // bytes of one
};
static_assert(sizeof(TypedHeader) == 32);

/// \throws SystemError ENOMEM when it cannot be
[[nodiscard]] TANDEM_EXPORT SharedMemory make_typed_memory(const TypedHeader& header,
                                                           std::size_t room_for_each);
/// \returns how many elements there are
/// \throws DecodeError, naming `what`, unless it holds that
TANDEM_EXPORT std::size_t check_typed_memory(const SharedMemory& memory, const TypedHeader& wanted,
                                             std::size_t room_for_each, std::string_view what);

template <class T>
[[nodiscard]] constexpr TypedHeader typed_header(char holder, std::size_t count) noexcept {
  return {TypedHeader::kMagic, static_cast<std::uint32_t>(holder), fingerprint<T>(), count,
          sizeof(T)};
}

}  // namespace detail
}  // namespace tandem
