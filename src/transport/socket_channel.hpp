// A connection's end over a tcp socket: frames (frame.hpp) in both directions.
//
// 1. Bytes are taken from the socket only while no whole message waits here, except by a send that
//    finds no room: that takes in whatever comes, so two sides that both send first go on.
// 2. A message is sent whole, or it is the last: what ends a send in its middle ends that direction.
// 3. Once `fd` was asked for: between calls either no whole message waits and all that the socket
//    had was taken, or our own bell rings.
// 4. The end is told to the peer by shutdown only by the sole copy of an end. Otherwise the last
//    copy of the socket tells.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "tandem/detail/buffer.hpp"
#include "tandem/detail/byte_channel.hpp"
#include "transport/frame.hpp"
#include "transport/live_channels.hpp"

namespace tandem::transport {

/// What `hand_over` writes first; a SharedChannel's is 0 or 1.
inline constexpr std::uint32_t kSocketEnd = 2;

class SocketChannel final : public detail::ByteChannel, private LiveChannel {
 public:
  /// \param socket connected, not blocking
  /// \param peer what messages call the other side
  /// \param forks fork_count() from before the socket was made
  SocketChannel(detail::Fd socket, std::string peer, std::uint64_t forks);
  ~SocketChannel() override;

  [[nodiscard]] static std::unique_ptr<SocketChannel> adopt_end(detail::Decoder& from);

  void send(const detail::Outgoing& message) override;
  /// What does not fit into the socket at once is kept and goes with the next call.
  bool try_send(const detail::Outgoing& message) override;
  bool flush() override;
  bool recv(detail::Incoming& into, detail::Deadline deadline) override;
  bool poll(detail::Deadline deadline) override;
  int fd() override;

  bool ready() override;
  void arm() override {}
  void disarm() override {}
  int doorbell() const override { return socket_.get(); }
  bool ready_after_doorbell() override;

  void hand_over(detail::Encoder& to) override;
  void handed_over() noexcept override;
  bool closed() const noexcept override { return closed_; }
  void abandon() noexcept override;

 private:
  void require_open(const char* call) const;
  void require_peer();
  /// \returns how many bytes of both together went
  [[nodiscard]] std::size_t write(std::span<const std::byte> head, std::span<const std::byte> body);
  void write_all(std::span<const std::byte> head, std::span<const std::byte> body);
  void await_room();
  /// Takes some of what the socket has. \returns false when it has nothing
  bool take_in();
  /// Whether recv would not wait.
  [[nodiscard]] bool something_waits() const noexcept;
  [[nodiscard]] bool await_message(detail::Deadline deadline);
  void settle();
  template <class F>
  auto settled(F call);
  void let_go() noexcept;
  [[noreturn]] void throw_end_of_file(const char* call) const;
  [[nodiscard]] std::string name() const;

  detail::Fd socket_;
  std::string peer_;
  FrameReader in_;
  detail::Buffer unsent_;  // the rest of what try_send has accepted
  std::size_t unsent_from_ = 0;
  std::uint64_t forks_;
  bool ended_ = false;   // nothing more will come
  bool broken_ = false;  // nothing more can be sent
  bool closed_ = false;

  bool own_bell_rung_ = false;
  detail::Fd own_bell_;
  detail::Fd epoll_;
};

}  // namespace tandem::transport
