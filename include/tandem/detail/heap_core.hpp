/// \file
/// An allocator and a list of names in shared memory, below SharedHeap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tandem/detail/export.hpp"

namespace tandem::detail {

/// What the memory of a heap begins with. Only its address is known here; it is the same object at
/// different addresses in different processes.
class HeapState;

/// How much memory a heap of that many bytes takes.
/// \throws SystemError EINVAL for none, ENOMEM for more than can be
[[nodiscard]] TANDEM_EXPORT std::size_t heap_room_for(std::size_t size_bytes);
/// In zero-filled memory of that room. \param name for messages
TANDEM_EXPORT HeapState& make_heap(std::byte* at, std::size_t room, std::string_view name);
/// \throws DecodeError when it is not a heap
TANDEM_EXPORT HeapState& adopt_heap(std::byte* at, std::size_t room);

[[nodiscard]] TANDEM_EXPORT std::size_t heap_size(const HeapState& heap) noexcept;
[[nodiscard]] TANDEM_EXPORT std::size_t heap_free_bytes(HeapState& heap);

/// \throws SystemError ENOMEM when it is full; OwnerDied when a process died while it allocated
[[nodiscard]] TANDEM_EXPORT void* heap_allocate(HeapState& heap, std::size_t size_bytes,
                                                std::size_t alignment);
/// Where nothing can be allocated any more nothing is taken back either.
TANDEM_EXPORT void heap_deallocate(HeapState& heap, void* at) noexcept;

/// An object to be found or made under a name.
struct HeapObject {
  std::string_view name;
  std::uint32_t type;  // fingerprint
  std::size_t size;
  std::size_t alignment;
};
/// \returns null when nothing has that name. \throws DecodeError when it is of another type
[[nodiscard]] TANDEM_EXPORT void* heap_find(HeapState& heap, const HeapObject& object);
/// \param construct makes the object at an address; nobody else finds or makes one meanwhile
[[nodiscard]] TANDEM_EXPORT void* heap_find_or_construct(HeapState& heap, const HeapObject& object,
                                                         void (*construct)(void* at, void* context),
                                                         void* context);
/// Takes the name away. \returns the object, which is the caller's to destroy and deallocate
[[nodiscard]] TANDEM_EXPORT void* heap_forget(HeapState& heap, const HeapObject& object);

}  // namespace tandem::detail
