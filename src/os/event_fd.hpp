// Bells: descriptors that poll and epoll understand, and that any process may ring which has them.
#pragma once

#include <string>

#include "tandem/detail/fd.hpp"

namespace tandem::os {

/// eventfd(2). Close-on-exec, non-blocking.
[[nodiscard]] detail::Fd make_event_fd();
/// A bell that is found by its path, for who could not be handed one: a FIFO, made if there is
/// none. Close-on-exec, non-blocking. \throws SystemError EACCES when something else is there
[[nodiscard]] detail::Fd open_bell(const std::string& path);

// Of either kind.

void ring_bell(const detail::Fd& bell) noexcept;
/// Takes all rings so far. \returns whether there were any
bool silence_bell(const detail::Fd& bell) noexcept;

}  // namespace tandem::os
