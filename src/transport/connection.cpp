#include "base/text.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/connection_end.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

std::size_t ByteChannel::visit_small(std::size_t, Visitor) { return 0; }

void ConnectionEnd::throw_closed(const char* call) {
  throw Closed(concat("Connection::", call, ": the connection was closed or moved from here"));
}

void ConnectionEnd::save(Encoder& to) const {
  ByteChannel& core = open_core("send as part of a message");
  core.hand_over(to);
  // The end may be moved within this process meanwhile, so its core is what is remembered.
  to.on_success([core = core_] { core->handed_over(); });
}

}  // namespace tandem::detail
