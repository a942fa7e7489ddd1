#include "os/event_fd.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdint>

#include "os/check.hpp"

namespace tandem::os {

detail::Fd make_event_fd() {
  return detail::Fd(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "make an eventfd"));
}

detail::Fd open_bell(const std::string& path) {
  if (::mkfifo(path.c_str(), S_IRUSR | S_IWUSR) == -1 && errno != EEXIST) throw_last_error(path);
  // Both ends at once: it is never without a reader or a writer.
  detail::Fd bell(check(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW), path));
  struct stat found {};
  check(::fstat(bell.get(), &found), path);
  if (!S_ISFIFO(found.st_mode) || found.st_uid != ::geteuid()) throw_error(EACCES, path);
  return bell;
}

void ring_bell(const detail::Fd& bell) noexcept {
  // EAGAIN says that no more fit in: the bell is ringing already.
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written =
      retry([&] { return ::write(bell.get(), &one, sizeof one); });
}

bool silence_bell(const detail::Fd& bell) noexcept {
  // An eventfd gives eight bytes for all rings, a FIFO eight for each.
  std::array<std::uint64_t, 64> rings;
  bool rang = false;
  for (;;) {
    const auto bytes = retry([&] { return ::read(bell.get(), rings.data(), sizeof rings); });
    if (bytes <= 0) return rang;
    rang = true;
    if (bytes < static_cast<ssize_t>(sizeof rings)) return true;
  }
}

}  // namespace tandem::os
