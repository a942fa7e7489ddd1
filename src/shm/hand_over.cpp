#include "shm/hand_over.hpp"

#include <cstdint>

#include "base/text.hpp"
#include "tandem/error.hpp"

namespace tandem::shm {

void hand_over(detail::Encoder& to, const detail::Fd& fd, std::string_view what) {
  if (to.route() != detail::Route::process && to.route() != detail::Route::connection) {
    throw NotSendable(detail::concat(what,
                                     " can be an argument of a process or be sent over a "
                                     "connection of this machine, not through a queue, a manager "
                                     "or a network"));
  }
  to.write_raw(to.attach(fd.duplicate()));
}

detail::Fd take_over(detail::Decoder& from) {
  return from.take_descriptor(from.read_raw<std::uint32_t>());
}

}  // namespace tandem::shm
