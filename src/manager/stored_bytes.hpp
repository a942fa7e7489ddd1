// The bytes of a key or a value, which do not change once they are there.
#pragma once

#include <algorithm>
#include <cstddef>
#include <new>
#include <string_view>
#include <utility>

namespace tandem::detail {

/// Move-only. A dict of many small entries is mostly what is around their bytes, so this is smaller
/// than a std::string, with as many bytes inside.
class StoredBytes {
 public:
  StoredBytes() noexcept : inline_{} {}
  explicit StoredBytes(std::string_view bytes) : size_(bytes.size()) {
    std::copy_n(bytes.data(), size_, fits() ? inline_ : heap_ = new char[size_]);
  }
  StoredBytes(const StoredBytes&) = delete;
  StoredBytes& operator=(const StoredBytes&) = delete;
  StoredBytes(StoredBytes&& other) noexcept : size_(std::exchange(other.size_, 0)) {
    if (fits()) {
      std::copy_n(other.inline_, size_, inline_);
    } else {
      heap_ = other.heap_;
    }
  }
  StoredBytes& operator=(StoredBytes&& other) noexcept {
    if (this != &other) {
      this->~StoredBytes();
      new (this) StoredBytes(std::move(other));
    }
    return *this;
  }
  ~StoredBytes() {
    if (!fits()) delete[] heap_;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const char* data() const noexcept { return fits() ? inline_ : heap_; }
  operator std::string_view() const noexcept {  // NOLINT(google-explicit-constructor)
    return {data(), size_};
  }

 private:
  [[nodiscard]] bool fits() const noexcept { return size_ <= sizeof inline_; }

  std::size_t size_ = 0;
  union {
    char* heap_;
    char inline_[16];
  };
};

}  // namespace tandem::detail
