// Shared memory under a name, which stays until it is removed. It is a file of /dev/shm that gets
// its name last: a name never leads to something half made, and whoever dies while making one
// leaves nothing. Unlike a memfd it cannot be sealed; other programs of the same user could
// truncate it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tandem/detail/fd.hpp"

namespace tandem::os {

/// Where it is found: in the namespace of its kind ("memory", "queue").
/// \throws SystemError EINVAL or ENAMETOOLONG for what cannot be a name: empty, or with '/' or NUL
[[nodiscard]] std::string named_path(std::string_view kind, std::string_view name);

/// A file without a name, zero-filled, its pages reserved so that no later access can fail.
/// \throws SystemError EINVAL for zero bytes, ENOSPC
[[nodiscard]] detail::Fd make_nameless(std::size_t size_bytes);
/// Makes it appear. \throws SystemError EEXIST
void publish(const detail::Fd& fd, const std::string& path);
/// \throws SystemError ENOENT, or EACCES when it is another user's
[[nodiscard]] detail::Fd open_named(const std::string& path);
/// Takes the name away; who has it open keeps it. \returns false when there was none
bool remove_named(const std::string& path);
/// Whether its name has not been taken away.
[[nodiscard]] bool has_name(const detail::Fd& fd);
[[nodiscard]] std::size_t file_size(const detail::Fd& fd);

}  // namespace tandem::os
