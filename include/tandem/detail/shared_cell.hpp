/// \file
/// A value in shared memory that is too large for one atomic instruction: two copies, and a number
/// that says which of them counts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tandem/detail/export.hpp"

namespace tandem::detail {

/// A view; the memory is its user's. Values are compared and kept as bytes, of which `size_bytes`
/// are given and taken. Any thread of any process; nobody's death is seen.
class TANDEM_EXPORT SharedCell {
 public:
  /// What `init` and the constructor must find at their address, which is aligned to 64.
  [[nodiscard]] static std::size_t room_for(std::size_t size_bytes) noexcept;
  /// In zero-filled memory.
  static void init(std::byte* at, std::size_t size_bytes, const std::byte* value);
  SharedCell(std::byte* at, std::size_t size_bytes) noexcept : at_(at), size_bytes_(size_bytes) {}

  /// \returns the value's number, for `replace`
  std::uint64_t load(std::byte* value) const;
  /// \param old may be null
  void exchange(const std::byte* value, std::byte* old);
  /// \param expected receives what is there if that is something else
  [[nodiscard]] bool compare_exchange(std::byte* expected, const std::byte* value);
  /// \returns false when another value has taken the place of that number
  [[nodiscard]] bool replace(std::uint64_t number, const std::byte* value);

 private:
  std::byte* at_;
  std::size_t size_bytes_;
};

}  // namespace tandem::detail
