#include "transport/frame.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "os/memfd.hpp"

namespace tandem::transport {
namespace {

constexpr std::size_t kLeastSpace = std::size_t{16} << 10;
constexpr std::size_t kKept = std::size_t{64} << 10;
// A system call less for most messages.
constexpr std::size_t kAlwaysPossible = std::size_t{1} << 20;

FrameHeader header_at(const std::byte* bytes) {
  FrameHeader header;
  std::memcpy(&header, bytes, sizeof header);
  return header;
}

}  // namespace

std::span<std::byte> FrameReader::space() {
  const std::size_t there = end_ - begin_;
  if (buffer_.size() - end_ < kLeastSpace) {
    // Room for as much again, however little comes at a time: moving costs a constant each byte.
    const std::size_t wanted = std::max(kLeastSpace, there);
    if (begin_ + (buffer_.size() - end_) >= wanted) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, there);
    } else {
      detail::Buffer bigger;
      std::byte* const to = bigger.assign(there + wanted);
      if (there != 0) std::memcpy(to, buffer_.data() + begin_, there);
      buffer_ = std::move(bigger);
    }
    begin_ = 0;
    end_ = there;
  }
  return {buffer_.data() + end_, buffer_.size() - end_};
}

void FrameReader::arrived(std::size_t n) {
  end_ += n;
  look();
}

Frame FrameReader::frame() const noexcept {
  const FrameHeader header = header_at(buffer_.data() + begin_);
  return {header.type,
          {buffer_.data() + begin_ + sizeof header, static_cast<std::size_t>(header.size)}};
}

void FrameReader::pop() {
  begin_ += sizeof(FrameHeader) + frame().bytes.size();
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (buffer_.capacity() > kKept) buffer_ = detail::Buffer();
  }
  look();
}

void FrameReader::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto to = space();
    const std::size_t n = std::min(to.size(), bytes.size());
    std::memcpy(to.data(), bytes.data(), n);
    arrived(n);
    bytes = bytes.subspan(n);
  }
}

void FrameReader::clear() { *this = FrameReader(); }

void FrameReader::look() noexcept {
  state_ = State::more;
  const std::size_t there = end_ - begin_;
  if (there < sizeof(FrameHeader)) return;
  const FrameHeader header = header_at(buffer_.data() + begin_);
  if (header.encoding != kWiped ||
      (header.size > kAlwaysPossible && !os::machine_could_hold(header.size))) {
    state_ = State::malformed;
  } else if (there - sizeof header >= header.size) {
    state_ = State::whole;
  }
}

}  // namespace tandem::transport
