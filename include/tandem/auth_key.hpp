/// \file
/// What two processes must both know before one listens to the other.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "tandem/detail/export.hpp"

namespace tandem {

namespace detail {
class Decoder;
class Encoder;
}  // namespace detail

/// A secret: bytes of any number. It never crosses the wire when a connection is made: each side
/// proves to the other that it has it. An empty one proves nothing and is refused for tcp.
///
/// Its bytes are wiped when it is destroyed or assigned to, are in no message, error or log line,
/// and are compared in a time that does not depend on them. Sendable to processes and through
/// channels of this machine; over tcp, which is not encrypted, it is NotSendable.
class TANDEM_EXPORT AuthKey {
 public:
  using TandemHandle = void;

  AuthKey() noexcept = default;
  /// From text; the text's own copy is the caller's to wipe.
  template <class Text>
  requires std::convertible_to<const Text&, std::string_view> AuthKey(const Text& text)
      : AuthKey(std::as_bytes(std::span(static_cast<std::string_view>(text)))) {}
  /// From bytes; the caller's own copy is the caller's to wipe.
  AuthKey(std::span<const std::byte> bytes) : bytes_(bytes.begin(), bytes.end()) {}
  /// From bytes, likewise.
  AuthKey(const std::vector<std::byte>& bytes) : bytes_(bytes) {}
  /// 32 bytes that nobody can guess.
  [[nodiscard]] static AuthKey random();

  AuthKey(const AuthKey&) = default;
  AuthKey(AuthKey&& other) noexcept = default;
  /// Wipes what it had.
  AuthKey& operator=(AuthKey other) noexcept {
    bytes_.swap(other.bytes_);
    return *this;
  }
  ~AuthKey();

  /// Whether it proves nothing.
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  /// Whether both are the same secret; takes as long whatever they are.
  [[nodiscard]] bool operator==(const AuthKey& other) const noexcept;

  void save(detail::Encoder& to) const;
  [[nodiscard]] static AuthKey detail_decode(detail::Decoder& from);

  // For the library.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace tandem
