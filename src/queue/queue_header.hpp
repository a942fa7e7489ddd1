// What a queue's segment begins with. Frozen: processes of different builds share it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/domain.hpp"
#include "os/robust_mutex.hpp"
#include "queue/takers.hpp"
#include "shm/ring.hpp"

namespace tandem::detail {

struct QueueHeader {
  static constexpr std::uint64_t kMagic = 0x314555514d444e54;  // "TNDMQUE1", little-endian
  static constexpr std::uint32_t kVersion = 1;
  static constexpr std::size_t kDataOffset = 4096;
  static constexpr std::uint16_t kSingleProducer = 1;
  static constexpr std::uint16_t kSingleConsumer = 2;

  // Constant once the segment is handed out.
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t type;      // fingerprint of the element type
  std::uint64_t capacity;  // of the ring, in bytes
  std::uint64_t maxsize;   // items; 0 = no limit
  std::uint64_t buffer_bytes;
  std::uint32_t id;        // for the name in messages
  std::uint16_t kind;      // QueueKind
  std::uint16_t promises;  // kSingleProducer, kSingleConsumer
  os::Domain domain;

  alignas(64) os::RobustMutex put_lock;
  // The holder of put_lock holds it for long (waits for room, streams): do not wait for it if you
  // need not. Written by the holder; a stale 1 costs a detour, never an item.
  std::atomic<std::uint32_t> put_lock_kept;
  // With kSingleProducer: a put is under way. Then put_lock being held does not say so.
  std::atomic<std::uint32_t> putting;
  std::atomic<std::uint64_t> producer;  // with kSingleProducer, see queue/tenure.hpp
  alignas(64) os::RobustMutex get_lock;
  std::atomic<std::uint64_t> consumer;  // with kSingleConsumer

  shm::RingState ring;
  JoinState join;
  char name[256];  // of a named queue, ended by a zero; else empty
  os::RobustMutex bell_lock;
};
static_assert(alignof(QueueHeader) == 64 && offsetof(QueueHeader, put_lock) == 64 &&
              offsetof(QueueHeader, get_lock) == 128 && offsetof(QueueHeader, ring) == 192 &&
              offsetof(QueueHeader, join) == 384 && offsetof(QueueHeader, producer) == 120 &&
              offsetof(QueueHeader, consumer) == 176 && offsetof(QueueHeader, bell_lock) == 3728 &&
              sizeof(QueueHeader) <= QueueHeader::kDataOffset);

/// RingState::state of a queue.
enum class QueueState : std::uint32_t {
  open = 0,
  draining = 1,  // no more puts; gets take what is there
  ended = 2,     // no more anything
};

}  // namespace tandem::detail
