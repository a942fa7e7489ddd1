// epoll(7): several descriptors as one.
#pragma once

#include <initializer_list>

#include "tandem/detail/fd.hpp"

namespace tandem::os {

/// Close-on-exec; readable while one of `members` is readable or hung up.
[[nodiscard]] detail::Fd make_epoll(std::initializer_list<int> members);

}  // namespace tandem::os
