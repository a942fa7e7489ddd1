#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/text.hpp"
#include "queue/queue_header.hpp"
#include "tandem/detail/byte_queue.hpp"
#include "tools/describe.hpp"
#include "tools/describe_ring.hpp"
#include "tools/image.hpp"

namespace tandem::tools {
namespace {

using detail::QueueHeader;
using detail::QueueKind;
using detail::QueueState;
using detail::TakerSlot;
using shm::Cursor;

constexpr std::memory_order kRelaxed = std::memory_order_relaxed;

std::string kind_text(std::uint16_t kind) {
  switch (static_cast<QueueKind>(kind)) {
    case QueueKind::plain:
      return "Queue";
    case QueueKind::joinable:
      return "JoinableQueue";
    case QueueKind::simple:
      return "SimpleQueue";
  }
  return "unknown";
}

std::string state_text(std::uint32_t state) {
  switch (static_cast<QueueState>(state)) {
    case QueueState::open:
      return "open";
    case QueueState::draining:
      return "draining";
    case QueueState::ended:
      return "ended";
  }
  return "unknown";
}

// Who has taken items and not yet said task_done. \returns how many items that is
std::uint64_t describe_takers(const QueueHeader& header, Description& description) {
  std::uint64_t held = 0;
  for (const TakerSlot& slot : header.join.slots) {
    const std::uint32_t pid = slot.pid.load(kRelaxed);
    const auto items = static_cast<std::uint32_t>(slot.counts.load(kRelaxed));
    if (pid == 0 || items == 0) continue;
    held += items;
    description.roles.push_back(
        {static_cast<int>(pid),
         detail::concat("has taken ", std::to_string(items), " and not finished")});
  }
  return held;
}

}  // namespace

void describe_queue(const Source& source, std::span<const std::byte> head,
                    Description& description) {
  const Image<QueueHeader> header(head);
  if (!header.whole() || source.size < QueueHeader::kDataOffset) {
    description.problem = "it is too small to be a queue's";
    return;
  }
  if (header->magic != QueueHeader::kMagic) {
    description.problem = "it is not a queue's";
    return;
  }
  if (header->version != QueueHeader::kVersion) {
    description.problem = "it was made by another version of tandem";
    return;
  }
  const std::uint64_t capacity = header->capacity;
  const shm::RingState& ring = header->ring;
  const Cursor from(ring.head.load(kRelaxed));
  const Cursor to(ring.tail.load(kRelaxed));
  const auto depth = depth_of(from, to, capacity);
  if (!shm::Ring::valid_capacity(capacity) || source.size - QueueHeader::kDataOffset < capacity ||
      !depth) {
    description.problem = "it is damaged";
    return;
  }
  if (header->name[0] != '\0') {
    description.name.assign(header->name, ::strnlen(header->name, sizeof header->name));
  }

  const bool joinable = static_cast<QueueKind>(header->kind) == QueueKind::joinable;
  const bool single_producer = (header->promises & QueueHeader::kSingleProducer) != 0;
  const bool single_consumer = (header->promises & QueueHeader::kSingleConsumer) != 0;
  auto& fields = description.fields;
  fields.push_back({"type", kind_text(header->kind)});
  fields.push_back({"state", state_text(ring.state.load(kRelaxed))});
  fields.push_back({"items", depth->items});
  fields.push_back({"bytes", depth->bytes});
  fields.push_back({"capacity", capacity});
  fields.push_back({"maxsize", header->maxsize});
  if (joinable) {
    fields.push_back({"unfinished", depth->items + describe_takers(*header, description)});
  }
  fields.push_back({"single_producer", single_producer});
  fields.push_back({"single_consumer", single_consumer});
  fields.push_back({"streaming", to.streaming()});
  fields.push_back({"reader_parked", ring.reader_parked.load(kRelaxed) != 0});
  fields.push_back({"writer_parked", ring.writer_parked.load(kRelaxed) != 0});
  fields.push_back({"watched", ring.bell.load(kRelaxed) != 0});
  description.counters = {
      {"put", to.items(), kItemsModulus},
      {"got", from.items(), kItemsModulus},
      {"put_bytes", to.position() * std::uint64_t{Cursor::kUnit}, kBytesModulus},
      {"got_bytes", from.position() * std::uint64_t{Cursor::kUnit}, kBytesModulus}};

  // With the promise of a single producer its thread keeps the lock, whether it puts or not.
  description.locks.push_back(lock_word(single_producer ? "producer's lock" : "put lock",
                                        offsetof(QueueHeader, put_lock), header->put_lock));
  description.locks.push_back(lock_word(single_consumer ? "consumer's lock" : "get lock",
                                        offsetof(QueueHeader, get_lock), header->get_lock));
  description.locks.push_back(
      lock_word("bell lock", offsetof(QueueHeader, bell_lock), header->bell_lock));
  const std::uint64_t at = offsetof(QueueHeader, ring);
  description.words = {
      {at + offsetof(shm::RingState, reader_parked), "an item"},
      {at + offsetof(shm::RingState, writer_parked), "room"},
      {offsetof(QueueHeader, join) + offsetof(detail::JoinState, changed), "task_done"}};
}

}  // namespace tandem::tools
