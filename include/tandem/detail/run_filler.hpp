/// \file
/// Makes a vector or string of elements that travel as their bytes from bytes that come in pieces.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "tandem/detail/fresh_memory.hpp"

namespace tandem::detail {

/// The bytes are copied once, from where they lie into the run; no room is zero-filled for them.
/// What is allocated beyond kAtOnceBytes is in proportion to what has come, whatever size was said.
template <class Run>
class RunFiller {
 public:
  using Element = typename Run::value_type;

  /// A run of that many bytes comes, of which `here` are there.
  /// \returns false when no run has so many
  [[nodiscard]] bool begin(std::size_t bytes, std::size_t here) {
    run_.clear();
    in_part_ = 0;
    total_ = bytes / sizeof(Element);
    if (bytes % sizeof(Element) != 0) return false;
    make_room(here / sizeof(Element));
    return true;
  }
  void add(std::span<const std::byte> piece) {
    if (in_part_ != 0) {
      const std::size_t n = std::min(piece.size(), sizeof(Element) - in_part_);
      std::memcpy(part_ + in_part_, piece.data(), n);
      in_part_ += n;
      piece = piece.subspan(n);
      if (in_part_ < sizeof(Element)) return;
      append(part_, 1);
      in_part_ = 0;
    }
    const std::size_t whole = piece.size() / sizeof(Element);
    append(piece.data(), whole);
    piece = piece.subspan(whole * sizeof(Element));
    if (piece.empty()) return;
    std::memcpy(part_, piece.data(), piece.size());
    in_part_ = piece.size();
  }
  [[nodiscard]] Run& run() noexcept { return run_; }

 private:
  // So often has the beginning of a large run been copied when it is complete: an eighth in all.
  static constexpr std::size_t kGrowth = 8;
  static constexpr std::size_t kAtOnceBytes = std::size_t{64} << 20;

  void make_room(std::size_t elements) {
    const std::size_t size = run_.size() + elements;
    if (size <= run_.capacity()) return;
    const std::size_t most = std::max(size * kGrowth, kAtOnceBytes / sizeof(Element));
    run_.reserve(std::max(size, std::min(total_, most)));
    const std::size_t bytes = run_.capacity() * sizeof(Element);
    if (bytes >= kLargeMemory) expect_filling(run_.data(), bytes);
  }
  void append(const std::byte* bytes, std::size_t count) {
    make_room(count);
    if (reinterpret_cast<std::uintptr_t>(bytes) % alignof(Element) == 0) {
      append_elements(reinterpret_cast<const Element*>(bytes), count);
      return;
    }
    constexpr std::size_t kBlock = std::max<std::size_t>(1, 1024 / sizeof(Element));
    alignas(Element) std::byte block[kBlock * sizeof(Element)];
    while (count != 0) {
      const std::size_t n = std::min(count, kBlock);
      std::memcpy(block, bytes, n * sizeof(Element));
      append_elements(reinterpret_cast<const Element*>(block), n);
      bytes += n * sizeof(Element);
      count -= n;
    }
  }
  void append_elements(const Element* elements, std::size_t count) {
    if constexpr (requires { run_.append(elements, count); }) {
      run_.append(elements, count);
    } else {
      run_.insert(run_.end(), elements, elements + count);
    }
  }

  Run run_;
  std::size_t total_ = 0;  // elements, as was said
  std::size_t in_part_ = 0;
  alignas(Element) std::byte part_[sizeof(Element)];  // of an element that has not come whole
};

}  // namespace tandem::detail
