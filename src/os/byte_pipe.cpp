#include "os/byte_pipe.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "os/check.hpp"

namespace tandem::os {

BytePipe make_byte_pipe() {
  int ends[2];
  check(::pipe2(ends, O_CLOEXEC), "make a pipe");
  BytePipe pipe{detail::Fd(ends[0]), detail::Fd(ends[1])};
  // Of this end only: the flag belongs to the open file, and the ends are two.
  check(::fcntl(pipe.reader.get(), F_SETFL, O_NONBLOCK), "make a pipe's end non-blocking");
  return pipe;
}

std::optional<std::size_t> read_some(const detail::Fd& reader, std::span<char> into) noexcept {
  const ssize_t got = retry([&] { return ::read(reader.get(), into.data(), into.size()); });
  if (got < 0) return std::nullopt;
  return static_cast<std::size_t>(got);
}

std::size_t bytes_waiting(const detail::Fd& reader) noexcept {
  int n = 0;
  return ::ioctl(reader.get(), FIONREAD, &n) == 0 && n > 0 ? static_cast<std::size_t>(n) : 0;
}

}  // namespace tandem::os
