#include "os/epoll.hpp"

#include <sys/epoll.h>

#include "os/check.hpp"

namespace tandem::os {

detail::Fd make_epoll(std::initializer_list<int> members) {
  detail::Fd epoll(check(::epoll_create1(EPOLL_CLOEXEC), "make an epoll descriptor"));
  for (const int member : members) {
    epoll_event event{};
    event.events = EPOLLIN;
    check(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, member, &event), "add to an epoll descriptor");
  }
  return epoll;
}

}  // namespace tandem::os
