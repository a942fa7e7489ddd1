#include "os/stream.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/text.hpp"
#include "os/check.hpp"
#include "os/poll.hpp"

namespace tandem::os {
namespace {

SocketName named(const sockaddr* address, std::size_t size) {
  SocketName name;
  std::memcpy(name.bytes.data(), address, size);
  name.size = size;
  return name;
}
const sockaddr* address_of(const SocketName& name) {
  return reinterpret_cast<const sockaddr*>(name.bytes.data());
}
bool is_tcp(const SocketName& name) { return address_of(name)->sa_family != AF_UNIX; }

detail::Fd make_stream(const SocketName& name) {
  constexpr int kType = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  return detail::Fd(check(::socket(address_of(name)->sa_family, kType, 0), "make a socket"));
}

void set_option(int socket, int level, int option, int value) {
  check(::setsockopt(socket, level, option, &value, sizeof value), "set an option of a socket");
}

int connect_once(const detail::Fd& socket, const SocketName& name) {
  const int result = ::connect(socket.get(), address_of(name), static_cast<socklen_t>(name.size));
  return result == 0 ? 0 : errno;
}

[[noreturn]] void throw_timed_out() { throw TimedOut("connect: the listener does not answer"); }

// Where the backlog is full nothing but connect itself waits for room.
void connect_unix(const detail::Fd& socket, const SocketName& name, detail::Deadline deadline) {
  const int flags = check(::fcntl(socket.get(), F_GETFL), "connect");
  check(::fcntl(socket.get(), F_SETFL, flags & ~O_NONBLOCK), "connect");
  for (;;) {
    const long long us = deadline.is_never() ? 0 : deadline.left().count() / 1000 + 1;
    const timeval left{static_cast<time_t>(us / 1'000'000),
                       static_cast<suseconds_t>(us % 1'000'000)};
    check(::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &left, sizeof left), "connect");
    const int error = connect_once(socket, name);
    if (error == 0) break;
    if (error != EINTR && error != EAGAIN) throw_error(error, "connect");
    if (deadline.passed()) throw_timed_out();
  }
  check(::fcntl(socket.get(), F_SETFL, flags), "connect");
}

void connect_tcp(const detail::Fd& socket, const SocketName& name, detail::Deadline deadline) {
  int error = connect_once(socket, name);
  if (error == EINPROGRESS || error == EINTR) {  // interrupted, it goes on all the same
    if (!wait_writable(socket.get(), deadline)) throw_timed_out();
    socklen_t length = sizeof error;
    check(::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length), "connect");
  }
  if (error != 0) throw_error(error, "connect");
}

}  // namespace

SocketName unix_path(std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.find('\0') != path.npos) throw_error(EINVAL, path);
  if (path.size() >= sizeof address.sun_path) throw_error(ENAMETOOLONG, path);
  std::memcpy(address.sun_path, path.data(), path.size());
  return named(reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

SocketName unix_abstract(std::string_view name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.empty()) throw_error(EINVAL, "an abstract socket without a name");
  if (name.size() >= sizeof address.sun_path) throw_error(ENAMETOOLONG, name);
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  return named(reinterpret_cast<const sockaddr*>(&address),
               offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

std::vector<SocketName> tcp_names(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (error == EAI_SYSTEM) throw_last_error(detail::concat("look up the host ", host));
  if (error != 0) {
    throw Error(detail::concat("look up the host ", host, ": ", ::gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  std::vector<SocketName> names;
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    if (at->ai_addrlen <= sizeof(SocketName::bytes)) {
      names.push_back(named(at->ai_addr, at->ai_addrlen));
    }
  }
  // A listener at "localhost" is to be found at 127.0.0.1, where everybody looks.
  std::stable_partition(names.begin(), names.end(), [](const SocketName& name) {
    return address_of(name)->sa_family == AF_INET;
  });
  return names;
}

detail::Fd bind_stream(const SocketName& name) {
  detail::Fd socket = make_stream(name);
  if (is_tcp(name)) {
    // Connections of a listener that was here before may linger; they are not in the way.
    set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  } else {
    // The file gets these permissions. Whoever may connect is checked again by the kernel's word.
    check(::fchmod(socket.get(), 0600), "bind a socket");
  }
  check(::bind(socket.get(), address_of(name), static_cast<socklen_t>(name.size)), "bind a socket");
  return socket;
}

void start_listening(const detail::Fd& socket) {
  check(::listen(socket.get(), SOMAXCONN), "listen on a socket");
}

detail::Fd connect_stream(const SocketName& name, detail::Deadline deadline) {
  detail::Fd socket = make_stream(name);
  if (is_tcp(name)) {
    connect_tcp(socket, name, deadline);
  } else {
    connect_unix(socket, name, deadline);
  }
  return socket;
}

std::uint16_t own_port(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  check(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length), "ask for a port");
  // The port is at the same place in both.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  sockaddr_in plain{};
  std::memcpy(&plain, &address, sizeof plain);
  return ntohs(plain.sin_port);
}

std::string peer_text(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &length) == -1) return {};
  char host[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    sockaddr_in plain{};
    std::memcpy(&plain, &address, sizeof plain);
    ::inet_ntop(AF_INET, &plain.sin_addr, host, sizeof host);
    return detail::concat(host, ":", std::to_string(ntohs(plain.sin_port)));
  }
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, &address, sizeof six);
    ::inet_ntop(AF_INET6, &six.sin6_addr, host, sizeof host);
    return detail::concat("[", host, "]:", std::to_string(ntohs(six.sin6_port)));
  }
  return {};
}

void tune_tcp(int socket) {
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 6);
}

void shut_both_ways(int socket) noexcept { ::shutdown(socket, SHUT_RDWR); }
void shut_sending(int socket) noexcept { ::shutdown(socket, SHUT_WR); }

}  // namespace tandem::os
