// Large values that show where they were damaged: no two stretches of one are alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace tandem::test {

/// Fills in a pattern that `seed` begins.
inline void fill_with_pattern(void* to, std::size_t size, std::uint64_t seed) {
  auto* const at = static_cast<unsigned char*>(to);
  std::uint64_t word = seed * 0x9e3779b97f4a7c15ULL + 1;
  std::size_t i = 0;
  for (; i + sizeof word <= size; i += sizeof word) {
    std::memcpy(at + i, &word, sizeof word);
    word = word * 6364136223846793005ULL + 1442695040888963407ULL;
  }
  if (i != size) std::memcpy(at + i, &word, size - i);
}

[[nodiscard]] inline std::string text(std::size_t size, std::uint64_t seed) {
  std::string all(size, '\0');
  fill_with_pattern(all.data(), size, seed);
  return all;
}

/// Whole numbers, so that each is equal to itself.
[[nodiscard]] inline std::vector<double> doubles(std::size_t size, std::uint64_t seed) {
  std::vector<double> all(size);
  std::uint64_t word = seed * 0x9e3779b97f4a7c15ULL + 1;
  for (double& value : all) {
    value = static_cast<double>(word >> 16);
    word = word * 6364136223846793005ULL + 1442695040888963407ULL;
  }
  return all;
}

/// A few numbers. What it sends is made for the sending, and gone after it.
struct Spread {
  std::uint64_t seed = 0;
  std::size_t size = 0;

  template <class Archive>
  void save(Archive& archive) const {
    archive(seed, doubles(size, seed), text(size, seed));
  }
  template <class Archive>
  void load(Archive& archive) {
    std::vector<double> numbers;
    std::string letters;
    archive(seed, numbers, letters);
    size = numbers.size();
    if (numbers != doubles(size, seed) || letters != text(size, seed)) {
      throw std::logic_error("what was made for the sending is damaged");
    }
  }
  friend bool operator==(const Spread&, const Spread&) = default;
};

}  // namespace tandem::test
