#include "transport/shared_channel.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/text.hpp"
#include "os/event_fd.hpp"
#include "os/fence.hpp"
#include "os/liveness.hpp"
#include "os/poll.hpp"
#include "os/self.hpp"
#include "os/ticks.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/error.hpp"

namespace tandem::transport {

using detail::Deadline;
using detail::Outgoing;
using shm::Cursor;
using shm::RecordHeader;
using shm::RecordKind;

namespace {

static_assert(detail::Block::kLeastBytes > shm::Ring::most_whole(kRingBytes));

/// The bytes of a message and of its blocks, in order.
class Pieces {
 public:
  explicit Pieces(const Outgoing& message) noexcept
      : bytes_(message.bytes), blocks_(message.blocks) {}
  /// While some are left. \returns the next ones, at most so many and at least one
  [[nodiscard]] std::span<const std::byte> next(std::size_t most) noexcept {
    while (piece_.empty()) {
      if (!blocks_.empty() && blocks_.front().at == at_) {
        piece_ = blocks_.front().bytes;
        blocks_ = blocks_.subspan(1);
      } else {
        const std::size_t end = blocks_.empty() ? bytes_.size() : blocks_.front().at;
        piece_ = bytes_.subspan(at_, end - at_);
        at_ = end;
      }
    }
    const auto first = piece_.first(std::min(most, piece_.size()));
    piece_ = piece_.subspan(first.size());
    return first;
  }

