// From the first bytes of a segment to its description. Nothing in them is trusted: whatever they
// are, the result is a description, with a `problem` when they cannot be true.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tools/description.hpp"

namespace tandem::tools {

/// Where the bytes come from.
struct Source {
  std::string_view file;    // "tandem-lock"; empty if it has no name any more
  std::uint64_t inode = 0;  // names of the library end in it
  std::uint64_t size = 0;   // of the whole segment
  bool named = false;       // in /dev/shm
};

/// No description reads more of a segment than this.
inline constexpr std::size_t kMostRead = 64 * 1024;
/// What to read for that kind of segment at most; 0 when it is nothing to describe.
[[nodiscard]] std::size_t bytes_to_read(std::string_view file) noexcept;

/// \param head the first bytes, as many as bytes_to_read or the segment has, or fewer
/// \returns nothing for what is not an object of the library
[[nodiscard]] std::optional<Description> describe(const Source& source,
                                                  std::span<const std::byte> head);

// One for each family; `description` has its kind and name.
void describe_queue(const Source& source, std::span<const std::byte> head,
                    Description& description);
void describe_pipe(const Source& source, std::span<const std::byte> head, Description& description);
void describe_sync(std::span<const std::byte> head, Description& description);
void describe_memory(const Source& source, std::span<const std::byte> head,
                     Description& description);
/// Of memory with that label. \returns false when it is not a worker's
[[nodiscard]] bool describe_worker(std::string_view label, std::span<const std::byte> head,
                                   Description& description);

}  // namespace tandem::tools
