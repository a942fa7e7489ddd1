// pipe(2): bytes from whoever has the one end to whoever has the other.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "tandem/detail/fd.hpp"

namespace tandem::os {

struct BytePipe {
  detail::Fd reader;  // non-blocking
  detail::Fd writer;  // blocks
};

/// Both ends are close-on-exec. \throws SystemError
[[nodiscard]] BytePipe make_byte_pipe();

/// Takes what is there. \returns how many bytes, 0 when no writer is left; nothing when there is
/// nothing now
[[nodiscard]] std::optional<std::size_t> read_some(const detail::Fd& reader,
                                                   std::span<char> into) noexcept;
/// Bytes that are waiting to be read.
[[nodiscard]] std::size_t bytes_waiting(const detail::Fd& reader) noexcept;

}  // namespace tandem::os
