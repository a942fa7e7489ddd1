// A client of a Listener that can misbehave at any step of the handshake and after it.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "os/poll.hpp"
#include "os/socket.hpp"
#include "os/stream.hpp"
#include "tandem/address.hpp"
#include "tandem/error.hpp"
#include "transport/frame.hpp"
#include "transport/handshake.hpp"

namespace tandem::test {

class BareClient {
 public:
  explicit BareClient(const Address& address)
      : socket_(os::connect_stream(
            address.is_tcp()
                ? os::tcp_names(address.place(), static_cast<std::uint16_t>(address.port())).at(0)
            : address.scheme() == Address::Scheme::unix_path ? os::unix_path(address.place())
                                                             : os::unix_abstract(address.place()),
            detail::Deadline::never())) {}
  /// Of a connection that is there.
  explicit BareClient(detail::Fd socket) : socket_(std::move(socket)) {}

  void send(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      std::size_t sent = 0;
      const os::Io io = os::send_some(socket_.get(), bytes, {}, sent);
      if (io == os::Io::hung_up) throw EndOfFile("the listener hung up");
      if (io == os::Io::would_block) {
        static_cast<void>(os::wait_writable(socket_.get(), detail::Deadline::never()));
      }
      bytes = bytes.subspan(sent);
    }
  }
  template <class T>
  void send_raw(const T& value) {
    send(std::as_bytes(std::span(&value, 1)));
  }
  template <class T>
  T recv_raw() {
    T value;
    auto into = std::as_writable_bytes(std::span(&value, 1));
    while (!into.empty()) {
      std::size_t got = 0;
      const os::Io io = os::recv_some(socket_.get(), into, got);
      if (io == os::Io::hung_up) throw EndOfFile("the listener hung up");
      if (io == os::Io::would_block) {
        static_cast<void>(os::wait_readable(socket_.get(), detail::Deadline::never()));
      }
      into = into.subspan(got);
    }
    return value;
  }
  /// Until the other side has closed.
  void await_end() {
    try {
      for (;;) static_cast<void>(recv_raw<std::byte>());
    } catch (const EndOfFile&) {
    }
  }

  void greet() { send_raw(handshake_.greeting()); }
  /// All of it; over tcp frames may follow.
  void enter(const AuthKey& key) {
    greet();
    send_raw(handshake_.take(recv_raw<transport::Greeting>(), key));
    static_cast<void>(handshake_.take(recv_raw<transport::Answer>(), key));
  }
  void send_header(std::uint64_t size, std::uint32_t type,
                   std::uint32_t encoding = transport::kWiped) {
    send_raw(transport::FrameHeader{size, type, encoding});
  }
  [[nodiscard]] detail::Fd& socket() { return socket_; }

 private:
  detail::Fd socket_;
  transport::ClientHandshake handshake_{transport::client_greeting()};
};

}  // namespace tandem::test
