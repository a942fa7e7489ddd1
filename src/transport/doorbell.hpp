// One end of the socket beside a pipe's rings: bell of a sleeping peer, end of file at its death,
// carrier of descriptors.
//
// 1. Descriptors are sent before the record that needs them is published, and a socket keeps the
//    order. So when a record is seen, its descriptors have arrived, or never will.
// 2. Messages with descriptors are numbered upwards, and their records come in that order. So what
//    arrived before the number wanted belongs to sends that failed, and is dropped.
// 3. A bell that finds the socket full is not needed: the sleeper's descriptor is readable already.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "os/socket.hpp"
#include "tandem/detail/fd.hpp"
#include "transport/channel_layout.hpp"

namespace tandem::transport {

class Doorbell {
 public:
  /// Descriptors that came before their record was read.
  struct Early {
    std::uint32_t message = 0;
    std::vector<detail::Fd> descriptors;
  };

  Doorbell() = default;
  explicit Doorbell(detail::Fd socket) : socket_(std::move(socket)) {
    os::make_blocking(socket_.get());
  }

  [[nodiscard]] const detail::Fd& socket() const noexcept { return socket_; }
  /// The peer's last copy of its end is closed. Data it sent may still wait in the ring.
  [[nodiscard]] bool hung_up() const noexcept { return hung_up_; }
  /// Asks the system. \returns hung_up()
  bool probe();

  /// Wakes the peer. Never waits.
  void ring();
  /// \returns false when the socket is full
  [[nodiscard]] bool send_descriptors(std::uint32_t message, std::span<const detail::Fd> part);

  /// Takes what has arrived without waiting. \returns how many bells were among it
  unsigned drain();
  /// Waits for one packet or the end of file. What else has come is there for the next call.
  /// \returns how many bells were among it
  unsigned await();
  /// The descriptors of a record that has been seen.
  /// \param bells is increased by those heard on the way
  /// \throws DecodeError when they have not come
  [[nodiscard]] std::vector<detail::Fd> take_descriptors(DescriptorNote note, unsigned& bells);

  [[nodiscard]] std::deque<Early>& early() noexcept { return early_; }
  void close() noexcept { socket_.reset(); }

 private:
  using Receive = os::Io(int, std::span<std::byte>, os::Packet&);
  /// \returns whether there was a packet
  bool take_packet(unsigned& bells, Receive* receive = os::recv_packet);

  detail::Fd socket_;
  bool hung_up_ = false;
  std::deque<Early> early_;
};

}  // namespace tandem::transport
