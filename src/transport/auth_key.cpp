#include "tandem/auth_key.hpp"

#include <cstdint>
#include <cstring>

#include "os/random.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/error.hpp"
#include "transport/same_bytes.hpp"

namespace tandem {

AuthKey AuthKey::random() {
  AuthKey key;
  key.bytes_.resize(32);
  os::fill_random(key.bytes_);
  return key;
}

AuthKey::~AuthKey() {
  // Not memset, which the compiler drops: nobody reads these bytes again.
  if (!bytes_.empty()) ::explicit_bzero(bytes_.data(), bytes_.size());
}

bool AuthKey::operator==(const AuthKey& other) const noexcept {
  return transport::same_bytes(bytes_, other.bytes_);
}

void AuthKey::save(detail::Encoder& to) const {
  if (to.route() == detail::Route::socket) {
    throw NotSendable("AuthKey: a network would carry it in the clear");
  }
  to.write_size(bytes_.size());
  to.write(bytes_.data(), bytes_.size());
}

AuthKey AuthKey::detail_decode(detail::Decoder& from) { return from.take(from.read_size(1)); }

}  // namespace tandem
