/// \file
/// What a Shared is made of: sealed bytes that cross as a descriptor, and each process's own copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::detail {

class SharedCopy;

/// The bytes of one object. Any thread.
class TANDEM_EXPORT SharedObject {
 public:
  /// Makes an object of the bytes; may throw.
  using Decode = void* (*)(std::span<const std::byte> bytes);
  using Destroy = void (*)(void* object);

  /// \param type a fingerprint \throws SystemError
  SharedObject(std::uint32_t type, std::span<const std::byte> bytes);
  SharedObject(Fd fd, std::shared_ptr<SharedCopy> copy) noexcept;
  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;
  ~SharedObject();

  void save(Encoder& to) const;
  /// \throws DecodeError when it is of another type
  [[nodiscard]] static std::shared_ptr<const SharedObject> load(Decoder& from, std::uint32_t type);

  /// In place, aligned to a page. \throws SystemError, DecodeError when somebody could change them
  [[nodiscard]] std::span<const std::byte> bytes() const;
  /// The object of this process; the first call decodes it. \throws what `decode` throws
  [[nodiscard]] void* object(Decode decode, Destroy destroy) const;

 private:
  Fd fd_;
  std::shared_ptr<SharedCopy> copy_;
};

}  // namespace tandem::detail
