// Bytes nobody can guess.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace tandem::os {

void fill_random(std::span<std::byte> bytes);
/// Hexadecimal, lower case.
[[nodiscard]] std::string random_digits(std::size_t count);

}  // namespace tandem::os
