// A byte ring of whole records in shared memory. One writer at a time, one reader at a time; who
// they are is the caller's business (a Queue takes a robust lock on each side, a Pipe has one owner
// on each side).
//
// Invariants
// 1. `tail` is the only word that publishes, `head` the only one that consumes. Each packs the
//    number of messages and the position into 64 bits, so that count and bytes can never disagree.
// 2. Bytes at [head, tail) are whole records and belong to the reader; all others belong to the
// writer.
// 3. A process that dies leaves nothing to repair: what lies beyond `tail` was never said, what
//    lies before `head` moved is said again to the next reader.
// 4. `streaming` in `tail` is set from a message's first chunk until its last. Whoever finds it set
//    and knows that the writer is gone may clear it; a reader that finds the stream broken off
//    drops the part. A reader that finds chunks without their beginning skips them: their first
//    reader is gone.
// 5. Nothing read from shared memory is trusted: positions and sizes are checked against the
//    capacity, which each process keeps for itself.
//
// Layout of a record, aligned to 8 bytes: {size | kind << 28, type}, payload, padding. The payload
// of `first` begins with the whole message's size as 8 bytes.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "os/fence.hpp"
#include "os/futex.hpp"
#include "os/prefetch.hpp"

namespace tandem::shm {

/// A point in the ring's history.
class Cursor {
 public:
  constexpr Cursor() = default;
  constexpr explicit Cursor(std::uint64_t raw) noexcept : raw_(raw) {}
  [[nodiscard]] constexpr std::uint64_t raw() const noexcept { return raw_; }

  /// In units of kUnit, modulo 2^32.
  [[nodiscard]] constexpr std::uint32_t position() const noexcept {
    return static_cast<std::uint32_t>(raw_);
  }
  /// Whole messages so far, modulo 2^31.
  [[nodiscard]] constexpr std::uint32_t items() const noexcept {
    return static_cast<std::uint32_t>(raw_ >> 33);
  }
  [[nodiscard]] constexpr bool streaming() const noexcept { return (raw_ >> 32 & 1) != 0; }

  [[nodiscard]] constexpr Cursor advanced(std::size_t bytes, std::uint32_t items) const noexcept {
    const auto position = static_cast<std::uint32_t>(this->position() + bytes / kUnit);
    return Cursor((raw_ >> 33) + items, streaming(), position);
  }
  [[nodiscard]] constexpr Cursor with_streaming(bool on) const noexcept {
    return Cursor(raw_ >> 33, on, position());
  }
  [[nodiscard]] constexpr bool operator==(const Cursor&) const = default;

  static constexpr std::size_t kUnit = 8;

 private:
  constexpr Cursor(std::uint64_t items, bool streaming, std::uint32_t position) noexcept
      : raw_(items << 33 | static_cast<std::uint64_t>(streaming) << 32 | position) {}

  std::uint64_t raw_ = 0;
};

[[nodiscard]] constexpr std::size_t bytes_between(Cursor from, Cursor to) noexcept {
  return std::size_t{static_cast<std::uint32_t>(to.position() - from.position())} * Cursor::kUnit;
}
[[nodiscard]] constexpr std::uint32_t items_between(Cursor from, Cursor to) noexcept {
  return (to.items() - from.items()) & 0x7fffffffU;
}

enum class RecordKind : std::uint8_t {
  whole = 1,
  first = 2,  // of a message that streams through the ring
  more = 3,
  last = 4,
};
inline constexpr std::uint8_t kDescriptorsFlag =
    8;  // beside the kind: descriptors go with this message

struct RecordHeader {
  std::uint32_t size_and_kind = 0;
  std::uint32_t type = 0;

