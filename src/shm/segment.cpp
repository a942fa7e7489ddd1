#include "shm/segment.hpp"

#include <array>
#include <atomic>
#include <boost/interprocess/exceptions.hpp>
#include <charconv>
#include <utility>

#include "base/text.hpp"
#include "os/check.hpp"
#include "os/named_memory.hpp"

namespace tandem::shm {
namespace {

namespace bip = boost::interprocess;

// What Boost.Interprocess wants of a thing that can be mapped. It owns nothing.
class Mappable {
 public:
  explicit Mappable(const detail::Fd& fd) noexcept : fd_(fd.get()) {}
  [[nodiscard]] bip::mapping_handle_t get_mapping_handle() const noexcept { return {fd_, false}; }

 private:
  int fd_;
};

bip::mapped_region map(const detail::Fd& fd, std::size_t size_bytes,
                       bip::mode_t mode = bip::read_write) {
  try {
    return bip::mapped_region(Mappable(fd), mode, 0, size_bytes);
  } catch (const bip::interprocess_exception& refused) {
    os::throw_error(refused.get_native_error(),
                    detail::concat("map ", std::to_string(size_bytes), " bytes of shared memory"));
  }
}

}  // namespace

Segment::Segment(detail::Fd fd, std::size_t size_bytes)
    : region_(map(fd, size_bytes)), fd_(std::move(fd)) {}

Segment Segment::create(const std::string& name, std::size_t size_bytes) {
  return {os::make_memfd(name, size_bytes), size_bytes};
}

Segment Segment::adopt(detail::Fd fd, std::size_t least_bytes) {
  std::size_t size_bytes = 0;
  try {
    size_bytes = os::sealed_size(fd);
  } catch (const SystemError& refused) {
    throw DecodeError(detail::concat("adopt shared memory: ", refused.what()));
  }
  if (size_bytes == 0 || size_bytes < least_bytes) {
    throw DecodeError(detail::concat("adopt shared memory: ", std::to_string(size_bytes),
                                     " bytes, expected at least ", std::to_string(least_bytes)));
  }
  return {std::move(fd), size_bytes};
}

Segment Segment::view(const detail::Fd& fd, std::size_t size_bytes) {
  std::size_t there = 0;
  try {
    there = os::frozen_size(fd);
  } catch (const SystemError& refused) {
    throw DecodeError(detail::concat("view shared memory: ", refused.what()));
  }
  if (size_bytes == 0 || there < size_bytes) {
    throw DecodeError(detail::concat("view shared memory: ", std::to_string(there),
                                     " bytes, expected ", std::to_string(size_bytes)));
  }
  // Private: before Linux 6.7 what is sealed against writing cannot be mapped as shared.
  return Segment(map(fd, size_bytes, bip::read_private));
}

Segment Segment::map_file(detail::Fd fd) {
  const std::size_t size_bytes = os::file_size(fd);
  if (size_bytes == 0) os::throw_error(EINVAL, "map an empty file");
  return {std::move(fd), size_bytes};
}

void Segment::keep_mapped(Segment segment) {
  // A list that nobody reads: leak checkers follow it. No mutex, which a fork could leave locked.
  struct Kept {
    Segment segment;
    Kept* next;
  };
  static constinit std::atomic<Kept*> kept{nullptr};
  segment.fd_.reset();
  auto* const one = new Kept{std::move(segment), kept.load(std::memory_order_relaxed)};
  while (!kept.compare_exchange_weak(one->next, one, std::memory_order_release,
                                     std::memory_order_relaxed)) {
  }
}

std::byte* Segment::data() const noexcept { return static_cast<std::byte*>(region_.get_address()); }

std::string object_name(std::string_view kind, const detail::Fd& fd) {
  std::array<char, 16> digits;
  const auto end =
      std::to_chars(digits.data(), digits.data() + digits.size(), os::identity(fd).inode, 16).ptr;
  const std::string_view number(digits.data(), static_cast<std::size_t>(end - digits.data()));
  return detail::concat("tandem-", kind, "-", number);
}

}  // namespace tandem::shm
