// Messages in a stream of bytes (docs/design/wire.md). Without a socket, so that any bytes can be
// tried.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "tandem/detail/buffer.hpp"

namespace tandem::transport {

struct FrameHeader {
  std::uint64_t size;  // of the bytes that follow
  std::uint32_t type;  // detail::Outgoing::type
  std::uint32_t encoding;
};
static_assert(sizeof(FrameHeader) == 16);

/// Values as detail::Encoder writes them for Route::socket: with zeros for padding.
inline constexpr std::uint32_t kWiped = 1;

struct Frame {
  std::uint32_t type = 0;
  std::span<const std::byte> bytes;
};

/// Cuts a stream into frames. It never has more memory than four times what has arrived, or 64 KiB:
/// the size that a frame says it has is believed as it comes.
class FrameReader {
 public:
  enum class State { more, whole, malformed };

  /// Where the next bytes go; not empty. Whatever came before is still there.
  [[nodiscard]] std::span<std::byte> space();
  /// That many of them came.
  void arrived(std::size_t n);
  /// Whether a frame is there.
  [[nodiscard]] State state() const noexcept { return state_; }
  /// The next frame, if it is `whole`; its bytes are valid until the next call that is not const.
  [[nodiscard]] Frame frame() const noexcept;
  /// Drops it.
  void pop();

  /// What has arrived and was not dropped.
  [[nodiscard]] std::span<const std::byte> rest() const noexcept {
    return {buffer_.data() + begin_, end_ - begin_};
  }
  /// Appends bytes that arrived elsewhere.
  void append(std::span<const std::byte> bytes);
  void clear();

 private:
  void look() noexcept;

  // Bytes of the stream lie from begin_ to end_; the buffer's own size is what may be written to.
  detail::Buffer buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  State state_ = State::more;
};

}  // namespace tandem::transport