 private:
  const std::span<const std::byte> bytes_;
  std::span<const detail::Block> blocks_;  // those not reached yet
  std::size_t at_ = 0;                     // so many of bytes_ have been reached
  std::span<const std::byte> piece_{};     // what is left of what was reached
};

}  // namespace

SharedChannel::SharedChannel(shm::Segment segment, detail::Fd socket, unsigned side,
                             std::uint64_t forks)
    : ByteChannel(detail::Route::connection),
      segment_(std::move(segment)),
      bell_(std::move(socket)),
      forks_(forks),
      side_(side) {
  ChannelHeader& shared = header();
  std::byte* const data = segment_.data() + kRingsOffset;
  out_ = shm::Ring(&shared.rings[side], data + side * kRingBytes, kRingBytes);
  in_ = shm::Ring(&shared.rings[1 - side], data + (1 - side) * kRingBytes, kRingBytes);
  shared.pid[side].store(os::process_id(), std::memory_order_relaxed);
  if (!os::fences_registered) {
    out_.state().fences_needed.store(1, std::memory_order_relaxed);
    in_.state().fences_needed.store(1, std::memory_order_relaxed);
  }
}

SharedChannel::~SharedChannel() {
  if (closed_) return;
  if (fork_count() == forks_) {
    // release: what was sent before is seen by whoever sees this
    out_.state().state.fetch_or(kWriterClosed, std::memory_order_release);
    in_.state().state.fetch_or(kReaderClosed, std::memory_order_release);
    // Closing the socket wakes the peer, unless a descriptor of it is left over somewhere.
    os::full_fence();
    if (bell_waits_ || out_.state().reader_parked.exchange(0, std::memory_order_relaxed) != 0 ||
        in_.state().writer_parked.exchange(0, std::memory_order_relaxed) != 0) {
      try {
        bell_.ring();
      } catch (const SystemError&) {
        // Then the socket's end of file must do.
      }
    }
  }
  bell_.close();
  os::ends_seen.fetch_add(1, std::memory_order_release);
}

void SharedChannel::close_descriptors() noexcept {
  closed_ = true;
  bell_.close();
  own_bell_.reset();
  epoll_.reset();
}

void SharedChannel::handed_over() noexcept {
  close_descriptors();
  segment_ = {};
  stash_.clear();
  partial_.reset();
  bell_.early().clear();
}

void SharedChannel::abandon() noexcept {
  // Another thread may have been amid anything at the fork, so nothing but descriptors is touched.
  close_descriptors();
  segment_.close_descriptor();
}

void SharedChannel::settle_anyway() noexcept {
  if (flow_.open) return;  // when it is let go of
  try {
    settle();
  } catch (const std::exception&) {
    // What is wrong with the ring or the socket, the next call meets and tells.
    os::ring_bell(own_bell_);
    own_bell_rung_ = true;
  }
}

// Sending.

void SharedChannel::send(const Outgoing& message) {
  require_open("send");
  settled([&] {
    require_peer(message.peer_is_watched);
    std::array<std::byte, sizeof(std::uint64_t) + sizeof(DescriptorNote)> front;
    const std::uint64_t total = message.size();
    std::memcpy(front.data(), &total, sizeof total);
    std::span<std::byte> prefix = std::span(front).first(sizeof total);
    if (message.descriptors != nullptr && !message.descriptors->empty()) {
      const DescriptorNote note = *ship(*message.descriptors, true);
      prefix = front;
      std::memcpy(prefix.data() + sizeof total, &note, sizeof note);
    }
    if (total <= out_.most_whole()) {  // and then it has no blocks
      prefix = prefix.subspan(sizeof total);
      await_room(shm::record_bytes(prefix.size() + total));
      if (message.tells_cpu) tell_cpu();
      if (put({RecordKind::whole, !prefix.empty(), message.type}, prefix, message.bytes)) {
        wake_peer();
      }
    } else {
      stream(message, prefix);
    }
    if (message.descriptors != nullptr) message.descriptors->clear();
  });
}

bool SharedChannel::try_send(const Outgoing& message) {
  require_open("try_send");
  return settled([&] {
    require_peer(message.peer_is_watched);
    const bool with_descriptors = message.descriptors != nullptr && !message.descriptors->empty();
    const std::size_t size = message.bytes.size() + (with_descriptors ? sizeof(DescriptorNote) : 0);
    if (size > out_.capacity() - sizeof(RecordHeader)) return false;
    const std::size_t bytes = shm::record_bytes(size);
    if (out_.room(out_.tail(), bytes) < bytes) return false;
    std::optional<DescriptorNote> note;
    std::span<const std::byte> prefix;
    if (with_descriptors) {
      note = ship(*message.descriptors, false);
      if (!note) return false;
      prefix = std::as_bytes(std::span(&*note, 1));
    }
    if (message.tells_cpu) tell_cpu();
    if (put({RecordKind::whole, with_descriptors, message.type}, prefix, message.bytes)) {
      bell_waits_ = message.bell_may_wait && peer_is_here();
      if (!bell_waits_) wake_peer();
    }
    if (message.descriptors != nullptr) message.descriptors->clear();
    return true;
  });
}

void SharedChannel::stream(const Outgoing& message, std::span<const std::byte> prefix) {
  const bool with_descriptors = prefix.size() > sizeof(std::uint64_t);
  Pieces pieces(message);
  std::size_t left = message.size();
  try {
    for (RecordKind kind = RecordKind::first; kind != RecordKind::last; prefix = {}) {
      const std::size_t most = out_.chunk_bytes() - sizeof(RecordHeader) - prefix.size();
      const std::span<const std::byte> piece = pieces.next(most);
      left -= piece.size();
      if (left == 0) kind = RecordKind::last;
      // Who is woken for each record sleeps again after it.
      await_room(shm::record_bytes(prefix.size() + piece.size()),
                 std::min(left, out_.capacity() / 2));
      if (put({kind, with_descriptors && !prefix.empty(), message.type}, prefix, piece)) {
        wake_peer();
      }
      if (kind == RecordKind::first) kind = RecordKind::more;
    }
  } catch (...) {
    break_off();
    throw;
  }
}

void SharedChannel::break_off() {
  const Cursor tail = out_.tail();
  if (!tail.streaming()) return;
  out_.publish(tail.with_streaming(false));
  os::light_fence(out_.state().fences_needed.load(std::memory_order_relaxed) != 0);
  if (out_.state().reader_parked.exchange(0, std::memory_order_relaxed) != 0) bell_.ring();
}

bool SharedChannel::put(const Record& record, std::span<const std::byte> prefix,
                        std::span<const std::byte> bytes) {
  const Cursor from = out_.tail();
  const bool ends = record.kind == RecordKind::whole || record.kind == RecordKind::last;
  out_.write(from, record.kind, record.has_descriptors, record.type, bytes, prefix);
  const Cursor to = from.advanced(shm::record_bytes(prefix.size() + bytes.size()), ends ? 1 : 0)
                        .with_streaming(!ends);
  out_.publish(to);
  os::light_fence(out_.state().fences_needed.load(std::memory_order_relaxed) != 0);
  std::uint32_t word = out_.state().reader_parked.load(std::memory_order_relaxed);
  return Parked::reached(word, from, to, 0) &&
         out_.state().reader_parked.compare_exchange_strong(word, 0, std::memory_order_relaxed);
}

void SharedChannel::wake_peer() {
  bell_.ring();
  if (bell_.hung_up()) throw_end_of_file("send");
}

bool SharedChannel::flush() {
  if (std::exchange(bell_waits_, false)) bell_.ring();
  return true;
}

void SharedChannel::await_room(std::size_t bytes, std::size_t wished) {
  const auto enough = [&] { return out_.room(out_.tail(), bytes) >= bytes; };
  const auto look_up = [&] { return enough() || !in_.empty() || peer_closed(); };
  long long slept_from = 0;
  while (!enough()) {
    RecordHeader header;
    if (peek(header)) {
      take_in(header);
      continue;
    }
    if (peer_closed()) throw_end_of_file("send");
    if (send_spin_.spin(look_up)) continue;
    if (slept_from == 0) slept_from = os::SpinBudget::now_ns();
    arm_writer(std::max(bytes, wished));
    arm_reader();
    const bool fenced = os::heavy_fence();
    unsigned bells = 0;
    {
      const Armed armed{*this, true};
      if (!look_up()) bells = sleep(Deadline::never(), fenced);
      bells += bell_.drain();  // there may be one for either word
    }
    heard(bells);
  }
  if (slept_from != 0) send_spin_.slept(os::SpinBudget::now_ns() - slept_from);
}

std::optional<DescriptorNote> SharedChannel::ship(const std::vector<detail::Fd>& descriptors,
                                                  bool wait) {
  auto& messages = header().descriptor_messages[side_];
  const DescriptorNote note{messages.fetch_add(1, std::memory_order_relaxed) + 1,
                            static_cast<std::uint32_t>(descriptors.size())};
  std::span<const detail::Fd> left = descriptors;
  while (!left.empty()) {
    const auto part = left.first(std::min(left.size(), os::kMaxDescriptors));
    if (!bell_.send_descriptors(note.message, part)) {
      if (!wait) return std::nullopt;
      await_socket_room();
      continue;
    }
    if (bell_.hung_up()) throw_end_of_file("send");
    left = left.subspan(part.size());
  }
  return note;
}

void SharedChannel::await_socket_room() {
  // The peer may itself be waiting, for room in the socket or in the ring: take in everything.
  RecordHeader header;
  while (peek(header)) take_in(header);
  hear();
  arm_reader();
  const bool fenced = os::heavy_fence();
  if (in_.empty() && !peer_closed()) sleep_in_poll(Deadline::never(), fenced, POLLIN | POLLOUT);
  disarm_reader();
  if (peer_closed()) throw_end_of_file("send");
}

void SharedChannel::require_peer(bool watched) {
  if (peer_closed() || (!watched && probe_peer())) throw_end_of_file("send");
}

bool SharedChannel::probe_peer() {
  const std::uint64_t now = os::ticks();
  const std::uint64_t ends_seen = os::ends_seen.load(std::memory_order_acquire);
  if (now - last_probe_ < 50 * os::kTicksPerMicrosecond && ends_seen == ends_seen_) {
    return bell_.hung_up();
  }
  last_probe_ = now;
  ends_seen_ = ends_seen;
  return bell_.probe();
}

// Errors.

void SharedChannel::require_open(const char* call) const {
  if (closed_) {
    throw Closed(
        detail::concat("Connection::", call, ": the connection was handed to another process"));
  }
  if (flow_.open) {
    throw Error(detail::concat("Connection::", call, " on ", name(),
                               ": a message is being received; a connection is one thread's"));
  }
}

void SharedChannel::throw_end_of_file(const char* call) const {
  throw EndOfFile(detail::concat("Connection::", call, " on ", name(),
                                 ": the other end is closed, or its process has ended"));
}

void SharedChannel::throw_unwanted_size() const {
  throw DecodeError(detail::concat("Connection::recv on ", name(),
                                   ": a message of a size that its type here cannot have"));
}

void SharedChannel::throw_corrupt(const char* what) const {
  throw DecodeError(detail::concat("Connection on ", name(), ": the shared memory holds ", what));
}

std::string SharedChannel::name() const {
  const int peer = header().pid[1 - side_].load(std::memory_order_relaxed);
  return detail::concat("a pipe to pid ", std::to_string(peer));
}

}  // namespace tandem::transport
