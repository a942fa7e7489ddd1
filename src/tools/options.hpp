// The command line.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace tandem::tools {

enum class Command { ps, top, help, version };

struct Options {
  Command command = Command::ps;
  bool json = false;
  std::optional<double> interval;  // seconds
  std::set<int> pids;              // empty: all
};

extern const std::string_view kUsage;

/// \param arguments without the program's name
/// \param problem what is wrong with them when nothing is returned
[[nodiscard]] std::optional<Options> parse_options(std::span<const char* const> arguments,
                                                   std::string& problem);

}  // namespace tandem::tools
