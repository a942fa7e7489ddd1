/// \file
/// Memory that several processes see.
///
///     tandem::SharedMemory memory(1 << 20);
///     std::span<float> samples = memory.span<float>();
///     tandem::Process child(fill, memory);        // the child sees the same bytes
///     child.start();
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "tandem/detail/export.hpp"

namespace tandem {

namespace detail {
class Decoder;
class Encoder;
class MemoryCore;
}  // namespace detail

/// A copy names the same memory. Anonymous memory lives as long as a handle does in any process,
/// and goes with the last one however it ends: nothing is left in /dev/shm. Named memory stays
/// until it is removed. Sendable to processes and over connections of this machine. The bytes are
/// nobody's in particular: who reads while another writes needs a Lock, or atomics.
class TANDEM_EXPORT SharedMemory {
 public:
  using TandemHandle = void;

  /// Anonymous, zero-filled.
  /// \param label for people: /proc/PID/maps and the program `tandem` show it, cut after 200 bytes
  /// \throws SystemError EINVAL for no bytes, ENOMEM for more than the machine has, EMFILE, ...
  explicit SharedMemory(std::size_t size_bytes, std::string_view label = {});
  /// Under a name, by which every program of the same user finds it until it is removed; it is
  /// there whole or not at all. Its pages are reserved at once. \throws SystemError EEXIST, ENOSPC,
  /// EINVAL for a name that is empty or holds '/' or NUL
  [[nodiscard]] static SharedMemory create(std::string_view name, std::size_t size_bytes);
  /// \throws SystemError ENOENT when nobody has created it
  [[nodiscard]] static SharedMemory open(std::string_view name);
  /// Takes the name away; who has the memory keeps it. \returns false when there was none
  static bool remove(std::string_view name);

  SharedMemory(const SharedMemory&) = default;
  SharedMemory& operator=(const SharedMemory&) = default;
  ~SharedMemory() = default;

  /// Aligned to a page; valid while this process has a handle.
  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  /// In bytes, as asked for.
  [[nodiscard]] std::size_t size() const noexcept { return size_bytes_; }
  /// As many whole T as fit. Zero bytes are what they start as: no constructor runs.
  template <class T>
  requires std::is_trivially_copyable_v<T>
  [[nodiscard]] std::span<T> span() const noexcept {
    static_assert(!std::is_pointer_v<T> && !std::is_reference_v<T>,
                  "an address means nothing in another process");
    return {reinterpret_cast<T*>(data_), size_bytes_ / sizeof(T)};
  }
  /// What it was created under; of anonymous memory what messages call it, the same in every
  /// process.
  [[nodiscard]] const std::string& name() const noexcept;

  void save(detail::Encoder& to) const;
  [[nodiscard]] static SharedMemory detail_decode(detail::Decoder& from);

 private:
  explicit SharedMemory(std::shared_ptr<const detail::MemoryCore> core) noexcept;

  std::shared_ptr<const detail::MemoryCore> core_;
  std::byte* data_;
  std::size_t size_bytes_;
};

}  // namespace tandem
