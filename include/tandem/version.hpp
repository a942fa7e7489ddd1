/// \file
/// Which tandem this is. The version is written here and nowhere else; CMake reads it from here.
#pragma once

#include <string_view>

#include "tandem/detail/export.hpp"

namespace tandem {

/// Version of the headers a program was compiled with.
inline constexpr std::string_view kVersion = "0.1.0";

/// Version of the library a program runs with; differs from kVersion only with a shared library.
[[nodiscard]] TANDEM_EXPORT std::string_view version() noexcept;

}  // namespace tandem
