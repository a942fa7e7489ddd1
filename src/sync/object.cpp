#include "sync/object.hpp"

#include <string>

#include "base/text.hpp"
#include "tandem/error.hpp"

namespace tandem::sync {

void check_header(const Header& header, Kind kind, const char* what) {
  if (header.magic != Header::kMagic || header.kind != kind) {
    throw DecodeError(detail::concat("adopt a ", what, ": the shared memory holds something else"));
  }
  if (header.version != Header::kVersion) {
    throw DecodeError(detail::concat(
        "adopt a ", what, ": it was made by another version of tandem (",
        std::to_string(header.version), ", here ", std::to_string(Header::kVersion), ")"));
  }
}

}  // namespace tandem::sync
