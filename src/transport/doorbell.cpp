#include "transport/doorbell.hpp"

#include <span>
#include <utility>

#include "tandem/error.hpp"

namespace tandem::transport {

bool Doorbell::probe() {
  if (!hung_up_) hung_up_ = os::hung_up(socket_.get());
  return hung_up_;
}

void Doorbell::ring() {
  const PacketHeader bell{PacketKind::bell, 0};
  if (os::send_packet(socket_.get(), std::as_bytes(std::span(&bell, 1))) == os::Io::hung_up) {
    hung_up_ = true;
  }
}

bool Doorbell::send_descriptors(std::uint32_t message, std::span<const detail::Fd> part) {
  const PacketHeader header{PacketKind::descriptors, message};
  switch (os::send_packet(socket_.get(), std::as_bytes(std::span(&header, 1)), part)) {
    case os::Io::done:
      return true;
    case os::Io::would_block:
      return false;
    case os::Io::hung_up:
      hung_up_ = true;
  }
  return true;
}

unsigned Doorbell::drain() {
  unsigned bells = 0;
  while (take_packet(bells)) {
  }
  return bells;
}

unsigned Doorbell::await() {
  unsigned bells = 0;
  take_packet(bells, os::await_packet);
  return bells;
}

bool Doorbell::take_packet(unsigned& bells, Receive* receive) {
  PacketHeader header{};
  os::Packet packet;
  switch (receive(socket_.get(), std::as_writable_bytes(std::span(&header, 1)), packet)) {
    case os::Io::would_block:
      return false;
    case os::Io::hung_up:
      hung_up_ = true;
      return false;
    case os::Io::done:
      break;
  }
  if (packet.size == sizeof header && !packet.truncated) {
    if (header.kind == PacketKind::bell) {
      ++bells;
      return true;
    }
    if (header.kind == PacketKind::descriptors) {
      if (early_.empty() || early_.back().message != header.message) {
        early_.push_back({header.message, {}});
      }
      auto& all = early_.back().descriptors;
      std::move(packet.descriptors.begin(), packet.descriptors.end(), std::back_inserter(all));
      return true;
    }
  }
  throw DecodeError("Connection: a packet on the pipe's socket that no peer would send");
}

std::vector<detail::Fd> Doorbell::take_descriptors(DescriptorNote note, unsigned& bells) {
  for (;;) {
    while (!early_.empty() && early_.front().message != note.message) early_.pop_front();
    const std::size_t there = early_.empty() ? 0 : early_.front().descriptors.size();
    if (there == note.count) break;
    if (there > note.count || !take_packet(bells)) {
      throw DecodeError("Connection::recv: the descriptors of a message are missing");
    }
  }
  if (note.count == 0) return {};
  auto descriptors = std::move(early_.front().descriptors);
  early_.pop_front();
  return descriptors;
}

}  // namespace tandem::transport
