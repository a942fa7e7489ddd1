// How two processes that know the same key convince each other of it before they say anything else.
// The bytes are in docs/design/wire.md; here is no socket, so that any bytes can be tried.
//
// 1. Nobody's bytes are looked at beyond the fixed sizes below before the key was proven.
// 2. The client proves first: who only knocks at a server learns nothing to guess the key with.
// 3. A proof covers both greetings, and with them a number used once from each side, and says which
//    side made it: it can be neither replayed nor sent back to its maker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tandem/auth_key.hpp"

namespace tandem::transport {

inline constexpr std::uint32_t kWireVersion = 1;

/// The first bytes of either side.
struct Greeting {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t byte_order;  // 0x01020304 as this machine writes it
  std::array<std::byte, 32> once;
};
using Proof = std::array<std::byte, 32>;
enum class Verdict : std::uint32_t { admitted = 1, refused = 2 };
struct Answer {
  Verdict verdict;
  std::uint32_t size;  // of what follows: one end of a pipe, for a client of this machine
  Proof proof;         // zeros when refused
};
static_assert(sizeof(Greeting) == 48 && sizeof(Proof) == 32 && sizeof(Answer) == 40);

[[nodiscard]] Greeting client_greeting();
[[nodiscard]] Greeting server_greeting();

/// The server's side of one handshake.
class ServerHandshake {
 public:
  enum class Next {
    receive,  // more bytes, into `space`
    greet,    // send `greeting`, then receive
    answer,   // the client has said everything
  };
  explicit ServerHandshake(const Greeting& greeting) noexcept : greeting_(greeting) {}

  [[nodiscard]] const Greeting& greeting() const noexcept { return greeting_; }
  /// Where the next bytes go. Never empty before `answer` is due.
  [[nodiscard]] std::span<std::byte> space() noexcept;
  /// That many came. \throws DecodeError as soon as it is no client's greeting
  [[nodiscard]] Next arrived(std::size_t n);
  /// Whether the client knows the key.
  [[nodiscard]] bool proven(const AuthKey& key) const;
  [[nodiscard]] Answer answer(const AuthKey& key, bool admit, std::uint32_t size) const;
  /// Whether anything came at all.
  [[nodiscard]] bool begun() const noexcept { return received_ != 0; }

 private:
  std::array<std::byte, sizeof(Greeting) + sizeof(Proof)> bytes_{};
  std::size_t received_ = 0;
  Greeting greeting_;
};

/// The client's side.
class ClientHandshake {
 public:
  explicit ClientHandshake(const Greeting& greeting) noexcept : greeting_(greeting) {}

  [[nodiscard]] const Greeting& greeting() const noexcept { return greeting_; }
  /// \returns what to send next \throws DecodeError when it is no server's greeting
  [[nodiscard]] Proof take(const Greeting& server, const AuthKey& key);
  /// \returns how many bytes follow \throws AuthenticationError when either side does not know the
  ///   other's key, DecodeError
  [[nodiscard]] std::uint32_t take(const Answer& answer, const AuthKey& key) const;

 private:
  Greeting greeting_;
  Greeting server_{};
};

}  // namespace tandem::transport