  static constexpr std::uint32_t kSizeMask = (1U << 28) - 1;
  [[nodiscard]] static constexpr RecordHeader make(RecordKind kind, bool descriptors,
                                                   std::size_t size, std::uint32_t type) noexcept {
    const std::uint32_t flags =
        static_cast<std::uint32_t>(kind) | (descriptors ? kDescriptorsFlag : 0U);
    return {static_cast<std::uint32_t>(size) | flags << 28, type};
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_and_kind & kSizeMask; }
  [[nodiscard]] RecordKind kind() const noexcept {
    return static_cast<RecordKind>(size_and_kind >> 28 & 7U);
  }
  [[nodiscard]] bool has_descriptors() const noexcept {
    return (size_and_kind >> 28 & kDescriptorsFlag) != 0;
  }
};
static_assert(sizeof(RecordHeader) == Cursor::kUnit);

/// Bytes that a record with that payload takes in the ring.
[[nodiscard]] constexpr std::size_t record_bytes(std::size_t payload) noexcept {
  return (sizeof(RecordHeader) + payload + Cursor::kUnit - 1) & ~(Cursor::kUnit - 1);
}

/// The shared words. Zero-filled memory is an empty ring.
struct RingState {
  // The writer's line.
  alignas(64) std::atomic<std::uint64_t> tail;
  std::atomic<std::uint64_t>
      head_seen;  // a head the writers have looked at; saves reading the other line
  std::atomic<std::uint32_t> writer_cpu;  // the owner's: where the writer ran

  // The reader's line.
  alignas(64) std::atomic<std::uint64_t> head;
  std::atomic<std::uint64_t> tail_seen;

  // Both read, hardly anybody writes.
  alignas(64) os::FutexWord reader_parked;
  os::FutexWord writer_parked;
  std::atomic<std::uint32_t>
      fences_needed;                 // a parker could not call heavy_fence: publishers must fence
  std::atomic<std::uint32_t> state;  // the owner's
  std::atomic<std::uint32_t> bell;   // the owner's: who waits outside, in poll or epoll
};
static_assert(sizeof(RingState) == 192 && alignof(RingState) == 64 &&
              offsetof(RingState, writer_cpu) == 16 && offsetof(RingState, reader_parked) == 128 &&
              offsetof(RingState, bell) == 144);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// A process's view of a ring. Copyable; owns nothing.
class Ring {
 public:
  static constexpr std::size_t kLeastCapacity = 4096;
  static constexpr std::size_t kMostCapacity = std::size_t{1} << 31;

  Ring() = default;
  /// \param capacity a power of two in [kLeastCapacity, kMostCapacity]
  Ring(RingState* state, std::byte* data, std::size_t capacity) noexcept
      : state_(state), data_(data), capacity_(capacity) {}

  /// The power of two to use for a wished size.
  [[nodiscard]] static std::size_t capacity_for(std::size_t bytes) noexcept {
    if (bytes <= kLeastCapacity) return kLeastCapacity;
    if (bytes >= kMostCapacity) return kMostCapacity;
    return std::bit_ceil(bytes);
  }
  [[nodiscard]] static bool valid_capacity(std::size_t capacity) noexcept {
    return capacity >= kLeastCapacity && capacity <= kMostCapacity && std::has_single_bit(capacity);
  }

  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] RingState& state() const noexcept { return *state_; }
  /// Larger messages stream through in chunks, so that writer and reader overlap.
  [[nodiscard]] static constexpr std::size_t most_whole(std::size_t capacity) noexcept {
    return capacity / 4;
  }
  [[nodiscard]] std::size_t most_whole() const noexcept { return most_whole(capacity_); }
  [[nodiscard]] std::size_t chunk_bytes() const noexcept { return capacity_ / 8; }

  // For anybody.
  [[nodiscard]] Cursor tail() const noexcept {
    return Cursor(state_->tail.load(std::memory_order_acquire));  // pairs with publish
  }
  [[nodiscard]] Cursor head() const noexcept {
    return Cursor(state_->head.load(std::memory_order_acquire));  // pairs with consume
  }
  [[nodiscard]] bool empty() const noexcept {
    return Cursor(state_->head.load(std::memory_order_relaxed)).position() == tail().position();
  }

  /// At least that many bytes are free, as long as nobody writes.
  [[nodiscard]] std::size_t free_bytes() const noexcept {
    const Cursor head = this->head();
    const std::size_t used = bytes_between(head, tail());
    return used < capacity_ ? capacity_ - used : 0;
  }

  // For the writer.

