#include "tandem/detail/typed_memory.hpp"

#include <cerrno>
#include <cstring>
#include <string>

#include "base/text.hpp"
#include "os/check.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

SharedMemory make_typed_memory(const TypedHeader& header, std::size_t room_for_each) {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(header.count, room_for_each, &bytes) ||
      __builtin_add_overflow(bytes, TypedHeader::kOffset, &bytes)) {
    os::throw_error(ENOMEM, concat("make shared memory for ", std::to_string(header.count),
                                   " elements of ", std::to_string(room_for_each), " bytes"));
  }
  SharedMemory memory(bytes);
  std::memcpy(memory.data(), &header, sizeof header);
  return memory;
}

std::size_t check_typed_memory(const SharedMemory& memory, const TypedHeader& wanted,
                               std::size_t room_for_each, std::string_view what) {
  TypedHeader found{};
  if (memory.size() < TypedHeader::kOffset) {
    throw DecodeError(concat("adopt ", what, ": the shared memory is too small"));
  }
  std::memcpy(&found, memory.data(), sizeof found);
  if (found.magic != wanted.magic || found.holder != wanted.holder || found.type != wanted.type ||
      found.size != wanted.size) {
    throw DecodeError(concat("adopt ", what, ": the shared memory holds something else"));
  }
  if (found.count > (memory.size() - TypedHeader::kOffset) / room_for_each) {
    throw DecodeError(concat("adopt ", what, ": the shared memory is too small"));
  }
  return static_cast<std::size_t>(found.count);
}

}  // namespace tandem::detail
