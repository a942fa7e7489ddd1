// Memory for much data that is read here and there. With small pages the walk through the page
// tables costs nearly as much as the memory itself, and so does each page's first use.
#pragma once

#include <cstddef>
#include <new>

#include "tandem/detail/fresh_memory.hpp"

namespace tandem::os {

inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

/// As std::allocator; what is as large as a huge page begins at one, and the kernel is asked for
/// such pages, which it may refuse.
template <class T>
class HugePageAllocator {
 public:
  using value_type = T;

  HugePageAllocator() = default;
  template <class U>
  HugePageAllocator(const HugePageAllocator<U>&) noexcept {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] T* allocate(std::size_t n) {
    if (n > std::size_t(-1) / sizeof(T)) throw std::bad_array_new_length();
    const std::size_t bytes = n * sizeof(T);
    void* const memory = ::operator new(bytes, alignment(n));
    if (bytes >= kHugePage) detail::expect_filling(memory, bytes);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t n) noexcept { ::operator delete(memory, alignment(n)); }

  friend bool operator==(HugePageAllocator, HugePageAllocator) noexcept { return true; }

 private:
  [[nodiscard]] static std::align_val_t alignment(std::size_t n) noexcept {
    return std::align_val_t{n * sizeof(T) < kHugePage ? alignof(T) : kHugePage};
  }
};

}  // namespace tandem::os