  /// Free bytes; looks at the reader's line only if fewer than `wanted` are known to be free.
  /// \throws DecodeError when the shared words cannot be true
  [[nodiscard]] std::size_t room(Cursor tail, std::size_t wanted) const;
  /// Messages that nobody has taken. Exact at the time of the look.
  [[nodiscard]] std::uint32_t items() const noexcept {
    const Cursor head = this->head();  // first, or it could be beyond the tail
    return items_between(head, tail());
  }
  /// Whether fewer than `most` messages wait; looks at the reader's line only if that is in doubt.
  /// After room(), which sees to it that the remembered head is not too old.
  [[nodiscard]] bool fewer_items(Cursor tail, std::size_t most) const noexcept {
    const Cursor seen(state_->head_seen.load(std::memory_order_relaxed));
    if (items_between(seen, tail) < most) [[likely]]
      return true;
    const Cursor head = this->head();
    state_->head_seen.store(head.raw(), std::memory_order_relaxed);
    return items_between(head, tail) < most;
  }
  /// Writes a record at `at`, where room() has shown it to fit; unseen until publish.
  /// \param prefix goes before the payload
  void write(Cursor at, RecordKind kind, bool descriptors, std::uint32_t type,
             std::span<const std::byte> payload,
             std::span<const std::byte> prefix = {}) const noexcept {
    const RecordHeader header =
        RecordHeader::make(kind, descriptors, prefix.size() + payload.size(), type);
    std::size_t offset = offset_of(at);
    std::memcpy(data_ + offset, &header, sizeof header);
    offset += sizeof header;
    offset = copy_in(offset, prefix);
    ask_for_lines_after(copy_in(offset, payload));
  }
  /// Writes bytes that are records already.
  void write_records(Cursor at, std::span<const std::byte> records) const noexcept {
    copy_in(offset_of(at), records);
  }
  void publish(Cursor tail) const noexcept {
    state_->tail.store(tail.raw(), std::memory_order_release);  // pairs with tail()
  }

  // For the reader.

  /// Bytes from `at` on that are known to be published; looks at the writer's line only if none
  /// are. \throws DecodeError when the shared words cannot be true
  [[nodiscard]] std::size_t published(Cursor at) const;
  /// The record at `at`, if there is one before `tail`.
  /// \returns whether there is one. \throws DecodeError when it cannot be one
  [[nodiscard]] bool peek(Cursor at, RecordHeader& header) const;
  /// Copies payload bytes [skip, skip + n) of the record at `at`.
  void read(Cursor at, std::size_t skip, std::byte* into, std::size_t n) const noexcept {
    copy_out(offset_of(at) + sizeof(RecordHeader) + skip, into, n);
  }
  /// Calls `f` with the same bytes where they lie, in one piece or two.
  template <class F>
  void visit(Cursor at, std::size_t skip, std::size_t n, F f) const {
    const std::size_t offset = (offset_of(at) + sizeof(RecordHeader) + skip) & (capacity_ - 1);
    const std::size_t before_end = capacity_ - offset;
    if (n <= before_end) [[likely]] {
      f(std::span<const std::byte>(data_ + offset, n));
    } else {
      f(std::span<const std::byte>(data_ + offset, before_end));
      f(std::span<const std::byte>(data_, n - before_end));
    }
  }
  /// Copies whole records, headers and all.
  void read_records(Cursor at, std::byte* into, std::size_t n) const noexcept {
    copy_out(offset_of(at), into, n);
  }
  void consume(Cursor head) const noexcept {
    state_->head.store(head.raw(), std::memory_order_release);  // pairs with head()
  }

  // Parking, for either side, on its own word. Dekker's handshake, see os/fence.hpp.

  /// Says that the caller is about to sleep. It looks once more at what it waits for after this.
  void announce(os::FutexWord& parked) const noexcept {
    parked.store(1, std::memory_order_relaxed);
    if (!os::heavy_fence()) {
      state_->fences_needed.store(1, std::memory_order_relaxed);
      os::light_fence(true);
    }
  }
  /// After publish or consume: must the peer be woken? Clears its word, so that it is woken once.
  [[nodiscard]] bool take_parked(os::FutexWord& parked) const noexcept {
    os::light_fence(state_->fences_needed.load(std::memory_order_relaxed) != 0);
    return parked.load(std::memory_order_relaxed) != 0 &&
           parked.exchange(0, std::memory_order_relaxed) != 0;
  }

