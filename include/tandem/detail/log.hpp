/// \file
/// Writing to the log.
///
///     detail::log(LogLevel::warning, "Pool: worker ", std::to_string(pid), " was replaced");
#pragma once

#include <atomic>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "tandem/detail/export.hpp"
#include "tandem/log.hpp"

namespace tandem::detail {

// Levels below this go nowhere. It starts at the lowest: the first line finds out what the
// environment wants.
TANDEM_EXPORT extern std::atomic<int> log_threshold;

/// Whether a line of this level goes anywhere: one relaxed load where it does not.
[[nodiscard]] inline bool log_enabled(LogLevel level) noexcept {
  return static_cast<int>(level) >= log_threshold.load(std::memory_order_relaxed);
}

TANDEM_EXPORT void write_log(LogLevel level,
                             std::initializer_list<std::string_view> parts) noexcept;

/// Writes one line made of the parts, which are only put together if it goes anywhere. Allocates
/// nothing.
template <class... Parts>
void log(LogLevel level, const Parts&... parts) noexcept {
  if (log_enabled(level)) write_log(level, {std::string_view(parts)...});
}

/// What `log_to_stderr` or the environment set, for children to inherit.
[[nodiscard]] TANDEM_EXPORT std::optional<LogLevel> stderr_log_level() noexcept;

}  // namespace tandem::detail
