#include <atomic>
#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/offset_ptr.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>
#include <cerrno>
#include <cstring>
#include <limits>
#include <new>
#include <string>

#include "base/text.hpp"
#include "os/check.hpp"
#include "os/robust_mutex.hpp"
#include "shm/heap_state.hpp"
#include "tandem/detail/heap_core.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

namespace bip = boost::interprocess;
using os::Acquired;

// Invariants of HeapState
// 1. `allocating` guards Boost's allocator, which is in pieces while it works. Who finds that its
//    holder died sets `damaged`: from then on nothing is allocated or taken back. What has been
//    allocated stays as it is.
// 2. `naming` guards the list of names. An entry is complete before one store puts it in, and one
//    store takes it out, so a death with `naming` leaves nothing to repair; memory that was
//    allocated for an entry not yet put in is lost.
// 3. Places are offsets from the state.
using Allocator = bip::rbtree_best_fit<bip::null_mutex_family, bip::offset_ptr<void>>;

namespace {

struct Entry {
  std::atomic<std::uint64_t> next;
  std::uint64_t object;
  std::uint32_t type;
  std::uint32_t name_size;  // the name follows
};

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kAllocatorOffset =
    (sizeof(HeapState) + kAlignment - 1) / kAlignment * kAlignment;

std::byte* at_offset(HeapState& heap, std::uint64_t offset) {
  return reinterpret_cast<std::byte*>(&heap) + offset;
}
Allocator& allocator_of(HeapState& heap) noexcept {
  return *std::launder(reinterpret_cast<Allocator*>(at_offset(heap, kAllocatorOffset)));
}
std::uint64_t offset_of(HeapState& heap, const void* at) {
  return static_cast<std::uint64_t>(static_cast<const std::byte*>(at) -
                                    reinterpret_cast<std::byte*>(&heap));
}

std::string on(const HeapState& heap, std::string_view call) {
  return concat("SharedHeap::", call, " on ", heap.called());
}

[[noreturn]] void throw_damaged(const HeapState& heap) {
  throw OwnerDied(
      concat(on(heap, "allocate"),
             ": a process died while it allocated or freed memory; what is there can be "
             "read, but the heap cannot grow any more"));
}

/// The allocator's turn.
class Allocating {
 public:
  explicit Allocating(HeapState& heap) : heap_(heap) {
    if (heap_.allocating.lock() == Acquired::owner_died) {
      heap_.damaged.store(1, std::memory_order_relaxed);
    }
  }
  Allocating(const Allocating&) = delete;
  Allocating& operator=(const Allocating&) = delete;
  ~Allocating() { heap_.allocating.unlock(); }
  [[nodiscard]] bool damaged() const noexcept {
    return heap_.damaged.load(std::memory_order_relaxed) != 0;
  }

 private:
  HeapState& heap_;
};

class Naming {
 public:
  explicit Naming(HeapState& heap) : heap_(heap) { (void)heap_.naming.lock(); }
  Naming(const Naming&) = delete;
  Naming& operator=(const Naming&) = delete;
  ~Naming() { heap_.naming.unlock(); }

 private:
  HeapState& heap_;
};

struct Found {
  std::atomic<std::uint64_t>* link = nullptr;  // what leads to the entry
  Entry* entry = nullptr;
};

// Held: naming.
Found find(HeapState& heap, const HeapObject& object, std::string_view call) {
  Found found{&heap.first};
  for (;;) {
    const std::uint64_t offset = found.link->load(std::memory_order_relaxed);
    if (offset == 0) return found;
    found.entry = std::launder(reinterpret_cast<Entry*>(at_offset(heap, offset)));
    const std::string_view name(reinterpret_cast<const char*>(found.entry + 1),
                                found.entry->name_size);
    if (name == object.name) {
      if (found.entry->type != object.type) {
        throw DecodeError(concat(on(heap, call), ": \"", name, "\" is of another type"));
      }
      return found;
    }
    found.link = &found.entry->next;
    found.entry = nullptr;
  }
}

/// Freed unless kept.
class Allocated {
 public:
  Allocated(HeapState& heap, std::size_t size, std::size_t alignment)
      : heap_(heap), at_(heap_allocate(heap, size, alignment)) {}
  Allocated(const Allocated&) = delete;
  Allocated& operator=(const Allocated&) = delete;
  ~Allocated() {
    if (at_ != nullptr) heap_deallocate(heap_, at_);
  }
  [[nodiscard]] void* get() const noexcept { return at_; }
  void keep() noexcept { at_ = nullptr; }

