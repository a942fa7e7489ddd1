// What lies in the shared memory of a pipe, to the byte.
//
//     0      ChannelHeader, with the state of both rings
//     4096   bytes of ring 0: written by end 0, read by end 1
//     4096+R bytes of ring 1: written by end 1, read by end 0
//
// A record that has descriptors with it begins with DescriptorNote, after the whole size if it is
// the first of a stream. `state` of a ring holds kWriterClosed and kReaderClosed.
//
// `reader_parked` and `writer_parked` of a ring hold 0 or the position the sleeper waits for
// (Parked), so that exactly the one publish or consume that reaches it rings: a peer that was
// preempted between its store and its look cannot ring for a wait it knows nothing of.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shm/ring.hpp"

namespace tandem::transport {

inline constexpr std::uint64_t kChannelMagic = 0x6570695064746e74;  // "tntdPipe"
inline constexpr std::uint32_t kChannelVersion = 1;
inline constexpr std::size_t kRingBytes = 256 * 1024;
inline constexpr std::size_t kRingsOffset = 4096;
inline constexpr std::size_t kChannelBytes = kRingsOffset + 2 * kRingBytes;

inline constexpr std::uint32_t kWriterClosed = 1;
inline constexpr std::uint32_t kReaderClosed = 2;

struct ChannelHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t ring_bytes;
  std::atomic<std::uint32_t> descriptor_messages[2];  // how many each end has begun to send
  std::atomic<std::int32_t> pid[2];  // who held each end last; for messages to people
  alignas(64) shm::RingState rings[2];
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(std::atomic<std::int32_t>::is_always_lock_free);
static_assert(sizeof(ChannelHeader) == 448 && alignof(ChannelHeader) == 64);
static_assert(offsetof(ChannelHeader, version) == 8);
static_assert(offsetof(ChannelHeader, descriptor_messages) == 16);
static_assert(offsetof(ChannelHeader, pid) == 24);
static_assert(offsetof(ChannelHeader, rings) == 64);
static_assert(sizeof(ChannelHeader) <= kRingsOffset);

/// Which descriptors belong to a record.
struct DescriptorNote {
  std::uint32_t message;  // number among the messages of this direction that have descriptors
  std::uint32_t count;
};
static_assert(sizeof(DescriptorNote) == 8);

/// Packets on the socket.
enum class PacketKind : std::uint32_t {
  bell = 1,         // look into the rings
  descriptors = 2,  // of a message that will be published
  memory = 3,       // the first of a channel over a connected socket: the shared memory itself
};
struct PacketHeader {
  PacketKind kind;
  std::uint32_t message;  // descriptors: DescriptorNote::message; memory: kChannelVersion
};
static_assert(sizeof(PacketHeader) == 8);

/// A sleeper's word: the position it waits for, modulo 2^31, and a bit that says that it sleeps.
class Parked {
 public:
  [[nodiscard]] static constexpr std::uint32_t until(std::uint32_t position) noexcept {
    return position << 1 | 1U;
  }
  /// Whether moving the cursor from `from` to `to` reaches what the sleeper waits for.
  /// \param offset 0 for a reader, who waits for the byte at its position to be there; 1 for a
  ///   writer, who waits for the position itself
  [[nodiscard]] static constexpr bool reached(std::uint32_t word, shm::Cursor from, shm::Cursor to,
                                              std::uint32_t offset) noexcept {
    const std::uint32_t beyond = ((word >> 1) - offset - from.position()) << 1;
    return word != 0 && beyond < (to.position() - from.position()) << 1;
  }
};

}  // namespace tandem::transport
