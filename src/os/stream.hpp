// Stream sockets, unix and tcp: where they are, who listens, who connects.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::os {

/// What the system calls the end of a socket.
struct SocketName {
  alignas(8) std::array<std::byte, 128> bytes{};
  std::size_t size = 0;
};

/// \throws SystemError ENAMETOOLONG, EINVAL when it is empty or a path with NUL in it
[[nodiscard]] SocketName unix_path(std::string_view path);
[[nodiscard]] SocketName unix_abstract(std::string_view name);
/// All that a host's name stands for, IPv4 first; may ask the network, and then waits for it.
/// \throws Error when the name is not known
[[nodiscard]] std::vector<SocketName> tcp_names(const std::string& host, std::uint16_t port);

/// A socket that is bound but does not listen yet. Close-on-exec, non-blocking, as all here.
/// \throws SystemError EADDRINUSE, ...
[[nodiscard]] detail::Fd bind_stream(const SocketName& name);
void start_listening(const detail::Fd& socket);

/// \throws SystemError ECONNREFUSED when nobody listens, ENOENT when there is no such file;
///         TimedOut
[[nodiscard]] detail::Fd connect_stream(const SocketName& name, detail::Deadline deadline);

/// The port a tcp socket is bound to.
[[nodiscard]] std::uint16_t own_port(int socket);
/// "127.0.0.1:4711" or "[::1]:4711"; empty for a unix socket.
[[nodiscard]] std::string peer_text(int socket);
/// Small messages leave at once, and a peer whose machine is gone is noticed within minutes.
void tune_tcp(int socket);
/// Says to the peer, whoever else has a copy of this socket, that nothing more will come, and that
/// nothing more is read.
void shut_both_ways(int socket) noexcept;
/// Says it for the direction from here to there only.
void shut_sending(int socket) noexcept;

}  // namespace tandem::os
