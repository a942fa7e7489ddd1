#include "shm/ring.hpp"

#include <string>

#include "tandem/error.hpp"

namespace tandem::shm {

void Ring::throw_corrupt(const char* what) {
  throw DecodeError(std::string("shared ring: ") + what +
                    "; another process has overwritten its memory");
}

}  // namespace tandem::shm
