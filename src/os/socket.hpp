// Sockets and the bytes through them: unix packets (doorbell, end of file, carrier of descriptors)
// and streams.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/detail/fd.hpp"

namespace tandem::os {

/// What a packet operation found.
enum class Io {
  done,
  would_block,
  hung_up,  // the peer is closed or dead
};

/// Close-on-exec, non-blocking.
[[nodiscard]] std::pair<detail::Fd, detail::Fd> make_socket_pair();

/// Sends one packet of at least one byte (an empty one could not be told from the end of file);
/// never raises SIGPIPE. At most kMaxDescriptors descriptors.
inline constexpr std::size_t kMaxDescriptors = 253;
[[nodiscard]] Io send_packet(int socket, std::span<const std::byte> bytes,
                             std::span<const detail::Fd> descriptors = {});

struct Packet {
  std::size_t size = 0;    // of the bytes that were written to `into`
  bool truncated = false;  // the packet was longer than `into`; the rest is lost
  std::vector<detail::Fd> descriptors;
};
/// Receives one packet without waiting. A dead peer's pending ECONNRESET is read past: what it had
/// sent is still delivered. \throws SystemError EMFILE when the descriptors do not fit into this
/// process: the packet is lost, and
///         those that had come are closed
[[nodiscard]] Io recv_packet(int socket, std::span<std::byte> into, Packet& packet);
/// The same, but waits for one. The socket has been made blocking.
[[nodiscard]] Io await_packet(int socket, std::span<std::byte> into, Packet& packet);
void make_blocking(int socket);

/// Sends as much as there is room for of `head` and then `body`, without waiting or raising
/// SIGPIPE. Descriptors, if any, go with the first byte. \param sent how many bytes went
[[nodiscard]] Io send_some(int socket, std::span<const std::byte> head,
                           std::span<const std::byte> body, std::size_t& sent,
                           std::span<const detail::Fd> descriptors = {});
/// Receives what is there, without waiting. \param got how many bytes, at least one when `done`
/// \param descriptors where those that come along are put; null: they are closed
[[nodiscard]] Io recv_some(int socket, std::span<std::byte> into, std::size_t& got,
                           std::vector<detail::Fd>* descriptors = nullptr);

/// Whether the peer has closed its last copy of the other end.
[[nodiscard]] bool hung_up(int socket);

/// Process and user at the other end, as they were when it connected.
struct Credentials {
  pid_t pid = 0;
  uid_t uid = 0;
};
[[nodiscard]] Credentials peer_credentials(int socket);

/// A listening socket of the abstract namespace (no file, gone with its last holder).
[[nodiscard]] detail::Fd listen_abstract(std::string_view name);
/// \throws SystemError ECONNREFUSED when nobody listens, EAGAIN when too many wait to be accepted
[[nodiscard]] detail::Fd connect_abstract(std::string_view name);
/// \returns nothing when nobody waits to be accepted
[[nodiscard]] std::optional<detail::Fd> accept_connection(int listener);

}  // namespace tandem::os
