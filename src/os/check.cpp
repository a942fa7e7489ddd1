#include "os/check.hpp"

namespace tandem::os {

void throw_last_error(std::string_view what) { throw_error(errno, what); }

void throw_error(int error, std::string_view what) {
  throw SystemError({error, std::system_category()}, what);
}

}  // namespace tandem::os
