// A mapped piece of shared memory and the descriptor it can be handed over with.
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "os/memfd.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::shm {

/// Move-only; the mapping goes with it, so a thread that may still be in a call on what lies inside
/// must have been waited for. Empty when default-constructed or moved from.
class Segment {
 public:
  Segment() = default;
  /// Anonymous, zero-filled. \throws SystemError
  [[nodiscard]] static Segment create(const std::string& name, std::size_t size_bytes);
  /// \throws DecodeError when the descriptor is not a sealed segment of at least `least_bytes`
  [[nodiscard]] static Segment adopt(detail::Fd fd, std::size_t least_bytes);
  /// The first bytes of a frozen one, to be read; without a descriptor.
  /// \throws DecodeError when it is not frozen or has fewer
  [[nodiscard]] static Segment view(const detail::Fd& fd, std::size_t size_bytes);
  /// All of a file that os/named_memory.hpp made. \throws SystemError
  [[nodiscard]] static Segment map_file(detail::Fd fd);

  [[nodiscard]] std::byte* data() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return region_.get_size(); }
  [[nodiscard]] const detail::Fd& fd() const noexcept { return fd_; }
  /// The mapping stays, but can no longer be handed over.
  void close_descriptor() noexcept { fd_.reset(); }

  /// Lets go of the descriptor, but leaves the mapping for as long as the process lives.
  static void keep_mapped(Segment segment);

 private:
  Segment(detail::Fd fd, std::size_t size_bytes);
  explicit Segment(boost::interprocess::mapped_region region) : region_(std::move(region)) {}

  boost::interprocess::mapped_region region_;
  detail::Fd fd_;
};

/// What messages call the object in a segment, "tandem-lock-7f3a": the same in every process.
[[nodiscard]] std::string object_name(std::string_view kind, const detail::Fd& fd);

}  // namespace tandem::shm