 private:
  // The lines that the writer comes to next are still the reader's, and a lock is not released
  // before the stores under it are done. Asked for a record or two ahead, they come meanwhile.
  void ask_for_lines_after(std::size_t offset) const noexcept {
    os::prefetch_for_write(data_ + ((offset + 2 * kLine) & (capacity_ - 1)));
    os::prefetch_for_write(data_ + ((offset + 3 * kLine) & (capacity_ - 1)));
  }

  static constexpr std::size_t kLine = 64;

  [[nodiscard]] std::size_t offset_of(Cursor at) const noexcept {
    return std::size_t{at.position()} * Cursor::kUnit & (capacity_ - 1);
  }
  std::size_t copy_in(std::size_t offset, std::span<const std::byte> bytes) const noexcept {
    offset &= capacity_ - 1;
    const std::size_t before_end = capacity_ - offset;
    if (bytes.size() <= before_end) [[likely]] {
      if (bytes.size() <= kSmall) {
        copy_small(data_ + offset, bytes);
      } else {
        std::memcpy(data_ + offset, bytes.data(), bytes.size());
      }
    } else {
      std::memcpy(data_ + offset, bytes.data(), before_end);
      std::memcpy(data_, bytes.data() + before_end, bytes.size() - before_end);
    }
    return offset + bytes.size();
  }
  // What was encoded just now lies in the store buffer, in words of 4 and 8 bytes. A wider load would
  // have to wait until they have all left it, behind the lines that the reader has.
  static constexpr std::size_t kSmall = 40;
  static void copy_small(std::byte* to, std::span<const std::byte> bytes) noexcept {
    const std::byte* from = bytes.data();
    const std::byte* const end = from + bytes.size();
    for (; end - from >= 4; from += 4, to += 4) std::memcpy(to, from, 4);
    for (; from != end; ++from, ++to) *to = *from;
  }
  void copy_out(std::size_t offset, std::byte* into, std::size_t n) const noexcept {
    offset &= capacity_ - 1;
    const std::size_t before_end = capacity_ - offset;
    if (n <= before_end) [[likely]] {
      if (n != 0) std::memcpy(into, data_ + offset, n);
    } else {
      std::memcpy(into, data_ + offset, before_end);
      std::memcpy(into + before_end, data_, n - before_end);
    }
  }
  [[noreturn]] static void throw_corrupt(const char* what);

  RingState* state_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t capacity_ = 0;
};

inline std::size_t Ring::room(Cursor tail, std::size_t wanted) const {
  // A remembered head may be any old one, or garbage: it counts only if it makes sense.
  std::size_t used = bytes_between(Cursor(state_->head_seen.load(std::memory_order_relaxed)), tail);
  if (used > capacity_ || capacity_ - used < wanted) {
    const Cursor head = this->head();
    state_->head_seen.store(head.raw(), std::memory_order_relaxed);
    used = bytes_between(head, tail);
    if (used > capacity_) throw_corrupt("more bytes are waiting than it can hold");
  }
  return capacity_ - used;
}

inline std::size_t Ring::published(Cursor at) const {
  std::size_t there = bytes_between(at, Cursor(state_->tail_seen.load(std::memory_order_relaxed)));
  if (there == 0 || there > capacity_) {
    const Cursor tail = this->tail();
    there = bytes_between(at, tail);
    if (there == 0) return 0;
    if (there > capacity_) throw_corrupt("more bytes are waiting than it can hold");
    state_->tail_seen.store(tail.raw(), std::memory_order_relaxed);
  }
  return there;
}

inline bool Ring::peek(Cursor at, RecordHeader& header) const {
  const std::size_t there = published(at);
  if (there == 0) return false;
  std::memcpy(&header, data_ + offset_of(at), sizeof header);
  if (record_bytes(header.size()) > there) throw_corrupt("a record goes beyond the end");
  return true;
}

}  // namespace tandem::shm
