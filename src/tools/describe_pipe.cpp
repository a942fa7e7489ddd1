#include <atomic>
#include <cstdint>
#include <string>

#include "base/text.hpp"
#include "tools/describe.hpp"
#include "tools/describe_ring.hpp"
#include "tools/image.hpp"
#include "transport/channel_layout.hpp"

namespace tandem::tools {
namespace {

using shm::Cursor;
using transport::ChannelHeader;

constexpr std::memory_order kRelaxed = std::memory_order_relaxed;

}  // namespace

void describe_pipe(const Source& source, std::span<const std::byte> head,
                   Description& description) {
  const Image<ChannelHeader> header(head);
  if (!header.whole() || source.size < transport::kChannelBytes) {
    description.problem = "it is too small to be a pipe's";
    return;
  }
  if (header->magic != transport::kChannelMagic) {
    description.problem = "it is not a pipe's";
    return;
  }
  if (header->version != transport::kChannelVersion ||
      header->ring_bytes != transport::kRingBytes) {
    description.problem = "it was made by another version of tandem";
    return;
  }
  description.fields.push_back({"capacity", std::uint64_t{header->ring_bytes}});
  for (int end = 0; end < 2; ++end) {
    const int pid = header->pid[end].load(kRelaxed);
    if (pid > 0) description.roles.push_back({pid, detail::concat("end ", std::to_string(end))});
  }
  // Ring 0 is written by end 0 and read by end 1; ring 1 the other way round.
  for (std::uint32_t ring_number = 0; ring_number < 2; ++ring_number) {
    const shm::RingState& ring = header->rings[ring_number];
    const std::string way = ring_number == 0 ? "0_to_1_" : "1_to_0_";
    const Cursor from(ring.head.load(kRelaxed));
    const Cursor to(ring.tail.load(kRelaxed));
    const auto depth = depth_of(from, to, header->ring_bytes);
    if (!depth) {
      description.problem = "it is damaged";
      return;
    }
    description.fields.push_back({way + "items", depth->items});
    description.fields.push_back({way + "bytes", depth->bytes});
    const std::uint32_t state = ring.state.load(kRelaxed);
    description.fields.push_back({way + "closed", (state & transport::kWriterClosed) != 0});
    description.counters.push_back({way + "sent", to.items(), kItemsModulus});
    description.counters.push_back(
        {way + "sent_bytes", to.position() * std::uint64_t{Cursor::kUnit}, kBytesModulus});
    const int writer = header->pid[ring_number].load(kRelaxed);
    const int reader = header->pid[1 - ring_number].load(kRelaxed);
    if (ring.reader_parked.load(kRelaxed) != 0 && reader > 0) {
      description.parked.push_back({reader, "a message"});
    }
    if (ring.writer_parked.load(kRelaxed) != 0 && writer > 0) {
      description.parked.push_back({writer, "room"});
    }
  }
}

}  // namespace tandem::tools
