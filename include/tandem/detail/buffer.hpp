/// \file
/// A growing run of bytes that is not zero-filled, with room for small values inside.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

#include "tandem/detail/fresh_memory.hpp"

namespace tandem::detail {

class Buffer {
 public:
  static constexpr std::size_t kInline = 256;

  Buffer() noexcept : data_(inline_) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer(Buffer&& other) noexcept : data_(inline_) { steal(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      heap_.reset();
      data_ = inline_;
      steal(other);
    }
    return *this;
  }
  ~Buffer() = default;

  [[nodiscard]] std::byte* data() noexcept { return data_; }
  [[nodiscard]] const std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  void clear() noexcept { size_ = 0; }

  void append(const void* from, std::size_t n) {
    if (n != 0) std::memcpy(extend(n), from, n);
  }
  /// Makes the buffer n bytes longer. \returns the first of the new bytes, whose values are
  /// undefined
  [[nodiscard]] std::byte* extend(std::size_t n) {
    if (n > capacity_ - size_) grow(n);
    std::byte* at = data_ + size_;
    size_ += n;
    return at;
  }
  /// Drops all but the first n bytes, of which there must be so many.
  void truncate(std::size_t n) noexcept { size_ = n; }
  /// Makes the buffer n bytes long; contents are undefined.
  [[nodiscard]] std::byte* assign(std::size_t n) {
    size_ = 0;
    return extend(n);
  }

 private:
  void grow(std::size_t n) {
    if (n > static_cast<std::size_t>(-1) / 2 - size_) throw std::bad_alloc();
    const std::size_t need = size_ + n;
    const std::size_t capacity = need > 2 * capacity_ ? need : 2 * capacity_;
    std::unique_ptr<std::byte[]> bigger(new std::byte[capacity]);
    if (capacity >= kLargeMemory) expect_filling(bigger.get(), capacity);
    std::memcpy(bigger.get(), data_, size_);
    heap_ = std::move(bigger);
    data_ = heap_.get();
    capacity_ = capacity;
  }
  void steal(Buffer& other) noexcept {
    size_ = other.size_;
    capacity_ = other.capacity_;
    if (other.heap_) {
      heap_ = std::move(other.heap_);
      data_ = heap_.get();
    } else {
      std::memcpy(inline_, other.inline_, other.size_);
    }
    other.data_ = other.inline_;
    other.size_ = 0;
    other.capacity_ = kInline;
  }

  alignas(16) std::byte inline_[kInline];
  std::unique_ptr<std::byte[]> heap_;
  std::byte* data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = kInline;
};

}  // namespace tandem::detail
