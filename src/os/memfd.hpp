// Anonymous shared memory: it goes when the last process that maps it goes, however it goes.
#pragma once

#include <compare>
#include <cstddef>
#include <span>
#include <string>

#include "tandem/detail/fd.hpp"

namespace tandem::os {

/// False for more than the machine's memory and swap.
[[nodiscard]] bool machine_could_hold(std::size_t size_bytes);

/// A zero-filled memfd of that size, close-on-exec, sealed against shrinking and growing, so that
/// nobody can truncate it under those who map it. \param name shown in /proc/PID/maps, cut where
/// the kernel would refuse it \throws SystemError EINVAL for zero bytes, ENOMEM for more than the
/// machine's memory and swap
[[nodiscard]] detail::Fd make_memfd(const std::string& name, std::size_t size_bytes);
/// A memfd that holds these bytes and is sealed against every change. Of no bytes, too.
/// \throws SystemError
[[nodiscard]] detail::Fd make_frozen_memfd(const std::string& name,
                                           std::span<const std::byte> bytes);
/// \returns its size in bytes. \throws SystemError when somebody could change it
[[nodiscard]] std::size_t frozen_size(const detail::Fd& fd);
/// \returns the size in bytes. \throws SystemError when it is not a memfd sealed against shrinking
[[nodiscard]] std::size_t sealed_size(const detail::Fd& fd);

/// What tells two segments apart in one process.
struct FileIdentity {
  unsigned long device = 0;
  unsigned long inode = 0;
  auto operator<=>(const FileIdentity&) const = default;
};
[[nodiscard]] FileIdentity identity(const detail::Fd& fd);

}  // namespace tandem::os
