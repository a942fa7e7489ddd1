// epoll with one member, for tests of descriptors that are waited for.
#pragma once

#include <sys/epoll.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "tandem/detail/fd.hpp"

namespace tandem::test {

class Epoll {
 public:
  /// \param events EPOLLIN, with or without EPOLLET
  Epoll(int fd, std::uint32_t events) : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    epoll_event event{};
    event.events = events;
    if (!epoll_ || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == -1) {
      throw std::system_error(errno, std::system_category(), "epoll");
    }
  }
  /// For ever.
  void wait() {
    epoll_event event{};
    while (::epoll_wait(epoll_.get(), &event, 1, -1) != 1) {
      if (errno != EINTR) throw std::system_error(errno, std::system_category(), "epoll_wait");
    }
  }

 private:
  detail::Fd epoll_;
};

}  // namespace tandem::test
