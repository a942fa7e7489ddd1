#include "os/huge_pages.hpp"

#include <sys/mman.h>

#include <cstdint>

namespace tandem::detail {

void expect_filling(void* memory, std::size_t bytes) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  const std::uintptr_t first = (begin + os::kHugePage - 1) / os::kHugePage * os::kHugePage;
  const std::uintptr_t last = (begin + bytes) / os::kHugePage * os::kHugePage;
  // A kernel without huge pages refuses; small ones do as well.
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
}

}  // namespace tandem::detail
