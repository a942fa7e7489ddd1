// Receiving: whole messages, those that are read as they come, and what a send takes in meanwhile.
#include "transport/shared_channel.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "os/fence.hpp"
#include "os/memfd.hpp"
#include "tandem/error.hpp"

namespace tandem::transport {

using detail::Deadline;
using detail::Incoming;
using shm::Cursor;
using shm::RecordHeader;
using shm::RecordKind;

namespace {

/// Of a stream, but not the beginning of one.
bool is_later_part(const RecordHeader& header) noexcept {
  return header.kind() == RecordKind::more || header.kind() == RecordKind::last;
}

/// A message in one record, without descriptors.
bool is_small(const RecordHeader& header) noexcept {
  return header.kind() == RecordKind::whole && !header.has_descriptors();
}

}  // namespace

bool SharedChannel::recv(Incoming& into, Deadline deadline) {
  require_open("recv");
  return settled([&] { return receive(into, deadline); });
}

std::size_t SharedChannel::visit_small(std::size_t at_most, detail::Visitor visitor) {
  require_open("recv");
  if (!stash_.empty() || partial_) return 0;
  return settled([&] {
    std::size_t n = 0;
    Cursor at = in_.head();
    try {
      flow_.open = true;
      for (RecordHeader header; n < at_most && in_.peek(at, header) && is_small(header); ++n) {
        detail::Buffer joined;
        std::span<const std::byte> bytes;
        in_.visit(at, 0, header.size(), [&](auto piece) {
          if (piece.size() == header.size()) {
            bytes = piece;
          } else {
            joined.append(piece.data(), piece.size());
            bytes = joined.bytes();
          }
        });
        at = at.advanced(shm::record_bytes(header.size()), 1);  // whatever it throws
        visitor.take(visitor.context, header.type, bytes);
      }
      flow_.open = false;
    } catch (...) {
      flow_.open = false;
      if (at != in_.head()) consume_to(at);
      throw;
    }
    if (n != 0) consume_to(at);
    return n;
  });
}

bool SharedChannel::poll(Deadline deadline) {
  require_open("poll");
  return settled([&] { return look(deadline); });
}

bool SharedChannel::receive(Incoming& into, Deadline deadline) {
  for (;;) {
    if (!stash_.empty()) {
      serve_stash(into);
      return true;
    }
    RecordHeader header;
    switch (await_record(header, deadline, false)) {
      case Found::nothing:
        return false;
      case Found::end_of_file:
        throw_end_of_file("recv");
      case Found::record:
        break;
    }
    if (partial_) {
      take_in(header);
      continue;
    }
    switch (header.kind()) {
      case RecordKind::whole:
        take_whole(header, into);
        return true;
      case RecordKind::first:
        if (take_stream(header, into)) return true;
        break;
      case RecordKind::more:
      case RecordKind::last:
        discard(header);
        break;
      default:
        throw_corrupt("a record of no known kind");
    }
  }
}

bool SharedChannel::look(Deadline deadline) {
  for (;;) {
    if (!stash_.empty()) return true;
    RecordHeader header;
    const Found found = await_record(header, deadline, false);
    if (found != Found::record) return found == Found::end_of_file;
    if (partial_) {
      take_in(header);
    } else if (is_later_part(header)) {
      discard(header);
    } else {
      return true;
    }
  }
}

bool SharedChannel::stream_ended() const noexcept {
  const Cursor tail = in_.tail();
  return !tail.streaming() && tail.position() == in_.head().position();
}

SharedChannel::Found SharedChannel::await_record(RecordHeader& header, Deadline deadline,
                                                 bool in_stream) {
  if (peek(header)) [[likely]] {
    return Found::record;
  }
  return await_later_record(header, deadline, in_stream);
}

SharedChannel::Found SharedChannel::await_later_record(RecordHeader& header, Deadline deadline,
                                                       bool in_stream) {
  const auto look_up = [&] {
    return !in_.empty() || peer_closed() || (in_stream && stream_ended());
  };
  const auto in_vain = [&] { return peer_is_here(); };
  if (!deadline.is_now() && recv_spin_.spin(look_up, deadline, os::Between::relax, in_vain) &&
      peek(header)) {
    if (naps_ > 0 && --naps_ == 0 && std::exchange(writer_fences_, false)) {
      in_.state().fences_needed.store(0, std::memory_order_relaxed);
    }
    return Found::record;
  }
  long long slept_from = 0;
  for (;;) {
    const bool passed = deadline.passed();
    const bool gone = peer_closed() || (passed && probe_peer());
    if (peek(header)) break;  // after a death too: it was published before
    if (gone) return Found::end_of_file;
    if (passed || (in_stream && stream_ended())) return Found::nothing;
    if (slept_from == 0) slept_from = os::SpinBudget::now_ns();
    arm_reader();
    const bool fenced = fence_reader();
    unsigned bells = 0;
    {
      const Armed armed{*this, false};
      bells = look_up() ? bell_.drain() : sleep(deadline, fenced);
    }
    heard(bells);
  }
  if (slept_from != 0) {
    const long long slept = os::SpinBudget::now_ns() - slept_from;
    recv_spin_.slept(slept);
    if (slept < kNap && naps_ < kManyNaps) ++naps_;
  }
  return Found::record;
}

void SharedChannel::serve_stash(Incoming& into) {
  Message& message = stash_.front();
  if (!into.begin(message.bytes.size(), message.bytes.size())) {
    stash_.pop_front();
    throw_unwanted_size();
  }
  into.add(message.bytes.bytes());
  into.type = message.type;
  into.descriptors = std::move(message.descriptors);
  stash_.pop_front();
}

void SharedChannel::take_whole(const RecordHeader& header, Incoming& into) {
  const Front front = front_of(header);
  if (!into.begin(front.total, front.here)) {
    discard(header);
    throw_unwanted_size();
  }
  in_.visit(in_.head(), front.skip, front.here, [&](auto piece) { into.add(piece); });
  into.type = header.type;
  if (header.has_descriptors()) {
    into.descriptors = descriptors_of(header, front);
  } else {
    into.descriptors.clear();
  }
  consume(header);
}

bool SharedChannel::take_stream(const RecordHeader& first, Incoming& into) {
  const Front front = front_of(first);
  if (into.takes_inflow) {
    begin_flow(first, front, into);
    return true;
  }
  if (!into.begin(front.total, front.here)) {
    discard(first);
    throw_unwanted_size();
  }
  in_.visit(in_.head(), front.skip, front.here, [&](auto piece) { into.add(piece); });
  into.type = first.type;
  into.descriptors = descriptors_of(first, front);
  consume(first);
  std::size_t received = front.here;
  for (RecordHeader header;;) {
    const Found found = await_record(header, Deadline::never(), true);
    if (found == Found::end_of_file) throw_end_of_file("recv");
    if (found == Found::nothing) return false;
    if (!is_later_part(header)) return false;
    require_part(header, front.total - received);
    try {
      in_.visit(in_.head(), 0, header.size(), [&](auto piece) { into.add(piece); });
    } catch (...) {
      discard(header);  // without memory the rest is dropped, too
      throw;
    }
    consume(header);
    received += header.size();
    if (header.kind() == RecordKind::last) break;
  }
  return true;
}

void SharedChannel::require_part(const RecordHeader& header, std::size_t lacking) {
  // A part that is not the last and yet the whole rest would leave a last one without bytes.
  const bool fits =
      header.kind() == RecordKind::last ? header.size() == lacking : header.size() < lacking;
  if (fits && header.size() != 0) return;
  discard(header);
  throw_corrupt("a message of another size than it said");
}

void SharedChannel::begin_flow(const RecordHeader& first, const Front& front, Incoming& into) {
  into.type = first.type;
  into.descriptors = descriptors_of(first, front);
  into.size = 0;
  into.rest_bytes = front.total;
  flow_.open = flow_.holds = flow_.unread = true;
  flow_.record = first;
  flow_.skip = front.skip;
  flow_.to_come = front.total - front.here;
  into.rest.reset(this);
}

std::span<const std::byte> SharedChannel::next() {
  if (!flow_.beyond_end.empty()) return std::exchange(flow_.beyond_end, {});
  flow_.failed = true;
  while (!std::exchange(flow_.unread, false) || flow_.record.size() == flow_.skip) {
    if (std::exchange(flow_.holds, false)) consume(flow_.record);
    if (flow_.to_come == 0) throw_corrupt("a message that ends before its last byte");
    RecordHeader header;
    const Found found = await_record(header, Deadline::never(), true);
    if (found == Found::end_of_file) throw_end_of_file("recv");
    if (found == Found::nothing || !is_later_part(header)) {
      flow_.broken_off = true;
      throw_end_of_file("recv");
    }
    require_part(header, flow_.to_come);
    flow_.holds = flow_.unread = true;
    flow_.record = header;
    flow_.skip = 0;
    flow_.to_come -= header.size();
  }
  std::span<const std::byte> piece;
  in_.visit(in_.head(), flow_.skip, flow_.record.size() - flow_.skip,
            [&](auto bytes) { (piece.empty() ? piece : flow_.beyond_end) = bytes; });
  flow_.failed = false;
  return piece;
}

void SharedChannel::let_go() noexcept {
  const Flow flow = std::exchange(flow_, {});
  try {
    settled([&] {
      discarding_ = flow.to_come != 0 && !flow.broken_off;
      if (flow.holds) consume(flow.record);
    });
  } catch (const std::exception&) {
    // What is wrong with the ring or the socket, the next call meets and tells.
  }
}

void SharedChannel::take_in(const RecordHeader& header) {
  const RecordKind kind = header.kind();
  if (kind == RecordKind::whole || kind == RecordKind::first) {
    partial_.reset();  // broken off by its writer
    discarding_ = false;
    const Front front = front_of(header);
    Partial taken;
    taken.message.type = header.type;
    std::byte* const where = taken.message.bytes.assign(front.here);
    taken.message.descriptors = descriptors_of(header, front);
    in_.read(in_.head(), front.skip, where, front.here);
    taken.total = front.total;
    if (kind == RecordKind::whole) {
      stash_.push_back(std::move(taken.message));
    } else {
      partial_ = std::move(taken);
    }
    consume(header);
    return;
  }
  if (!is_later_part(header)) throw_corrupt("a record of no known kind");
  if (!partial_) {
    discard(header);
    return;
  }
  detail::Buffer& bytes = partial_->message.bytes;
  try {
    require_part(header, partial_->total - bytes.size());
  } catch (const DecodeError&) {
    partial_.reset();
    throw;
  }
  in_.read(in_.head(), 0, bytes.extend(header.size()), header.size());
  if (kind == RecordKind::last) {
    stash_.push_back(std::move(partial_->message));
    partial_.reset();
  }
  consume(header);
}

SharedChannel::Front SharedChannel::front_of(const RecordHeader& header) const {
  Front front;
  const bool whole = header.kind() == RecordKind::whole;
  if (whole && !header.has_descriptors()) [[likely]] {
    front.total = front.here = header.size();
    return front;
  }
  const std::size_t total_bytes = whole ? 0 : sizeof(std::uint64_t);
  front.skip = total_bytes + (header.has_descriptors() ? sizeof front.note : 0);
  if (header.size() < front.skip) throw_corrupt("a record that is too short");
  front.here = header.size() - front.skip;
  front.total = front.here;
  const Cursor at = in_.head();
  if (!whole) {
    std::uint64_t total = 0;
    in_.read(at, 0, reinterpret_cast<std::byte*>(&total), sizeof total);
    if (total <= in_.most_whole() || total < front.here || !os::machine_could_hold(total)) {
      throw_corrupt("a message of an impossible size");
    }
    front.total = total;
  }
  if (header.has_descriptors()) {
    in_.read(at, total_bytes, reinterpret_cast<std::byte*>(&front.note), sizeof front.note);
  }
  return front;
}

std::vector<detail::Fd> SharedChannel::descriptors_of(const RecordHeader& header,
                                                      const Front& front) {
  if (!header.has_descriptors()) return {};
  unsigned bells = 0;
  try {
    auto descriptors = bell_.take_descriptors(front.note, bells);
    heard(bells);
    return descriptors;
  } catch (const DecodeError&) {
    heard(bells);
    discard(header);
    throw;
  }
}

void SharedChannel::consume(const RecordHeader& header) {
  const bool ends = header.kind() == RecordKind::whole || header.kind() == RecordKind::last;
  consume_to(in_.head().advanced(shm::record_bytes(header.size()), ends ? 1 : 0));
}

void SharedChannel::consume_to(Cursor to) {
  if (covered_) disarm_reader();
  const Cursor from = in_.head();
  in_.consume(to);
  os::light_fence(in_.state().fences_needed.load(std::memory_order_relaxed) != 0);
  std::uint32_t word = in_.state().writer_parked.load(std::memory_order_relaxed);
  if (Parked::reached(word, from, to, 1) &&
      in_.state().writer_parked.compare_exchange_strong(word, 0, std::memory_order_relaxed)) {
    bell_.ring();
  }
}

void SharedChannel::discard(const RecordHeader& header) {
  discarding_ = header.kind() == RecordKind::first || header.kind() == RecordKind::more;
  consume(header);
}

bool SharedChannel::something_waits() {
  if (!stash_.empty()) return true;
  RecordHeader header;
  while (discarding_ && peek(header)) {
    if (!is_later_part(header)) {
      discarding_ = false;
    } else {
      discard(header);
    }
  }
  return !in_.empty();
}

bool SharedChannel::ready_after_doorbell() {
  require_open("wait_any");
  return settled([&] {
    hear();
    return look(Deadline::now());
  });
}

}  // namespace tandem::transport
