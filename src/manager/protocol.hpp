// The bytes between a manager's clients and its server; docs/design/manager.md is the full account.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "tandem/detail/buffer.hpp"
#include "tandem/detail/manager_protocol.hpp"
#include "tandem/error.hpp"

namespace tandem::detail::manager_protocol {

inline constexpr std::uint32_t kVersion = 2;
/// Outgoing::type of every message.
inline constexpr std::uint32_t kMessageType = 0x6d677231;

/// What the server says first to a client that came in by its address, and the client's greetings
/// after that if it stays on this channel.
inline constexpr std::uint32_t kIdentityType = 0x6d677230;
inline constexpr std::uint32_t kGreetingType = 0x6d676732;

/// A request or reply longer than this goes in pieces. A piece fits into an idle channel whole, so
/// the server never waits for a client that does not read.
inline constexpr std::size_t kPieceBytes = std::size_t{32} << 10;

/// In front of every piece.
struct PieceHeader {
  std::uint32_t sequence = 0;  // a reply has its request's
  std::uint32_t flags = 0;
};
inline constexpr std::uint32_t kMorePieces = 1;
/// Client to server, without a body: "the next piece of the reply, please".
inline constexpr std::uint32_t kContinue = 2;

/// After the first piece's header.
struct RequestHeader {
  std::uint16_t op = 0;
  std::uint16_t reserved = 0;
  std::uint32_t reserved2 = 0;
  std::uint64_t object = 0;  // 0: the manager itself
};

enum class ReplyStatus : std::uint32_t {
  found = 0,
  missing = 1,  // no such key, position or value
  raised = 2,   // an encoded exception follows
};
/// After the first piece's header. Then the result; then the ids of the objects to which the client
/// was given a reference each, and at the very end, in 32 bits, how many these are.
struct ReplyHeader {
  ReplyStatus status = ReplyStatus::found;
  std::uint32_t reserved = 0;
};

/// All connections of one client process say the same; nobody else can guess it. Zeros: a client
/// of its own.
struct SessionId {
  std::array<std::uint64_t, 2> words = {};
  friend auto operator<=>(const SessionId&, const SessionId&) = default;
};

/// The first packets on the bare socket: what the client's process already refers to. After the one
/// with `last` the channel's own packet follows.
struct GreetingHeader {
  std::array<char, 8> magic = {'t', 'a', 'n', 'd', 'e', 'm', 'M', '1'};
  std::uint32_t version = kVersion;
  std::uint32_t last = 1;
  SessionId session;
  std::int32_t pid = 0;  // of the client, for messages
  std::uint32_t reserved = 0;
  // then ids of 64 bits
};
inline constexpr std::size_t kIdsPerGreeting = 2048;

static_assert(sizeof(PieceHeader) == 8 && sizeof(RequestHeader) == 16 && sizeof(ReplyHeader) == 8 &&
              sizeof(GreetingHeader) == 40);

/// Servers listen at the abstract unix address kAddressPrefix + 32 random hexadecimal digits.
inline constexpr std::string_view kAddressPrefix = "tandem-manager-";
inline constexpr std::size_t kAddressDigits = 32;
[[nodiscard]] inline bool is_address(std::string_view text) {
  return text.size() == kAddressPrefix.size() + kAddressDigits &&
         text.starts_with(kAddressPrefix) &&
         text.find_first_not_of("0123456789abcdef", kAddressPrefix.size()) == text.npos;
}

/// In a message of kIdentityType. A client of this machine then connects to `name`, as all
/// processes do that get a proxy; one that came over tcp stays and greets.
struct Identity {
  std::uint32_t version = kVersion;
  std::int32_t pid = 0;
  std::array<char, kAddressPrefix.size() + kAddressDigits> name = {};
};
static_assert(sizeof(Identity) == 56);

/// As messages call it.
[[nodiscard]] constexpr const char* kind_name(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::dict:
      return "dict";
    case ObjectKind::list:
      return "list";
    case ObjectKind::value:
      return "value";
    case ObjectKind::array:
      return "array";
    case ObjectKind::namespace_:
      return "namespace";
    case ObjectKind::queue:
      return "queue";
    case ObjectKind::joinable_queue:
      return "joinable queue";
    case ObjectKind::lock:
      return "lock";
    case ObjectKind::rlock:
      return "rlock";
    case ObjectKind::semaphore:
      return "semaphore";
    case ObjectKind::bounded_semaphore:
      return "bounded semaphore";
    case ObjectKind::condition:
      return "condition";
    case ObjectKind::event:
      return "event";
    case ObjectKind::barrier:
      return "barrier";
    case ObjectKind::object:
      return "object";
  }
  return "thing";
}

/// Reads plain numbers and counted bytes from bytes that anybody may have written.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : left_(bytes) {}

  [[nodiscard]] std::size_t left() const { return left_.size(); }
  [[nodiscard]] std::span<const std::byte> take(std::uint64_t n) {
    if (n > left_.size()) throw DecodeError("manager message: shorter than it says");
    const auto taken = left_.first(static_cast<std::size_t>(n));
    left_ = left_.subspan(static_cast<std::size_t>(n));
    return taken;
  }
  template <class Raw>
  [[nodiscard]] Raw raw() {
    static_assert(std::is_trivially_copyable_v<Raw>);
    Raw value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  /// Length, then bytes.
  [[nodiscard]] std::span<const std::byte> bytes() { return take(raw<std::uint64_t>()); }
  [[nodiscard]] std::string_view text() {
    const auto t = bytes();
    return {reinterpret_cast<const char*>(t.data()), t.size()};
  }
  [[nodiscard]] std::span<const std::byte> rest() { return take(left_.size()); }
  void expect_end() const {
    if (!left_.empty()) throw DecodeError("manager message: longer than it should be");
  }

 private:
  std::span<const std::byte> left_;
};

template <class Raw>
void put(Buffer& to, const Raw& value) {
  static_assert(std::is_trivially_copyable_v<Raw>);
  to.append(&value, sizeof value);
}

/// Length, then bytes; or neither, when there is no memory.
inline void put_bytes(Buffer& to, std::span<const std::byte> bytes) {
  const std::size_t before = to.size();
  try {
    put(to, std::uint64_t{bytes.size()});
    to.append(bytes.data(), bytes.size());
  } catch (...) {
    to.truncate(before);
    throw;
  }
}

}  // namespace tandem::detail::manager_protocol
