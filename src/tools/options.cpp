#include "tools/options.hpp"

#include <charconv>
#include <system_error>

#include "base/text.hpp"

namespace tandem::tools {
namespace {

constexpr double kLongestInterval = 3600;

template <class T>
std::optional<T> parse(std::string_view text) {
  T parsed{};
  const char* const end = text.data() + text.size();
  if (std::from_chars(text.data(), end, parsed) != std::from_chars_result{end, std::errc()}) {
    return std::nullopt;
  }
  return parsed;
}

}  // namespace

const std::string_view kUsage =
    "usage: tandem ps [--json] [--interval SECONDS] [PID...]\n"
    "       tandem top [--interval SECONDS] [PID...]\n"
    "       tandem --help | --version\n"
    "\n"
    "Shows the queues, pipes, locks and other objects in shared memory of this user's\n"
    "processes: how full they are, who holds which lock, who waits for what, and the\n"
    "workers of pools and the clients of managers. It only reads.\n"
    "\n"
    "  ps                  once\n"
    "  top                 again every second, until Ctrl-C or the end of the input\n"
    "  PID...              only what these processes and their children have to do with\n"
    "  --interval SECONDS  rates over that time instead of totals; of top: how often\n"
    "  --json              for programs\n";

std::optional<Options> parse_options(std::span<const char* const> arguments, std::string& problem) {
  Options options;
  if (arguments.empty()) {
    problem = "a command is missing";
    return std::nullopt;
  }
  const std::string_view command = arguments[0];
  if (command == "--help" || command == "-h" || command == "help") {
    options.command = Command::help;
  } else if (command == "--version") {
    options.command = Command::version;
  } else if (command == "ps") {
    options.command = Command::ps;
  } else if (command == "top") {
    options.command = Command::top;
  } else {
    problem = detail::concat("there is no command \"", command, "\"");
    return std::nullopt;
  }
  const bool looks = options.command == Command::ps || options.command == Command::top;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (looks && (argument == "--help" || argument == "-h")) {
      options.command = Command::help;
      return options;
    }
    if (options.command == Command::ps && argument == "--json") {
      options.json = true;
    } else if (looks && argument == "--interval") {
      const auto seconds =
          ++i < arguments.size() ? parse<double>(arguments[i]) : std::optional<double>();
      if (!seconds || !(*seconds > 0 && *seconds <= kLongestInterval)) {
        problem = "--interval wants a number of seconds, more than 0 and at most 3600";
        return std::nullopt;
      }
      options.interval = seconds;
    } else if (const auto pid = parse<int>(argument); looks && pid && *pid > 0) {
      options.pids.insert(*pid);
    } else {
      problem = detail::concat("unexpected argument \"", argument, "\"");
      return std::nullopt;
    }
  }
  return options;
}

}  // namespace tandem::tools
