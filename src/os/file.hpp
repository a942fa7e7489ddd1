// Files: made, and whole runs of bytes in and out of them at a place, whatever signals arrive.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "tandem/detail/fd.hpp"

namespace tandem::os {

/// Empty, for writing; what was there is dropped. Close-on-exec. \throws SystemError
[[nodiscard]] detail::Fd create_file(const std::string& path);

/// Writes all of it. \throws SystemError
void write_at(const detail::Fd& file, std::size_t offset, std::span<const std::byte> bytes);
/// \returns false when there are not as many bytes, or the file cannot be read
[[nodiscard]] bool read_at(const detail::Fd& file, std::size_t offset, std::span<std::byte> into);

}  // namespace tandem::os
