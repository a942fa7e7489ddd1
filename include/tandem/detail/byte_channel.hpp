/// \file
/// The core of Connection: one end of a duplex stream of messages of bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/message.hpp"
#include "tandem/detail/wait_source.hpp"

namespace tandem::detail {

class Decoder;
class Encoder;
enum class Route : std::uint8_t;

/// One thread at a time, as Connection's header says. Destruction closes this end.
class TANDEM_EXPORT ByteChannel : public WaitSource {
 public:
  /// Two ends joined to each other in this process.
  [[nodiscard]] static std::pair<std::unique_ptr<ByteChannel>, std::unique_ptr<ByteChannel>> pair();
  /// One end over a connected unix seqpacket socket, which becomes its doorbell. The creator makes
  /// the shared memory and sends it as the next packet; the other end reads that packet here, so
  /// the caller makes sure that the socket is readable first, and never waits for the peer. \throws
  /// DecodeError when the packet is not what a creator sends, EndOfFile when the peer is gone
  [[nodiscard]] static std::unique_ptr<ByteChannel> over_socket(Fd socket, bool creator);
  /// Rebuilds the end that `hand_over` wrote.
  [[nodiscard]] static std::unique_ptr<ByteChannel> adopt(Decoder& from);

  /// How values are to be encoded for this channel.
  [[nodiscard]] Route route() const noexcept { return route_; }

  /// Waits for room; what arrives meanwhile is kept for later `recv`s.
  /// \throws EndOfFile when the peer is gone
  virtual void send(const Outgoing& message) = 0;
  /// As `send`, but never waits. Messages of up to 32 KiB fit whole; those beyond the ring never
  /// do. \returns false, nothing sent, when there is not room for the whole message now
  [[nodiscard]] virtual bool try_send(const Outgoing& message) = 0;
  /// Whether all that `try_send` has accepted is on its way; else sends what there is room for now,
  /// and wakes the peer.
  [[nodiscard]] virtual bool flush() { return true; }
  /// The peer sleeps beside a message that it has not been told of, until `flush`.
  [[nodiscard]] virtual bool bell_waits() const noexcept { return false; }
  /// \returns false when the deadline passed first
  /// \throws EndOfFile when the peer is gone and everything it sent has been received
  [[nodiscard]] virtual bool recv(Incoming& into, Deadline deadline) = 0;
  /// Passes on messages that wait, where they lie; each is gone once it was. At most so many, none
  /// that is large or has descriptors, and nothing behind such a one. The visitor may not use this
  /// end. \returns how many; 0 says nothing about what `recv` would find \throws what it throws
  [[nodiscard]] virtual std::size_t visit_small(std::size_t at_most, Visitor visitor);
  /// True when `recv` would not block: a message waits, or the end of file.
  [[nodiscard]] virtual bool poll(Deadline deadline) = 0;
  /// A descriptor for epoll: readable when recv would not block. Made on first use.
  [[nodiscard]] virtual int fd() = 0;

  /// Writes all that `adopt` needs, descriptors (duplicated) and what had arrived early included.
  /// This end stays usable, so that a transfer that fails changes nothing, until `handed_over` lets
  /// go of it without a word to the peer. \throws NotSendable on a route that leads to nobody in
  /// particular
  virtual void hand_over(Encoder& to) = 0;
  virtual void handed_over() noexcept = 0;
  /// True after `handed_over` or `abandon`; any use then throws Closed.
  [[nodiscard]] virtual bool closed() const noexcept = 0;
  /// For a forked child: closes this process's copies of the descriptors without a word to the
  /// peer, even if another thread of the parent was inside a call at the fork. The object is then
  /// good for nothing, and is left undestroyed.
  virtual void abandon() noexcept = 0;

 protected:
  explicit ByteChannel(Route route) noexcept : route_(route) {}

 private:
  const Route route_;
};

/// For a forked child that shall keep only what it was passed: abandons every channel that this
/// process had at the fork. While there is one thread, before anything is adopted.
TANDEM_EXPORT void abandon_all_channels() noexcept;

}  // namespace tandem::detail
