#include "os/poller.hpp"

#include <sys/epoll.h>

#include <array>

#include "os/check.hpp"
#include "os/poll.hpp"

namespace tandem::os {

Poller::Poller() : epoll_(check(::epoll_create1(EPOLL_CLOEXEC), "make an epoll descriptor")) {}

void Poller::add(int fd, std::uint64_t key) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = key;
  check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "add to an epoll descriptor");
}

void Poller::watch_room(int fd, std::uint64_t key, bool on) {
  epoll_event event{};
  event.events = EPOLLIN | (on ? std::uint32_t{EPOLLOUT} : 0U);
  event.data.u64 = key;
  check(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event), "change an epoll descriptor");
}

void Poller::remove(int fd) noexcept { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

const std::vector<std::uint64_t>& Poller::wait(detail::Deadline deadline) {
  ready_.clear();
  // epoll_wait counts in milliseconds, from when it is called; this waits until a point in time.
  if (!deadline.is_now() && !wait_readable(epoll_.get(), deadline)) return ready_;
  std::array<epoll_event, 256> events;
  const int n =
      check(retry([&] {
              return ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
            }),
            "epoll_wait");
  for (int i = 0; i < n; ++i) ready_.push_back(events[static_cast<std::size_t>(i)].data.u64);
  return ready_;
}

}  // namespace tandem::os
