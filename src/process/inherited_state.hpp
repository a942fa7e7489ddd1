// What layers pass on to every child that does not inherit this process's memory.
#pragma once

#include "tandem/detail/context.hpp"

namespace tandem::detail {

void save_inherited_state(Encoder& to);
void load_inherited_state(Decoder& from);

}  // namespace tandem::detail
