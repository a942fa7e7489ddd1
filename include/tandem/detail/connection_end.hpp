/// \file
/// What Connection, Reader and Writer have in common, whatever they carry.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "tandem/detail/byte_channel.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/sendable.hpp"

namespace tandem::detail {

/// Owner of one end. Move-only; closed when moved from.
class TANDEM_EXPORT ConnectionEnd {
 public:
  using TandemHandle = void;

  ConnectionEnd() noexcept = default;
  ConnectionEnd(ConnectionEnd&&) noexcept = default;
  ConnectionEnd& operator=(ConnectionEnd&&) noexcept = default;
  ~ConnectionEnd() = default;

  /// The other side then receives what was sent before, and after it EndOfFile. May be called
  /// again.
  void close() noexcept { core_.reset(); }
  /// True after close, and when this end was moved, or sent, elsewhere.
  [[nodiscard]] bool closed() const noexcept { return core_ == nullptr || core_->closed(); }

  // For the library.
  explicit ConnectionEnd(std::shared_ptr<ByteChannel> core) noexcept : core_(std::move(core)) {}
  // Crossing to another process: this end is closed once the message was sent.
  void save(Encoder& to) const;

 protected:
  /// \throws Closed
  [[nodiscard]] ByteChannel& open_core(const char* call) const {
    if (core_ == nullptr) throw_closed(call);
    return *core_;
  }
  template <class T>
  void send_value(const T& value) {
    ByteChannel& core = open_core("send");
    OutgoingValue<T> outgoing(value, core.route());
    core.send(outgoing.message());
    outgoing.shipped();
  }

 private:
  [[noreturn]] static void throw_closed(const char* call);

  std::shared_ptr<ByteChannel> core_;
};

/// An end that receives values of type T.
template <class T>
class ReceivingEnd : public ConnectionEnd {
 public:
  using ConnectionEnd::ConnectionEnd;

  /// Waits for the next message and takes it.
  /// \throws EndOfFile when the other end is closed or dead and all it sent has been received
  /// \throws DecodeError when the message is not a T: that message is gone, the connection stays
  ///         usable. Also when another process has overwritten the shared memory: then it does not.
  /// \throws Closed
  [[nodiscard]] T recv() { return *recv_before(Deadline::never()); }
  /// \returns nothing when no message waits. \throws as `recv`
  [[nodiscard]] std::optional<T> try_recv() { return recv_before(Deadline::now()); }
  /// \returns nothing when no message began to arrive until then; one that has begun is waited for
  /// \throws as `recv`
  template <class Rep, class Period>
  [[nodiscard]] std::optional<T> recv_for(std::chrono::duration<Rep, Period> timeout) {
    return recv_before(Deadline::after(timeout));
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] std::optional<T> recv_until(
      std::chrono::time_point<Deadline::Clock, Duration> when) {
    return recv_before(Deadline::at(when));
  }

  /// Whether `recv` would not wait: a message is there, or the end of file. Takes nothing.
  [[nodiscard]] bool poll() { return open_core("poll").poll(Deadline::now()); }
  /// \returns false when it still would at the end of `timeout`
  template <class Rep, class Period>
  [[nodiscard]] bool poll_for(std::chrono::duration<Rep, Period> timeout) {
    return open_core("poll_for").poll(Deadline::after(timeout));
  }

  /// A descriptor for poll and epoll, level- or edge-triggered: readable when `recv` would not
  /// wait. It belongs to this end; not to be read from. Made on first use; from then on each
  /// message that finds the reader idle costs both sides a system call.
  [[nodiscard]] int fd() const { return open_core("fd").fd(); }

  // For the library: ByteChannel::visit_small; f is given the type and the bytes of each.
  template <class F>
  [[nodiscard]] std::size_t visit_small(std::size_t at_most, F f) {
    return open_core("recv").visit_small(
        at_most, {&f, [](void* context, std::uint32_t type, std::span<const std::byte> bytes) {
                    (*static_cast<F*>(context))(type, bytes);
                  }});
  }
  // For the library: wait_any.
  [[nodiscard]] WaitSource& wait_source() const { return open_core("wait_any"); }

 private:
  std::optional<T> recv_before(Deadline deadline) {
    ByteChannel& core = open_core("recv");
    for (;;) {
      IncomingValue<T> incoming;
      if (!core.recv(incoming.message(), deadline)) return std::nullopt;
      try {
        return std::optional<T>(incoming.take(core.route(), "Connection::recv"));
      } catch (const EndOfFile&) {
        if (!incoming.broken_off()) throw;
      }
    }
  }
};

}  // namespace tandem::detail
