#include "os/event_fd.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "os/check.hpp"

namespace tandem::os {

detail::Fd make_event_fd() {
  return detail::Fd(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "make an eventfd"));
}

void ring_bell(const detail::Fd& event_fd) noexcept {
  // EAGAIN says that the counter is at its limit: the bell is ringing already.
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written =
      retry([&] { return ::write(event_fd.get(), &one, sizeof one); });
}

bool silence_bell(const detail::Fd& event_fd) noexcept {
  std::uint64_t rings = 0;
  return retry([&] { return ::read(event_fd.get(), &rings, sizeof rings); }) == sizeof rings;
}

}  // namespace tandem::os
