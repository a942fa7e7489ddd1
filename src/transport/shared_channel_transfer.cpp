// How an end moves to another process: a message with its memory, its socket and whatever it has
// taken in.
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "os/memfd.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/error.hpp"
#include "transport/shared_channel.hpp"
#include "transport/socket_channel.hpp"

namespace tandem::transport {
namespace {

void write_descriptors(detail::Encoder& to, const std::vector<detail::Fd>& descriptors) {
  to.write_size(descriptors.size());
  for (const detail::Fd& fd : descriptors) to.write_raw(to.attach(fd.duplicate()));
}

std::vector<detail::Fd> read_descriptors(detail::Decoder& from) {
  std::vector<detail::Fd> descriptors;
  for (std::size_t left = from.read_size(sizeof(std::uint32_t)); left != 0; --left) {
    descriptors.push_back(from.take_descriptor(from.read_raw<std::uint32_t>()));
  }
  return descriptors;
}

}  // namespace

void SharedChannel::hand_over(detail::Encoder& to) {
  require_open("send as part of a message");
  static_cast<void>(flush());
  if (to.route() != detail::Route::process && to.route() != detail::Route::connection) {
    throw NotSendable(
        "Connection: it can be passed to a Process or sent over a Connection of this machine, "
        "but has one owner and so cannot travel through a queue, a manager or a network");
  }
  to.write_raw(static_cast<std::uint32_t>(side_));
  to.write_raw(to.attach(segment_.fd().duplicate()));
  to.write_raw(to.attach(bell_.socket().duplicate()));
  const auto write_message = [&to](const Message& message, std::size_t total) {
    to.write_raw(message.type);
    to.write_size(total);
    to.write_size(message.bytes.size());
    to.write(message.bytes.data(), message.bytes.size());
    write_descriptors(to, message.descriptors);
  };
  to.write_size(stash_.size());
  for (const Message& message : stash_) write_message(message, message.bytes.size());
  to.write_raw(static_cast<std::uint8_t>(partial_.has_value()));
  if (partial_) write_message(partial_->message, partial_->total);
  to.write_raw(static_cast<std::uint8_t>(discarding_));
  to.write_size(bell_.early().size());
  for (const Doorbell::Early& early : bell_.early()) {
    to.write_raw(early.message);
    write_descriptors(to, early.descriptors);
  }
}

std::unique_ptr<SharedChannel> SharedChannel::adopt_end(detail::Decoder& from, std::uint32_t side) {
  const std::uint64_t forks = fork_count();
  if (side > 1) throw DecodeError("Connection: the bytes are not an end of a pipe");
  shm::Segment segment = adopt_segment(from.take_descriptor(from.read_raw<std::uint32_t>()));
  detail::Fd socket = from.take_descriptor(from.read_raw<std::uint32_t>());

  const auto read_message = [&from](bool whole) {
    Partial part;
    part.message.type = from.read_raw<std::uint32_t>();
    part.total = from.read_raw<std::uint64_t>();
    const std::size_t arrived = from.read_size(1);
    if (arrived > part.total ||
        (whole ? arrived != part.total : !os::machine_could_hold(part.total))) {
      throw DecodeError("Connection: the bytes are not a message that had arrived");
    }
    from.read(part.message.bytes.assign(arrived), arrived);
    part.message.descriptors = read_descriptors(from);
    return part;
  };
  constexpr std::size_t kLeastMessage = 4 + 8 + 8 + 8;
  std::deque<Message> stash;
  for (std::size_t left = from.read_size(kLeastMessage); left != 0; --left) {
    stash.push_back(read_message(true).message);
  }
  std::optional<Partial> partial;
  if (from.read_raw<std::uint8_t>() != 0) partial = read_message(false);
  const bool discarding = from.read_raw<std::uint8_t>() != 0;
  std::deque<Doorbell::Early> early;
  constexpr std::size_t kLeastEarly = 4 + 8;
  for (std::size_t left = from.read_size(kLeastEarly); left != 0; --left) {
    const auto message = from.read_raw<std::uint32_t>();
    early.push_back({message, read_descriptors(from)});
  }
  // Last: an end that is destroyed tells its peer, and a message that is not understood shall not.
  auto end = std::make_unique<SharedChannel>(std::move(segment), std::move(socket), side, forks);
  end->stash_ = std::move(stash);
  end->partial_ = std::move(partial);
  end->discarding_ = discarding;
  end->bell_.early() = std::move(early);
  return end;
}

}  // namespace tandem::transport

namespace tandem::detail {

std::unique_ptr<ByteChannel> ByteChannel::adopt(Decoder& from) {
  const auto kind = from.read_raw<std::uint32_t>();
  if (kind == transport::kSocketEnd) return transport::SocketChannel::adopt_end(from);
  return transport::SharedChannel::adopt_end(from, kind);
}

}  // namespace tandem::detail
