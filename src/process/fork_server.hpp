// The fork server: a process with one thread that forks on request. How it is asked, and what it answers, is
// in docs/design/processes.md; here are the messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "tandem/call.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/fd.hpp"
#include "tandem/detail/process_core.hpp"

namespace tandem::detail::fork_server {

/// Server to the client that started it: prepared, you may ask. Client to server, with one end of a
/// pair of sockets of its own: here is somebody who will ask.
struct Hello {
  static constexpr std::uint64_t kMagic = 0x76726573646e74;  // "tndserv"
  std::uint64_t magic = kMagic;
};

/// Client to server, first packet on the client's own pair; as many descriptors as the packet
/// holds, the others in packets of one byte that follow. Their order: payload, the way to the
/// server for the child, standard output and error as far as `streams` says, those of the payload.
struct Request {
  static constexpr std::uint64_t kMagic = 0x6b7361646e74;  // "tndask"
  static constexpr std::uint32_t kOutput = 1;
  static constexpr std::uint32_t kError = 2;
  static constexpr std::size_t kFixed = 2;  // descriptors that always come
  std::uint64_t magic = kMagic;
  std::uint32_t streams = 0;
  std::uint32_t descriptors = 0;  // all of them
};

enum class Stage : std::uint32_t { none, take_request, understand_request, fork, open_child };

/// Server to client, with the pidfd if it went well.
struct Reply {
  std::int32_t pid = 0;
  std::int32_t error = 0;
  Stage stage = Stage::none;
};

/// Server to client: how the child ended, 0..255 or minus the signal.
struct Report {
  std::int32_t exit_code = 0;
};

/// Client to child, on the same pair: the child may run. End of file instead: it must not.
using Go = std::uint8_t;

template <class Message>
[[nodiscard]] std::span<const std::byte> bytes_of(const Message& message) {
  static_assert(std::has_unique_object_representations_v<Message>);
  return std::as_bytes(std::span(&message, 1));
}
template <class Message>
[[nodiscard]] std::span<std::byte> room_of(Message& message) {
  static_assert(std::has_unique_object_representations_v<Message>);
  return std::as_writable_bytes(std::span(&message, 1));
}

/// What a fork server runs: first the preload, then requests that come through `clients`.
class ServerTarget final : public Target {
 public:
  ServerTarget(Fd clients, Call preload);
  [[nodiscard]] bool sendable() const noexcept override { return true; }
  void encode(Encoder& to) const override;
  void run_in_place(Decoder& from) override;

 private:
  Fd clients_;
  Call preload_;
};

/// In a child of the server: `clients` is the way to the server, for children of its own.
void join_server(Fd clients);

/// Lets go of the server, as every client does at its end. Processes that it started go on.
/// \returns pidfds of all servers that are children of this process, which has to reap them
[[nodiscard]] TANDEM_EXPORT std::vector<std::shared_ptr<const Fd>> leave_server();

}  // namespace tandem::detail::fork_server
