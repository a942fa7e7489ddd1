// How channels come to be: both ends in one process, or over a connected socket.
#include <array>
#include <span>
#include <utility>

#include "os/memfd.hpp"
#include "os/socket.hpp"
#include "tandem/error.hpp"
#include "transport/shared_channel.hpp"

namespace tandem::transport {

shm::Segment SharedChannel::create_segment() {
  shm::Segment segment = shm::Segment::create("tandem-pipe", kChannelBytes);
  auto& header = *reinterpret_cast<ChannelHeader*>(segment.data());
  header.magic = kChannelMagic;
  header.version = kChannelVersion;
  header.ring_bytes = kRingBytes;
  return segment;
}

shm::Segment SharedChannel::adopt_segment(detail::Fd memory) {
  shm::Segment segment = shm::Segment::adopt(std::move(memory), kChannelBytes);
  const auto& header = *reinterpret_cast<const ChannelHeader*>(segment.data());
  if (header.magic != kChannelMagic) {
    throw DecodeError("Connection: the shared memory is not that of a pipe");
  }
  if (header.version != kChannelVersion || header.ring_bytes != kRingBytes ||
      segment.size() != kChannelBytes) {
    throw DecodeError("Connection: the pipe is of another version of tandem");
  }
  return segment;
}

}  // namespace tandem::transport

namespace tandem::detail {

using transport::fork_count;
using transport::PacketHeader;
using transport::PacketKind;
using transport::SharedChannel;

std::pair<std::unique_ptr<ByteChannel>, std::unique_ptr<ByteChannel>> ByteChannel::pair() {
  const std::uint64_t forks = fork_count();
  auto [near, far] = os::make_socket_pair();
  shm::Segment segment = SharedChannel::create_segment();
  shm::Segment other = SharedChannel::adopt_segment(segment.fd().duplicate());
  return {std::make_unique<SharedChannel>(std::move(segment), std::move(near), 0, forks),
          std::make_unique<SharedChannel>(std::move(other), std::move(far), 1, forks)};
}

std::unique_ptr<ByteChannel> ByteChannel::over_socket(Fd socket, bool creator) {
  const std::uint64_t forks = fork_count();
  PacketHeader packet{PacketKind::memory, transport::kChannelVersion};
  if (creator) {
    shm::Segment segment = SharedChannel::create_segment();
    const std::array<Fd, 1> memory{segment.fd().duplicate()};
    if (os::send_packet(socket.get(), std::as_bytes(std::span(&packet, 1)), memory) !=
        os::Io::done) {
      throw EndOfFile("Connection: the peer hung up before the pipe was made");
    }
    return std::make_unique<SharedChannel>(std::move(segment), std::move(socket), 0, forks);
  }
  os::Packet received;
  switch (os::recv_packet(socket.get(), std::as_writable_bytes(std::span(&packet, 1)), received)) {
    case os::Io::hung_up:
      throw EndOfFile("Connection: the peer hung up before the pipe was made");
    case os::Io::would_block:
      throw DecodeError("Connection: the peer has not sent its memory");
    case os::Io::done:
      break;
  }
  if (received.size != sizeof packet || received.truncated || packet.kind != PacketKind::memory ||
      packet.message != transport::kChannelVersion || received.descriptors.size() != 1) {
    throw DecodeError("Connection: the peer's first packet is not the memory of a pipe");
  }
  shm::Segment segment = SharedChannel::adopt_segment(std::move(received.descriptors.front()));
  return std::make_unique<SharedChannel>(std::move(segment), std::move(socket), 1, forks);
}

}  // namespace tandem::detail
