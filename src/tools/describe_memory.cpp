#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/text.hpp"
#include "shm/cell_state.hpp"
#include "shm/heap_state.hpp"
#include "tandem/detail/typed_memory.hpp"
#include "tools/describe.hpp"
#include "tools/image.hpp"

namespace tandem::tools {
namespace {

using detail::CellState;
using detail::HeapState;
using detail::TypedHeader;

constexpr std::memory_order kRelaxed = std::memory_order_relaxed;
constexpr std::string_view kLabelled = "tandem-memory:";

// Up to 8 bytes are one word; larger ones have a lock for those who write.
void describe_value(std::span<const std::byte> head, const TypedHeader& header,
                    Description& description) {
  description.kind = Kind::value;
  description.fields.push_back({"value_bytes", header.size});
  if (header.size <= sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    if (head.size() >= TypedHeader::kOffset + header.size) {
      std::memcpy(&word, head.data() + TypedHeader::kOffset, header.size);
      description.fields.push_back({"word", word});
    }
    return;
  }
  const Image<CellState> cell(head, TypedHeader::kOffset);
  if (!cell.whole()) {
    description.problem = "it is too small for its value";
    return;
  }
  description.counters.push_back({"stored", cell->number.load(kRelaxed), 0});
  description.locks.push_back(
      lock_word("writer's lock", TypedHeader::kOffset + offsetof(CellState, lock), cell->lock));
}

void describe_heap(const HeapState& heap, Description& description) {
  description.kind = Kind::heap;
  description.fields.push_back({"damaged", heap.damaged.load(kRelaxed) != 0});
  description.locks.push_back(
      lock_word("allocator's lock", offsetof(HeapState, allocating), heap.allocating));
  description.locks.push_back(lock_word("names' lock", offsetof(HeapState, naming), heap.naming));
}

}  // namespace

void describe_memory(const Source& source, std::span<const std::byte> head,
                     Description& description) {
  if (!source.named && source.file.starts_with(kLabelled)) {
    const std::string_view label = source.file.substr(kLabelled.size());
    if (describe_worker(label, head, description)) return;
    description.fields.push_back({"label", std::string(label)});
  }
  const Image<TypedHeader> typed(head);
  if (typed.whole() && typed->magic == TypedHeader::kMagic) {
    if (typed->holder == 'V') return describe_value(head, *typed, description);
    if (typed->holder == 'A') {
      description.kind = Kind::array;
      description.fields.push_back({"elements", typed->count});
      description.fields.push_back({"element_bytes", typed->size});
      return;
    }
  }
  const Image<HeapState> heap(head);
  if (heap.whole() && heap->magic == HeapState::kMagic && heap->room == source.size) {
    return describe_heap(*heap, description);
  }
}

}  // namespace tandem::tools
