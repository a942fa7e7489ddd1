// eventfd(2): a bell that poll and epoll understand.
#pragma once

#include "tandem/detail/fd.hpp"

namespace tandem::os {

/// Close-on-exec, non-blocking.
[[nodiscard]] detail::Fd make_event_fd();
void ring_bell(const detail::Fd& event_fd) noexcept;
/// Takes all rings so far. \returns whether there were any
bool silence_bell(const detail::Fd& event_fd) noexcept;

}  // namespace tandem::os
