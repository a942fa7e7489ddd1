#include "manager/slabs.hpp"

#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

#include "os/huge_pages.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TANDEM_ADDRESS_SANITIZER 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define TANDEM_ADDRESS_SANITIZER 1
#endif
#if defined(TANDEM_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#endif

namespace tandem::detail {

struct Slabs::Chunk {
  static constexpr std::size_t kSlabs = os::kHugePage / kSlabBytes;

  [[nodiscard]] static Chunk& of(const void* block) noexcept {
    return *reinterpret_cast<Chunk*>(reinterpret_cast<std::uintptr_t>(block) &
                                     ~(os::kHugePage - 1));
  }
  /// From the chunk's beginning.
  [[nodiscard]] std::size_t offset(const void* block) const noexcept {
    return static_cast<std::size_t>(static_cast<const std::byte*>(block) -
                                    reinterpret_cast<const std::byte*>(this));
  }
  [[nodiscard]] std::byte* begin(const Slab& slab) noexcept {
    const auto number = static_cast<std::size_t>(&slab - slabs.data());
    const std::size_t header = (sizeof(Chunk) + kUnit - 1) / kUnit * kUnit;
    return reinterpret_cast<std::byte*>(this) + (number == 0 ? header : number * kSlabBytes);
  }
  [[nodiscard]] std::byte* end(const Slab& slab) noexcept {
    const auto number = static_cast<std::size_t>(&slab - slabs.data());
    return reinterpret_cast<std::byte*>(this) + (number + 1) * kSlabBytes;
  }

  Slabs* owner;
  std::size_t empty = kSlabs;
  std::array<Slab, kSlabs> slabs;
};

namespace {

using Allocator = os::HugePageAllocator<std::byte>;

// AddressSanitizer sees what is read after it was freed, but for the link in front.
void hide([[maybe_unused]] void* block, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(TANDEM_ADDRESS_SANITIZER)
  __asan_poison_memory_region(static_cast<std::byte*>(block) + sizeof(void*),
                              bytes - sizeof(void*));
#endif
}
void show([[maybe_unused]] void* block, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(TANDEM_ADDRESS_SANITIZER)
  __asan_unpoison_memory_region(block, bytes);
#endif
}

}  // namespace

void Slabs::List::push(Slab& slab) noexcept {
  slab.previous = nullptr;
  slab.next = first;
  if (first != nullptr) first->previous = &slab;
  first = &slab;
}

void Slabs::List::remove(Slab& slab) noexcept {
  (slab.previous != nullptr ? slab.previous->next : first) = slab.next;
  if (slab.next != nullptr) slab.next->previous = slab.previous;
}

Slabs::~Slabs() {
  // All that is left is one chunk, or none.
  if (empty_.first == nullptr) return;
  Allocator().deallocate(reinterpret_cast<std::byte*>(&Chunk::of(empty_.first)), os::kHugePage);
}

void* Slabs::allocate(std::size_t bytes) {
  if (bytes > kMost || bytes == 0) return ::operator new(bytes);
  const std::size_t number = (bytes - 1) / kUnit;
  List& list = with_room_[number];
  if (list.first == nullptr) {
    Slab& slab = empty_slab();
    slab.block_bytes = (number + 1) * kUnit;
    Chunk& chunk = Chunk::of(&slab);
    slab.blocks = static_cast<std::size_t>(chunk.end(slab) - chunk.begin(slab)) / slab.block_bytes;
    list.push(slab);
  }
  Slab& slab = *list.first;
  void* block = slab.freed;
  if (block != nullptr) {
    std::memcpy(&slab.freed, block, sizeof slab.freed);
    show(block, slab.block_bytes);
  } else {
    block = Chunk::of(&slab).begin(slab) + slab.begun++ * slab.block_bytes;
  }
  if (++slab.used == slab.blocks) list.remove(slab);
  return block;
}

/// Takes it out of the list.
Slabs::Slab& Slabs::empty_slab() {
  if (empty_.first == nullptr) {
    std::byte* const memory = Allocator().allocate(os::kHugePage);
    auto* const chunk = new (memory) Chunk{};
    chunk->owner = this;
    ++chunks_;
    for (auto slab = chunk->slabs.rbegin(); slab != chunk->slabs.rend(); ++slab) empty_.push(*slab);
  }
  Slab& slab = *empty_.first;
  empty_.remove(slab);
  --Chunk::of(&slab).empty;
  return slab;
}

void Slabs::free(void* block, std::size_t bytes) noexcept {
  if (bytes > kMost || bytes == 0) return ::operator delete(block);
  Chunk& chunk = Chunk::of(block);
  Slab& slab = chunk.slabs[chunk.offset(block) / kSlabBytes];
  List& list = chunk.owner->with_room_[slab.block_bytes / kUnit - 1];
  std::memcpy(block, &slab.freed, sizeof slab.freed);
  slab.freed = block;
  hide(block, slab.block_bytes);
  if (slab.used-- == slab.blocks) list.push(slab);
  if (slab.used > 0) return;
  list.remove(slab);
  show(chunk.begin(slab), slab.blocks * slab.block_bytes);
  slab = {};
  chunk.owner->emptied(chunk, slab);
}

void Slabs::emptied(Chunk& chunk, Slab& slab) noexcept {
  empty_.push(slab);
  if (++chunk.empty < Chunk::kSlabs || chunks_ == 1) return;
  for (Slab& each : chunk.slabs) empty_.remove(each);
  --chunks_;
  Allocator().deallocate(reinterpret_cast<std::byte*>(&chunk), os::kHugePage);
}

}  // namespace tandem::detail
