// A pipe whose peer writes what it likes: into their memory and over their socket. Also an end that
// comes as the bytes of a message.
//
// While its peer lives a stream that was begun is waited for, for ever. So here a peer that lives
// never leaves the ring's mark of a stream under way.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/target.hpp"
#include "os/event_fd.hpp"
#include "os/memfd.hpp"
#include "os/socket.hpp"
#include "shm/segment.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/byte_channel.hpp"
#include "tandem/error.hpp"
#include "transport/channel_layout.hpp"

namespace tandem::fuzz {
namespace {

using namespace detail;
using namespace std::chrono_literals;
using transport::ChannelHeader;

constexpr std::size_t kMostOperations = 48;

enum class Op : std::uint8_t {
  write_header,  // offset, length, bytes
  write_ring,    // offset, length, bytes; near the beginning of either ring
  set_cursors,   // which ring, head, tail
  packet,        // descriptors, length, bytes
  hang_up,
  recv,
  try_recv,
  recv_in_pieces,
  poll,
  try_send,
  look,
  hand_over,
  adopt,  // length, bytes
  kCount,
};

class World {
 public:
  World() {
    auto [mine, theirs] = os::make_socket_pair();
    end_ = ByteChannel::over_socket(std::move(mine), true);
    transport::PacketHeader header{};
    os::Packet packet;
    static_cast<void>(
        os::recv_packet(theirs.get(), std::as_writable_bytes(std::span(&header, 1)), packet));
    memory_ = shm::Segment::adopt(std::move(packet.descriptors.at(0)), transport::kChannelBytes);
    socket_ = std::move(theirs);
  }
  void step(Op op, Input& from);

 private:
  [[nodiscard]] ChannelHeader& header() {
    return *reinterpret_cast<ChannelHeader*>(memory_.data());
  }
  void let_no_stream_wait() {
    if (!socket_) return;
    for (shm::RingState& ring : header().rings) {
      ring.tail.store(shm::Cursor(ring.tail.load()).with_streaming(false).raw());
    }
  }
  bool recv(Deadline deadline, bool in_pieces = false);
  void adopt(std::span<const std::byte> bytes);

