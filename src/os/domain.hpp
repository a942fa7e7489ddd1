// Who may share memory with whom: robust locks know their owner by thread id, which means something only
// within one pid namespace, and whoever can write a segment can do anything to its users.
#pragma once

#include <compare>
#include <cstdint>

namespace tandem::os {

struct Domain {
  std::uint64_t pid_namespace = 0;
  std::uint64_t user = 0;
  auto operator<=>(const Domain&) const = default;
};

/// This process's. \throws SystemError when /proc is not mounted
[[nodiscard]] Domain own_domain();

}  // namespace tandem::os
