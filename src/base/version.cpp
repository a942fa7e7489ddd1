#include "tandem/version.hpp"

namespace tandem {

std::string_view version() noexcept { return kVersion; }

}  // namespace tandem