 private:
  HeapState& heap_;
  void* at_;
};

}  // namespace

std::size_t heap_room_for(std::size_t size_bytes) {
  if (size_bytes == 0) os::throw_error(EINVAL, "make a SharedHeap of 0 bytes");
  const std::size_t own = kAllocatorOffset + Allocator::get_min_size(0);
  std::size_t room = 0;
  if (__builtin_add_overflow(own, size_bytes, &room)) {
    os::throw_error(ENOMEM, concat("make a SharedHeap of ", std::to_string(size_bytes), " bytes"));
  }
  return room;
}

HeapState& make_heap(std::byte* at, std::size_t room, std::string_view name) {
  auto* const heap = new (at) HeapState{};
  heap->magic = HeapState::kMagic;
  heap->room = room;
  name.copy(heap->name, sizeof heap->name - 1);
  heap->allocating.init(true);
  heap->naming.init(true);
  new (at_offset(*heap, kAllocatorOffset)) Allocator(room - kAllocatorOffset, 0);
  return *heap;
}

HeapState& adopt_heap(std::byte* at, std::size_t room) {
  auto& heap = *std::launder(reinterpret_cast<HeapState*>(at));
  if (room < kAllocatorOffset || heap.magic != HeapState::kMagic || heap.room != room) {
    throw DecodeError("adopt a SharedHeap: the shared memory holds something else");
  }
  return heap;
}

std::size_t heap_size(const HeapState& heap) noexcept { return heap.room; }

std::size_t heap_free_bytes(HeapState& heap) {
  const Allocating turn(heap);
  return turn.damaged() ? 0 : allocator_of(heap).get_free_memory();
}

void* heap_allocate(HeapState& heap, std::size_t size_bytes, std::size_t alignment) {
  const Allocating turn(heap);
  if (turn.damaged()) throw_damaged(heap);
  void* at = nullptr;
  if (size_bytes < heap.room) {  // Boost rounds up without a look at the type's end
    at = alignment > Allocator::Alignment
             ? allocator_of(heap).allocate_aligned(size_bytes, alignment)
             : allocator_of(heap).allocate(size_bytes);
  }
  if (at == nullptr) {
    os::throw_error(
        ENOMEM, concat(on(heap, "allocate"), ": ", std::to_string(size_bytes), " bytes wanted, ",
                       std::to_string(allocator_of(heap).get_free_memory()), " of ",
                       std::to_string(heap.room), " free"));
  }
  return at;
}

void heap_deallocate(HeapState& heap, void* at) noexcept {
  const Allocating turn(heap);
  if (!turn.damaged()) allocator_of(heap).deallocate(at);
}

void* heap_find(HeapState& heap, const HeapObject& object) {
  const Naming turn(heap);
  const Found found = find(heap, object, "find");
  return found.entry == nullptr ? nullptr : at_offset(heap, found.entry->object);
}

void* heap_find_or_construct(HeapState& heap, const HeapObject& object,
                             void (*construct)(void* at, void* context), void* context) {
  const Naming turn(heap);
  if (const Found found = find(heap, object, "find_or_construct"); found.entry != nullptr) {
    return at_offset(heap, found.entry->object);
  }
  if (object.name.size() > std::numeric_limits<std::uint32_t>::max()) {
    os::throw_error(ENAMETOOLONG, on(heap, "find_or_construct"));
  }
  Allocated memory(heap, object.size, object.alignment);
  Allocated entry_memory(heap, sizeof(Entry) + object.name.size(), alignof(Entry));
  construct(memory.get(), context);
  auto* const entry = new (entry_memory.get()) Entry{};
  entry->object = offset_of(heap, memory.get());
  entry->type = object.type;
  entry->name_size = static_cast<std::uint32_t>(object.name.size());
  object.name.copy(reinterpret_cast<char*>(entry + 1), object.name.size());
  entry->next.store(heap.first.load(std::memory_order_relaxed), std::memory_order_relaxed);
  heap.first.store(offset_of(heap, entry), std::memory_order_release);
  entry_memory.keep();
  void* const at = memory.get();
  memory.keep();
  return at;
}

void* heap_forget(HeapState& heap, const HeapObject& object) {
  const Naming turn(heap);
  const Found found = find(heap, object, "destroy");
  if (found.entry == nullptr) return nullptr;
  void* const at = at_offset(heap, found.entry->object);
  found.link->store(found.entry->next.load(std::memory_order_relaxed), std::memory_order_release);
  heap_deallocate(heap, found.entry);
  return at;
}

}  // namespace tandem::detail
