/// \file
/// One end of a channel for typed messages between two processes of one machine.
///
///     auto [parent, child] = tandem::Pipe<int, std::string>();
///     tandem::Process worker(serve, std::move(child));  // takes a Connection<std::string, int>
///     worker.start();
///     parent.send(7);
///     std::string reply = parent.recv();
///
/// An end has one owner: it is moved, as an argument of a Process or within a message over another
/// Connection, and is closed where it came from once that succeeded. So the end of file cannot be
/// held up by a forgotten copy. (Except where a process forks by itself: then, as with any
/// descriptor, both have the end, and the other side sees the end of file when both have closed
/// it.)
///
/// Messages are whole: never merged, split or half received, of any size that memory holds. Each
/// direction holds up to 256 KiB that nobody has received yet; larger messages flow through while
/// they are sent and received at the same time. A `send` that must wait for room takes in what
/// arrives and keeps it, however much it is, so two sides that both send first do not deadlock.
///
/// Deaths: when the other side's process is killed, at whatever instruction, this side receives
/// what had been sent whole, then EndOfFile; `send` throws EndOfFile. There is no SIGPIPE.
///
/// Threads: a Connection is one thread's at a time.
#pragma once

#include <concepts>
#include <memory>
#include <utility>

#include "tandem/detail/connection_end.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/error.hpp"
#include "tandem/sendable.hpp"

namespace tandem {

/// Sends values of one type and receives others, by default of the same. A default-constructed,
/// closed or moved-from one is `closed()`; anything else then throws Closed. The destructor closes.
template <class Send, class Recv = Send>
class Connection : public detail::ReceivingEnd<Recv> {
 public:
  Connection() noexcept = default;

  /// Returns when the message lies in shared memory: the other side need not have received it.
  /// Waits for room. What encoding throws leaves the connection as it was.
  /// \throws EndOfFile when the other end is closed or dead; this may be noticed some microseconds
  ///         late, and what was sent just then is lost
  /// \throws Closed
  void send(const Send& value) requires std::copy_constructible<Send> { this->send_value(value); }
  /// For values that can only be moved, such as a Connection: what they own has left this process
  /// when it returns, and is untouched when it throws.
  void send(Send&& value) { this->send_value(value); }

  // For the library.
  using detail::ReceivingEnd<Recv>::ReceivingEnd;
  [[nodiscard]] static Connection detail_decode(detail::Decoder& from) {
    return Connection(std::shared_ptr<detail::ByteChannel>(detail::ByteChannel::adopt(from)));
  }
};

/// The end of a one-way pipe that receives.
template <class T>
class Reader : public detail::ReceivingEnd<T> {
 public:
  Reader() noexcept = default;

  // For the library.
  using detail::ReceivingEnd<T>::ReceivingEnd;
  [[nodiscard]] static Reader detail_decode(detail::Decoder& from) {
    return Reader(std::shared_ptr<detail::ByteChannel>(detail::ByteChannel::adopt(from)));
  }
};

/// The end of a one-way pipe that sends.
template <class T>
class Writer : public detail::ConnectionEnd {
 public:
  Writer() noexcept = default;

  /// As Connection::send.
  void send(const T& value) requires std::copy_constructible<T> { send_value(value); }
  /// As Connection::send of a value that can only be moved.
  void send(T&& value) { send_value(value); }

  // For the library.
  using detail::ConnectionEnd::ConnectionEnd;
  [[nodiscard]] static Writer detail_decode(detail::Decoder& from) {
    return Writer(std::shared_ptr<detail::ByteChannel>(detail::ByteChannel::adopt(from)));
  }
};

}  // namespace tandem
