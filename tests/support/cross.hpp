// A value through the archive and back, with its descriptors, as if it had gone to another process.
#pragma once

#include <vector>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/buffer.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::test {

template <class From, class To = From>
To cross(const From& value, detail::Route route) {
  detail::Buffer bytes;
  std::vector<detail::Fd> descriptors;
  detail::Encoder to(bytes, route, &descriptors);
  detail::encode(to, value);
  detail::Decoder from(bytes.bytes(), route, &descriptors);
  To result = detail::decode<To>(from);
  from.expect_end();
  return result;
}

}  // namespace tandem::test
