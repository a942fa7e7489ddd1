#include "tandem/detail/fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "os/check.hpp"

namespace tandem::detail {

void Fd::reset() noexcept {
  // Not retried after EINTR: Linux has released the number by then, and another thread may have got
  // it.
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Fd Fd::duplicate() const {
  return Fd(os::check(::fcntl(fd_, F_DUPFD_CLOEXEC, 3), "duplicate a descriptor"));
}

}  // namespace tandem::detail
