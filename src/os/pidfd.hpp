// Processes by descriptor: no pid that was reused can be hit.
#pragma once

#include <sys/types.h>

#include <optional>

#include "tandem/detail/fd.hpp"

namespace tandem::os {

[[nodiscard]] detail::Fd open_pidfd(pid_t pid);
/// \returns false when the process had ended
bool send_signal(const detail::Fd& pidfd, int signal);

/// Whether the process has ended, whoever's child it is.
[[nodiscard]] bool has_ended(const detail::Fd& pidfd);

/// How a process ended: 0..255, or minus the signal's number.
/// \returns nothing while it runs. Reaps it if it is a child of this process. When somebody else
///   reaped it, asks the kernel what it remembers (PIDFD_GET_INFO, Linux 6.15), else says 255.
[[nodiscard]] std::optional<int> reap(const detail::Fd& pidfd);

}  // namespace tandem::os
