// What the segment of every synchronisation object begins with. Frozen: processes of different builds
// share it.
#pragma once

#include <cstdint>

namespace tandem::sync {

enum class Kind : std::uint32_t {
  lock = 1,
  recursive_lock,
  semaphore,
  condition,
  event,
  barrier,
  bounded_semaphore,
};

struct Header {
  static constexpr std::uint32_t kMagic = 0x6d646e74;  // "tndm"
  static constexpr std::uint32_t kVersion = 1;

  std::uint32_t magic = kMagic;
  std::uint32_t version = kVersion;
  Kind kind{};
  std::uint32_t reserved = 0;
};
static_assert(sizeof(Header) == 16);

}  // namespace tandem::sync
