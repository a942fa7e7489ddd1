/// \file
/// Large memory that is about to be filled.
#pragma once

#include <cstddef>

#include "tandem/detail/export.hpp"

namespace tandem::detail {

/// From here on it is worth a system call.
inline constexpr std::size_t kLargeMemory = std::size_t{4} << 20;

/// Says that all of it will be written soon: where it has no pages yet, the kernel is asked for huge
/// ones. To copy 10 MiB into new memory takes 4.4 ms page by page, and 1.6 ms so.
TANDEM_EXPORT void expect_filling(void* memory, std::size_t bytes) noexcept;

}  // namespace tandem::detail
