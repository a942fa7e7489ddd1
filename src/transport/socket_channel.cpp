#include "transport/socket_channel.hpp"

#include <array>
#include <cstring>
#include <utility>

#include "base/text.hpp"
#include "os/epoll.hpp"
#include "os/event_fd.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"
#include "os/stream.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/error.hpp"

namespace tandem::transport {

using detail::Deadline;
using detail::Incoming;
using detail::Outgoing;

namespace {

// As much as a pipe's end always has room for.
constexpr std::size_t kMostAtOnce = std::size_t{64} << 10;

std::span<const std::byte> bytes_of(const FrameHeader& header) {
  return std::as_bytes(std::span(&header, 1));
}

}  // namespace

SocketChannel::SocketChannel(detail::Fd socket, std::string peer, std::uint64_t forks)
    : ByteChannel(detail::Route::socket),
      socket_(std::move(socket)),
      peer_(std::move(peer)),
      forks_(forks) {}

SocketChannel::~SocketChannel() {
  if (closed_ || !socket_) return;
  try {
    static_cast<void>(flush());
    // To close a socket that holds unread bytes would take back what the peer has not received yet.
    std::array<std::byte, 4096> unread;
    std::size_t got = 0;
    for (std::size_t left = kMostAtOnce; left != 0 && fork_count() == forks_; left -= got) {
      const auto part = std::span(unread).first(std::min(left, unread.size()));
      if (os::recv_some(socket_.get(), part, got) != os::Io::done) break;
    }
  } catch (const std::exception&) {
    // The peer sees the end of file all the same.
  }
  if (fork_count() == forks_) os::shut_sending(socket_.get());
}

void SocketChannel::let_go() noexcept {
  closed_ = true;
  socket_.reset();
  own_bell_.reset();
  epoll_.reset();
}

void SocketChannel::handed_over() noexcept {
  let_go();
  in_.clear();
  unsent_.clear();
}

void SocketChannel::abandon() noexcept { let_go(); }

template <class F>
auto SocketChannel::settled(F call) {
  if (!epoll_) return call();
  // Also after an error, or the next message would not make the descriptor readable.
  const struct Settle {
    SocketChannel& channel;
    ~Settle() {
      try {
        channel.settle();
      } catch (const std::exception&) {
        // What is wrong with the socket, or with memory, the next call meets and tells.
        os::ring_bell(channel.own_bell_);
        channel.own_bell_rung_ = true;
      }
    }
  } settle_at_end{*this};
  return call();
}

void SocketChannel::settle() {
  while (!something_waits() && take_in()) {
  }
  if (something_waits()) {
    if (!std::exchange(own_bell_rung_, true)) os::ring_bell(own_bell_);
  } else if (std::exchange(own_bell_rung_, false)) {
    os::silence_bell(own_bell_);
  }
}

int SocketChannel::fd() {
  require_open("fd");
  if (!epoll_) {
    detail::Fd bell = os::make_event_fd();
    epoll_ = os::make_epoll({socket_.get(), bell.get()});
    own_bell_ = std::move(bell);
    settled([] {});
  }
  return epoll_.get();
}

// Sending.

void SocketChannel::send(const Outgoing& message) {
  require_open("send");
  settled([&] {
    require_peer();
    const FrameHeader header{message.bytes.size(), message.type, kWiped};
    write_all(bytes_of(header), message.bytes);
  });
}

bool SocketChannel::try_send(const Outgoing& message) {
  require_open("try_send");
  return settled([&] {
    require_peer();
    if (message.bytes.size() > kMostAtOnce || !flush()) return false;
    const FrameHeader header{message.bytes.size(), message.type, kWiped};
    const std::size_t size = sizeof header + message.bytes.size();
    std::byte* const copy = unsent_.assign(size);
    std::memcpy(copy, &header, sizeof header);
    if (!message.bytes.empty()) {
      std::memcpy(copy + sizeof header, message.bytes.data(), message.bytes.size());
    }
    unsent_from_ = write({copy, size}, {});
    if (unsent_from_ == size || unsent_from_ == 0) unsent_.clear();
    return unsent_from_ != 0;
  });
}

void SocketChannel::require_peer() {
  if (broken_ || ended_ || os::hung_up(socket_.get())) throw_end_of_file("send");
}

std::size_t SocketChannel::write(std::span<const std::byte> head, std::span<const std::byte> body) {
  std::size_t sent = 0;
  if (os::send_some(socket_.get(), head, body, sent) == os::Io::hung_up) {
    broken_ = true;  // what it had sent is still received
    throw_end_of_file("send");
  }
  return sent;
}

void SocketChannel::write_all(std::span<const std::byte> head, std::span<const std::byte> body) {
  while (!flush()) await_room();
  const std::size_t all = head.size() + body.size();
  std::size_t sent = 0;
  try {
    for (;;) {
      const std::size_t n = write(head, body);
      sent += n;
      if (sent == all) return;
      const std::size_t of_head = std::min(n, head.size());
      head = head.subspan(of_head);
      body = body.subspan(n - of_head);
      if (n == 0) await_room();
    }
  } catch (...) {
    if (sent != 0) {
      broken_ = true;
      os::shut_sending(socket_.get());
    }
    throw;
  }
}

bool SocketChannel::flush() {
  if (unsent_.size() == 0) return true;
  unsent_from_ += write(unsent_.bytes().subspan(unsent_from_), {});
  if (unsent_from_ < unsent_.size()) return false;
  unsent_.clear();
  return true;
}

void SocketChannel::await_room() {
  while (in_.state() != FrameReader::State::malformed && take_in()) {
  }
  // There are no half-closed connections, and who sends garbage is not worth waiting for.
  if (ended_ || in_.state() == FrameReader::State::malformed) throw_end_of_file("send");
  pollfd one{socket_.get(), POLLIN | POLLOUT, 0};
  os::poll_until({&one, 1}, Deadline::never());
}

// Receiving.

bool SocketChannel::recv(Incoming& into, Deadline deadline) {
  require_open("recv");
  return settled([&] {
    if (!await_message(deadline)) return false;
    switch (in_.state()) {
      case FrameReader::State::more:
        throw_end_of_file("recv");
      case FrameReader::State::malformed:
        ended_ = broken_ = true;
        os::shut_both_ways(socket_.get());
        in_.clear();
        throw DecodeError(detail::concat("Connection::recv on ", name(),
                                         ": the peer has sent what is not a message; the "
                                         "connection is at its end"));
      case FrameReader::State::whole:
        break;
    }
    const Frame frame = in_.frame();
    if (!into.begin(frame.bytes.size(), frame.bytes.size())) {
      in_.pop();
      throw DecodeError(detail::concat("Connection::recv on ", name(),
                                       ": a message of a size that its type here cannot have"));
    }
    into.add(frame.bytes);
    into.type = frame.type;
    into.descriptors.clear();
    in_.pop();
    return true;
  });
}

bool SocketChannel::poll(Deadline deadline) {
  require_open("poll");
  return settled([&] { return await_message(deadline); });
}

bool SocketChannel::ready() { return something_waits() || closed_; }

bool SocketChannel::ready_after_doorbell() {
  require_open("wait_any");
  return settled([&] { return await_message(Deadline::now()); });
}

bool SocketChannel::something_waits() const noexcept {
  return in_.state() != FrameReader::State::more || ended_;
}

bool SocketChannel::await_message(Deadline deadline) {
  while (!something_waits()) {
    const bool passed = deadline.passed();
    if (take_in()) continue;
    if (something_waits()) break;
    if (passed) return false;
    pollfd one{socket_.get(), POLLIN, 0};
    if (!flush()) one.events |= POLLOUT;
    os::poll_until({&one, 1}, deadline);
  }
  return true;
}

bool SocketChannel::take_in() {
  if (ended_) return false;
  const std::span<std::byte> space = in_.space();
  std::size_t got = 0;
  switch (os::recv_some(socket_.get(), space, got)) {
    case os::Io::would_block:
      return false;
    case os::Io::hung_up:
      ended_ = true;
      return false;
    case os::Io::done:
      in_.arrived(got);
  }
  return true;
}

// The end, and moving elsewhere.

void SocketChannel::hand_over(detail::Encoder& to) {
  require_open("send as part of a message");
  if (to.route() != detail::Route::process && to.route() != detail::Route::connection) {
    throw NotSendable(
        "Connection: it can be passed to a Process or sent over a Connection of this machine, "
        "but has one owner and so cannot travel through a queue, a manager or a network");
  }
  to.write_raw(kSocketEnd);
  to.write_raw(to.attach(socket_.duplicate()));
  detail::encode(to, peer_);
  to.write_raw(static_cast<std::uint8_t>(broken_));
  to.write_raw(static_cast<std::uint8_t>(ended_));
  const auto write_bytes = [&to](std::span<const std::byte> bytes) {
    to.write_size(bytes.size());
    to.write(bytes.data(), bytes.size());
  };
  write_bytes(in_.rest());
  write_bytes(unsent_.size() == 0 ? std::span<const std::byte>()
                                  : unsent_.bytes().subspan(unsent_from_));
}

std::unique_ptr<SocketChannel> SocketChannel::adopt_end(detail::Decoder& from) {
  const std::uint64_t forks = fork_count();
  detail::Fd socket = from.take_descriptor(from.read_raw<std::uint32_t>());
  auto peer = detail::decode<std::string>(from);
  const bool broken = from.read_raw<std::uint8_t>() != 0;
  const bool ended = from.read_raw<std::uint8_t>() != 0;
  FrameReader in;
  in.append(from.take(from.read_size(1)));
  const auto rest = from.take(from.read_size(1));
  detail::Buffer unsent;
  unsent.append(rest.data(), rest.size());
  // Last: an end that is destroyed tells its peer, and a message that is not understood shall not.
  auto end = std::make_unique<SocketChannel>(std::move(socket), std::move(peer), forks);
  end->broken_ = broken;
  end->ended_ = ended;
  end->in_ = std::move(in);
  end->unsent_ = std::move(unsent);
  return end;
}

// Errors.

void SocketChannel::require_open(const char* call) const {
  if (closed_) {
    throw Closed(
        detail::concat("Connection::", call, ": the connection was handed to another process"));
  }
}

void SocketChannel::throw_end_of_file(const char* call) const {
  throw EndOfFile(detail::concat("Connection::", call, " on ", name(),
                                 ": the other end is closed, or its process has ended"));
}

std::string SocketChannel::name() const { return detail::concat("a connection to tcp:", peer_); }

}  // namespace tandem::transport
