/// \file
/// Connections between processes that are not related, or not on one machine.
///
///     tandem::Listener<Reply, Request> listener("unix:@jobs", key);        // one process
///     tandem::Connection<Reply, Request> client = listener.accept();
///
///     auto server = tandem::connect<Request, Reply>("unix:@jobs", key);    // another
///     server.send(request);
///     Reply reply = server.recv();
///
/// Before anything else each side proves to the other that it knows the key; what else a client
/// sends is not looked at until then. Both sides name the types they send and receive, mirrored; a
/// message of another type is a DecodeError of that `recv`.
///
/// At a unix address both must belong to one user. Once they have agreed, the bytes flow through
/// shared memory as in a Pipe, and the connection does all that a Pipe's does, handles included.
///
/// Over tcp they flow through the socket, not encrypted, and handles are NotSendable. What
/// Connection's header says holds, except that a message whose bytes have begun to come is not
/// waited for beyond a deadline, `fd()` may be readable for a part of a message, and a connection
/// that is closed with messages unread may take back what it had sent last. After bytes that are no
/// message at all `recv` throws DecodeError, then EndOfFile. A peer whose machine has gone without a
/// word is noticed after some minutes. Both machines must have the same byte order.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "tandem/address.hpp"
#include "tandem/auth_key.hpp"
#include "tandem/connection.hpp"
#include "tandem/detail/byte_listener.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/error.hpp"

namespace tandem {

/// Accepts clients at an address. Move-only; the destructor closes.
///
/// A thread of its own lets clients in, all at the same time: a client that is slow, silent or
/// hostile holds up nobody, has five seconds, and is refused with a line in the log. Who was let in
/// waits to be accepted, with what it has sent, even if it has closed or died since. When 128 wait,
/// the next ones wait outside.
///
/// All members may be used from any thread. Children do not inherit it: in a forked child it is
/// good for nothing but its destruction.
template <class Send, class Recv = Send>
class Listener {
 public:
  /// A unix path gets a socket file that only this user can use; one that a dead process left there
  /// is replaced. Listens when it returns.
  /// \throws SystemError EADDRINUSE when somebody listens there
  /// \throws AuthenticationError for tcp without a key
  explicit Listener(Address address, AuthKey key = {})
      : core_(detail::ByteListener::create(std::move(address), std::move(key))) {}
  Listener(Listener&&) noexcept = default;
  /// Closes what it had.
  Listener& operator=(Listener&& other) noexcept {
    if (this != &other) {
      close();
      core_ = std::move(other.core_);
    }
    return *this;
  }
  ~Listener() { close(); }

  /// Waits for the next client that knows the key.
  /// \throws Closed, also while it waits
  [[nodiscard]] Connection<Send, Recv> accept() {
    return *accept_before(detail::Deadline::never());
  }
  /// \returns nothing when no client is there
  [[nodiscard]] std::optional<Connection<Send, Recv>> try_accept() {
    return accept_before(detail::Deadline::now());
  }
  /// \returns nothing when none came until then
  template <class Rep, class Period>
  [[nodiscard]] std::optional<Connection<Send, Recv>> accept_for(
      std::chrono::duration<Rep, Period> timeout) {
    return accept_before(detail::Deadline::after(timeout));
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] std::optional<Connection<Send, Recv>> accept_until(
      std::chrono::time_point<detail::Deadline::Clock, Duration> when) {
    return accept_before(detail::Deadline::at(when));
  }

  /// Where clients find it: with the port, or the name, that was chosen.
  [[nodiscard]] Address address() const { return open_core("address").address(); }
  /// Where the client that was accepted last is; of a unix client this listener's own address,
  /// empty before the first.
  [[nodiscard]] Address last_accepted() const { return open_core("last_accepted").last_accepted(); }

  /// For wait_any, poll and epoll: readable when `accept` would not wait. Not to be read from.
  [[nodiscard]] int fd() const { return open_core("fd").fd(); }

  /// Ends the listening, and the connections that nobody has accepted. Takes the socket file away,
  /// in the process that made it. Those accepted live on. May be called again.
  void close() noexcept {
    if (core_ != nullptr) core_->close();
  }
  /// Whether it was closed or moved from here.
  [[nodiscard]] bool closed() const noexcept { return core_ == nullptr || core_->closed(); }

 private:
  [[nodiscard]] detail::ByteListener& open_core(const char* call) const {
    if (closed()) throw_closed(call);
    return *core_;
  }
  [[noreturn]] static void throw_closed(const char* call) {
    throw Closed(std::string("Listener::") + call + ": the listener was closed or moved from here");
  }
  std::optional<Connection<Send, Recv>> accept_before(detail::Deadline deadline) {
    if (core_ == nullptr) throw_closed("accept");
    std::shared_ptr<detail::ByteChannel> channel = core_->accept(deadline);
    if (channel == nullptr) return std::nullopt;
    return Connection<Send, Recv>(std::move(channel));
  }

  std::shared_ptr<detail::ByteListener> core_;
};

/// Connects to a Listener<Recv, Send>. Returns when the listener's process has let this one in,
/// whether or not it has called `accept`; waits up to ten seconds for that.
/// \throws AuthenticationError when the listener has another key, or belongs to another user; for
///   tcp without a key
/// \throws SystemError ECONNREFUSED, ENOENT when nobody listens there
/// \throws EndOfFile when the listener hung up, TimedOut when it does not answer, DecodeError when
///   it is not one of tandem's
template <class Send, class Recv = Send>
[[nodiscard]] Connection<Send, Recv> connect(Address address, AuthKey key = {}) {
  return Connection<Send, Recv>(
      std::shared_ptr<detail::ByteChannel>(detail::connect_channel(address, key)));
}

}  // namespace tandem
