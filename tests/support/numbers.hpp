// Plain input.
#pragma once

#include <cstddef>
#include <numeric>
#include <vector>

namespace tandem::test {

/// 0 to n - 1.
inline std::vector<int> numbers(int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace tandem::test
