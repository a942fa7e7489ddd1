#include "os/socket.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>

#include "base/text.hpp"
#include "os/check.hpp"
#include "os/poll.hpp"

namespace tandem::os {
namespace {

constexpr int kType = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;

using ControlBuffer = std::array<std::byte, CMSG_SPACE(kMaxDescriptors * sizeof(int))>;

struct AbstractAddress {
  sockaddr_un address{};
  socklen_t length = 0;

  explicit AbstractAddress(std::string_view name) {
    address.sun_family = AF_UNIX;
    if (name.size() >= sizeof address.sun_path) throw_error(ENAMETOOLONG, name);
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

bool is_hang_up(int error) {
  switch (error) {
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
    case ECONNABORTED:
    case ENOTCONN:
    // Of a network: nobody has answered for long, or there is no way to the peer any more.
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENETRESET:
      return true;
    default:
      return false;
  }
}

/// Errors of one connection that nobody has accepted yet; the next may be sound.
bool is_of_one_client(int error) {
  return error == EPROTO || error == ENOPROTOOPT || error == EOPNOTSUPP || error == ENONET ||
         is_hang_up(error);
}

void attach_descriptors(msghdr& header, ControlBuffer& control,
                        std::span<const detail::Fd> descriptors) {
  if (descriptors.empty()) return;
  const std::size_t size = descriptors.size() * sizeof(int);
  std::memset(control.data(), 0, CMSG_SPACE(size));
  header.msg_control = control.data();
  header.msg_controllen = CMSG_SPACE(size);
  cmsghdr* const rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(size);
  for (std::size_t i = 0; i < descriptors.size(); ++i) {
    const int fd = descriptors[i].get();
    std::memcpy(CMSG_DATA(rights) + i * sizeof fd, &fd, sizeof fd);
  }
}

void take_descriptors(msghdr& header, std::vector<detail::Fd>& into) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    into.reserve(into.size() + count);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      into.emplace_back(fd);
    }
  }
}

Io receive(int socket, std::span<std::byte> into, Packet& packet, int flags) {
  packet.size = 0;
  packet.truncated = false;
  packet.descriptors.clear();
  for (bool reset_seen = false;;) {
    iovec part{into.data(), into.size()};
    alignas(cmsghdr) ControlBuffer control;
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const auto got = retry([&] { return ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC | flags); });
    if (got == -1) {
      if (errno == EAGAIN) return Io::would_block;
      // A peer that died with unread data leaves this behind, before what it had sent itself.
      if (errno == ECONNRESET && !std::exchange(reset_seen, true)) continue;
      if (is_hang_up(errno)) return Io::hung_up;
      throw_last_error("receive a packet");
    }
    take_descriptors(header, packet.descriptors);
    if ((header.msg_flags & MSG_CTRUNC) != 0) {
      packet.descriptors.clear();
      throw_error(EMFILE, "receive the descriptors of a packet");
    }
    if (got == 0) return Io::hung_up;
    packet.size = static_cast<std::size_t>(got);
    packet.truncated = (header.msg_flags & MSG_TRUNC) != 0;
    return Io::done;
  }
}

}  // namespace

std::pair<detail::Fd, detail::Fd> make_socket_pair() {
  int ends[2];
  check(::socketpair(AF_UNIX, kType, 0, ends), "make a socket pair");
  return {detail::Fd(ends[0]), detail::Fd(ends[1])};
}

Io send_packet(int socket, std::span<const std::byte> bytes,
               std::span<const detail::Fd> descriptors) {
  if (bytes.empty() || descriptors.size() > kMaxDescriptors) throw_error(EINVAL, "send a packet");
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) ControlBuffer control;
  attach_descriptors(header, control, descriptors);
  const auto sent = retry([&] { return ::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT); });
  if (sent >= 0) return Io::done;
  if (errno == EAGAIN) return Io::would_block;
  if (is_hang_up(errno)) return Io::hung_up;
  throw_last_error("send a packet");
}

Io recv_packet(int socket, std::span<std::byte> into, Packet& packet) {
  return receive(socket, into, packet, MSG_DONTWAIT);
}

Io await_packet(int socket, std::span<std::byte> into, Packet& packet) {
  return receive(socket, into, packet, 0);
}

void make_blocking(int socket) {
  const int flags = check(::fcntl(socket, F_GETFL), "ask for a socket's flags");
  check(::fcntl(socket, F_SETFL, flags & ~O_NONBLOCK), "make a socket blocking");
}

Io send_some(int socket, std::span<const std::byte> head, std::span<const std::byte> body,
             std::size_t& sent, std::span<const detail::Fd> descriptors) {
  sent = 0;
  if (descriptors.size() > kMaxDescriptors) throw_error(EINVAL, "send to a socket");
  iovec parts[2] = {{const_cast<std::byte*>(head.data()), head.size()},
                    {const_cast<std::byte*>(body.data()), body.size()}};
  msghdr header{};
  header.msg_iov = parts;
  header.msg_iovlen = 2;
  alignas(cmsghdr) ControlBuffer control;
  attach_descriptors(header, control, descriptors);
  const auto done = retry([&] { return ::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT); });
  if (done >= 0) {
    sent = static_cast<std::size_t>(done);
    return Io::done;
  }
  if (errno == EAGAIN) return Io::would_block;
  if (is_hang_up(errno)) return Io::hung_up;
  throw_last_error("send to a socket");
}

Io recv_some(int socket, std::span<std::byte> into, std::size_t& got,
             std::vector<detail::Fd>* descriptors) {
  got = 0;
  iovec part{into.data(), into.size()};
  alignas(cmsghdr) ControlBuffer control;
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (descriptors != nullptr) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
  }
  const auto done =
      retry([&] { return ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT); });
  if (done == -1) {
    if (errno == EAGAIN) return Io::would_block;
    if (is_hang_up(errno)) return Io::hung_up;
    throw_last_error("receive from a socket");
  }
  if (descriptors != nullptr) {
    take_descriptors(header, *descriptors);
    if ((header.msg_flags & MSG_CTRUNC) != 0) throw_error(EMFILE, "receive descriptors");
  }
  if (done == 0) return Io::hung_up;
  got = static_cast<std::size_t>(done);
  return Io::done;
}

bool hung_up(int socket) {
  pollfd one{socket, POLLRDHUP, 0};
  return poll_until({&one, 1}, detail::Deadline::now()) > 0;
}

Credentials peer_credentials(int socket) {
  ucred peer{};
  socklen_t length = sizeof peer;
  check(::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length), "ask who a peer is");
  return {peer.pid, peer.uid};
}

detail::Fd listen_abstract(std::string_view name) {
  const AbstractAddress address(name);
  detail::Fd listener(check(::socket(AF_UNIX, kType, 0), "make a socket"));
  if (::bind(listener.get(), address.get(), address.length) == -1 ||
      ::listen(listener.get(), SOMAXCONN) == -1) {
    throw_last_error(detail::concat("listen on unix:@", name));
  }
  return listener;
}

detail::Fd connect_abstract(std::string_view name) {
  const AbstractAddress address(name);
  detail::Fd socket(check(::socket(AF_UNIX, kType, 0), "make a socket"));
  if (retry([&] { return ::connect(socket.get(), address.get(), address.length); }) == -1) {
    throw_last_error(detail::concat("connect to unix:@", name));
  }
  return socket;
}

std::optional<detail::Fd> accept_connection(int listener) {
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd != -1) return detail::Fd(fd);
    if (errno == EAGAIN) return std::nullopt;
    if (errno != EINTR && !is_of_one_client(errno)) throw_last_error("accept a connection");
  }
}

}  // namespace tandem::os
