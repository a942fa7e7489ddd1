#include "os/poll.hpp"

#include <ctime>

#include "os/check.hpp"

namespace tandem::os {

int poll_until(std::span<pollfd> fds, detail::Deadline deadline) {
  for (;;) {
    timespec left{};
    if (!deadline.is_never() && !deadline.is_now()) {
      const long long ns = deadline.left().count();
      left.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
      left.tv_nsec = static_cast<long>(ns % 1'000'000'000);
    }
    // Relative, so computed anew after each interruption.
    const int ready =
        ::ppoll(fds.data(), fds.size(), deadline.is_never() ? nullptr : &left, nullptr);
    if (ready >= 0) return ready;
    if (errno != EINTR) throw_last_error("poll");
  }
}

bool wait_writable(int fd, detail::Deadline deadline) {
  pollfd one{fd, POLLOUT, 0};
  return poll_until({&one, 1}, deadline) > 0;
}

bool wait_readable(int fd, detail::Deadline deadline) {
  pollfd one{fd, POLLIN, 0};
  return poll_until({&one, 1}, deadline) > 0;
}

}  // namespace tandem::os