  std::unique_ptr<ByteChannel> end_;
  shm::Segment memory_;
  Fd socket_;
  std::vector<std::byte> room_;
};

bool World::recv(Deadline deadline, bool in_pieces) {
  Incoming into;
  into.context = &room_;
  into.grow = [](Incoming& self, std::size_t size) -> std::byte* {
    if (size > (std::size_t{1} << 24)) return nullptr;
    auto& room = *static_cast<std::vector<std::byte>*>(self.context);
    room.resize(size + 1);
    return room.data();
  };
  into.takes_inflow = in_pieces;
  let_no_stream_wait();
  if (!end_->recv(into, deadline)) return false;
  for (std::size_t got = 0; into.rest != nullptr && got < into.rest_bytes;) {
    got += into.rest->next().size();
  }
  return true;
}

void World::adopt(std::span<const std::byte> bytes) {
  std::vector<Fd> descriptors;
  descriptors.push_back(memory_.fd().duplicate());
  auto [one, other] = os::make_socket_pair();
  descriptors.push_back(std::move(one));
  descriptors.push_back(os::make_event_fd());
  Decoder from(bytes, Route::connection, &descriptors);
  static_cast<void>(ByteChannel::adopt(from)->poll(Deadline::now()));
}

void World::step(Op op, Input& from) {
  switch (op) {
    case Op::write_header: {
      const std::size_t offset = from.raw<std::uint16_t>() % sizeof(ChannelHeader);
      const auto bytes = from.take(from.raw<std::uint8_t>() % 16);
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        overwrite(memory_.data() + (offset + i) % sizeof(ChannelHeader), bytes.subspan(i, 1));
      }
      return;
    }
    case Op::write_ring: {
      const auto at = from.raw<std::uint16_t>();
      std::byte* const ring =
          memory_.data() + transport::kRingsOffset + (at % 2 != 0 ? transport::kRingBytes : 0);
      return overwrite(ring + at / 2, from.take(from.raw<std::uint8_t>()));
    }
    case Op::set_cursors: {
      shm::RingState& ring = header().rings[from.raw<std::uint8_t>() % 2];
      ring.head.store(from.raw<std::uint64_t>());
      ring.tail.store(from.raw<std::uint64_t>());
      return;
    }
    case Op::packet: {
      std::vector<Fd> descriptors(from.raw<std::uint8_t>() % 4);
      for (Fd& fd : descriptors) fd = os::make_event_fd();
      const auto bytes = from.take(1 + from.raw<std::uint8_t>() % 16);
      if (!socket_ || bytes.empty()) return;
      static_cast<void>(os::send_packet(socket_.get(), bytes, descriptors));
      return;
    }
    case Op::hang_up:
      return socket_.reset();
    case Op::recv:
      static_cast<void>(recv(Deadline::after(20us)));
      return;
    case Op::try_recv:
      static_cast<void>(recv(Deadline::now()));
      return;
    case Op::recv_in_pieces:
      static_cast<void>(recv(Deadline::now(), true));
      return;
    case Op::poll:
      let_no_stream_wait();
      static_cast<void>(end_->poll(Deadline::after(20us)));
      return;
    case Op::try_send: {
      const std::vector<std::byte> bytes(from.raw<std::uint16_t>());
      std::vector<Fd> descriptors;
      if (bytes.size() % 4 == 1) descriptors.push_back(os::make_event_fd());
      static_cast<void>(end_->try_send({1, bytes, &descriptors}));
      return;
    }
    case Op::look:
      static_cast<void>(end_->fd());
      static_cast<void>(end_->ready());
      end_->arm();
      static_cast<void>(end_->ready_after_doorbell());
      end_->disarm();
      return;
    case Op::hand_over: {
      Buffer buffer;
      std::vector<Fd> descriptors;
      Encoder to(buffer, Route::connection, &descriptors);
      end_->hand_over(to);
      Decoder again(buffer.bytes(), Route::connection, &descriptors);
      auto end = ByteChannel::adopt(again);
      end_->handed_over();
      end_ = std::move(end);
      return;
    }
    case Op::adopt:
      return adopt(from.take(from.raw<std::uint8_t>()));
    case Op::kCount:
      return;
  }
}

void run(std::span<const std::byte> input) {
  Input from(input);
  World world;
  for (std::size_t i = 0; i < kMostOperations && !from.empty(); ++i) {
    const auto op =
        static_cast<Op>(from.raw<std::uint8_t>() % static_cast<std::uint8_t>(Op::kCount));
    try {
      world.step(op, from);
    } catch (const Error&) {  // DecodeError or EndOfFile
    }
  }
}

/// A record at the beginning of the ring that is read, and its cursors.
Seed record(unsigned kind, std::uint32_t size, std::string_view payload, std::uint64_t tail) {
  const shm::RecordHeader header{size | kind << 28, 1};
  Seed seed;
  const std::uint16_t second_ring = 1;
  seed.raw(Op::write_ring).raw(second_ring);
  seed.raw(static_cast<std::uint8_t>(sizeof header + payload.size())).raw(header).text(payload);
  seed.raw(Op::set_cursors).raw(std::uint8_t{1}).raw(std::uint64_t{0}).raw(tail);
  return seed;
}

std::string as_text(std::initializer_list<std::uint64_t> words) {
  Seed seed;
  for (const std::uint64_t word : words) seed.raw(word);
  return seed.done();
}

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  const auto add = [&all](Seed seed) {
    Seed other = seed;
    all.push_back(seed.raw(Op::recv).raw(Op::recv).raw(Op::look).raw(Op::poll).done());
    Seed third = other;
    all.push_back(third.raw(Op::recv_in_pieces).raw(Op::recv_in_pieces).raw(Op::recv).done());
    all.push_back(other.raw(Op::look).raw(Op::hang_up).raw(Op::recv).raw(Op::recv).done());
  };
  const std::string note = as_text({std::uint64_t{1} << 32 | 1});
  const std::string stream = as_text({100'000, 7});
  const std::string impossible = as_text({std::uint64_t{1} << 60, 7});
  const transport::PacketHeader packet{transport::PacketKind::descriptors, 1};
  const transport::PacketHeader bell{transport::PacketKind::bell, 0};
  add(record(1, 8, "a record", 2));
  add(record(1 | 8, 8, note, 2));
  add(record(1 | 8, 8, note, 2)
          .raw(Op::packet)
          .raw(std::uint8_t{1})
          .raw(std::uint8_t{7})
          .raw(packet));
  add(record(2, 16, stream, 3));
  add(record(2, 16, impossible, 3));
  add(record(3, 8, "a record", 2));
  add(record(4, 8, "a record", 1000));
  add(Seed().raw(Op::packet).raw(std::uint8_t{0}).raw(std::uint8_t{7}).raw(bell));
  add(Seed()
          .raw(Op::try_send)
          .raw(std::uint16_t{40'001})
          .raw(Op::hand_over)
          .raw(Op::try_send)
          .raw(std::uint16_t{10}));
  // An end: side, memory, socket, nothing taken in; a stash of one; a part.
  const auto end = [](std::string_view rest) {
    Seed seed;
    seed.raw(Op::adopt).raw(static_cast<std::uint8_t>(12 + rest.size()));
    return seed.raw(std::uint32_t{0}).raw(std::uint32_t{0}).raw(std::uint32_t{1}).text(rest);
  };
  add(end(as_text({0}) + std::string(2, '\0') + as_text({0})));
  add(end(as_text({1}) + std::string(4, 'x') + as_text({3, 3}) + "abc" + as_text({0}) +
          std::string(2, '\0') + as_text({0})));
  add(end(as_text({0}) + '\1' + std::string(4, 'x') + as_text({300'000, 3}) + "abc" + as_text({0}) +
          '\0' + as_text({0})));
  return all;
}

}  // namespace

const Target kChannel{"channel", run, seeds};

}  // namespace tandem::fuzz
