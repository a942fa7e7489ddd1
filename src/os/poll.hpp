// poll(2) under a Deadline.
#pragma once

#include <poll.h>

#include <span>

#include "tandem/detail/deadline.hpp"

namespace tandem::os {

/// \returns how many are ready; 0 when the deadline passed. EINTR never shows.
int poll_until(std::span<pollfd> fds, detail::Deadline deadline);
/// \returns false when the deadline passed before `fd` was readable or hung up
[[nodiscard]] bool wait_readable(int fd, detail::Deadline deadline);

/// \returns false when the deadline passed before `fd` took more or hung up
[[nodiscard]] bool wait_writable(int fd, detail::Deadline deadline);

}  // namespace tandem::os
