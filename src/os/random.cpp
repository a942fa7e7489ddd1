#include "os/random.hpp"

#include <sys/random.h>

#include <vector>

#include "os/check.hpp"

namespace tandem::os {

void fill_random(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const auto got =
        check(retry([&] { return ::getrandom(bytes.data(), bytes.size(), 0); }), "getrandom");
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

std::string random_digits(std::size_t count) {
  std::vector<std::byte> bytes((count + 1) / 2);
  fill_random(bytes);
  std::string digits;
  for (const std::byte b : bytes) {
    digits += "0123456789abcdef"[std::to_integer<unsigned>(b >> 4)];
    digits += "0123456789abcdef"[std::to_integer<unsigned>(b & std::byte{15})];
  }
  digits.resize(count);
  return digits;
}

}  // namespace tandem::os
