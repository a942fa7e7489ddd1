// A snapshot as text.
#pragma once

#include <optional>
#include <string>

#include "tools/snapshot.hpp"

namespace tandem::tools {

/// For people. \param rates whether the snapshot has rates, which then take the place of totals
[[nodiscard]] std::string to_text(const Snapshot& snapshot, bool rates);
/// For programs; docs/tool.md says what is in it. \param seconds over which rates were taken
[[nodiscard]] std::string to_json(const Snapshot& snapshot, std::optional<double> seconds);

/// What /proc calls a process; empty when it is gone.
[[nodiscard]] std::string process_name(const Snapshot& snapshot, int pid);

}  // namespace tandem::tools
