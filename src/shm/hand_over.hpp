// How the descriptor of a shared object crosses to another process.
#pragma once

#include <string_view>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::shm {

/// \throws NotSendable on a route that descriptors cannot go
void hand_over(detail::Encoder& to, const detail::Fd& fd, std::string_view what);
/// \throws DecodeError when there is none
[[nodiscard]] detail::Fd take_over(detail::Decoder& from);

}  // namespace tandem::shm
