// The program `tandem`: what the processes of this user are doing with the library. docs/tool.md.
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.hpp"
#include "tandem/version.hpp"
#include "tools/options.hpp"
#include "tools/print.hpp"
#include "tools/scan.hpp"
#include "tools/text.hpp"

namespace tandem::tools {
namespace {

using detail::concat;

enum Exit { kDone = 0, kFailed = 1, kUsageError = 2 };

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written == -1 && errno == EINTR) continue;
    if (written == -1 && errno == EAGAIN) {  // somebody made the terminal non-blocking
      pollfd one{fd, POLLOUT, 0};
      ::poll(&one, 1, -1);
      continue;
    }
    if (written == -1) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

void complain(std::string_view what) { write_all(STDERR_FILENO, concat("tandem: ", what, "\n")); }

/// \returns how the program ends when it could not be written: a reader that has seen enough is
/// no failure
std::optional<Exit> show(std::string_view text) {
  if (write_all(STDOUT_FILENO, text)) return std::nullopt;
  if (errno == EPIPE) return kDone;
  complain(concat("standard output: ", std::strerror(errno)));
  return kFailed;
}

/// \returns whether there was anything to look at
bool take_what_was_asked_for(Snapshot& snapshot, const Options& options) {
  if (options.pids.empty()) {
    if (snapshot.processes_read != 0) return true;
    complain("none of this user's processes can be looked into (is /proc mounted?)");
    return false;
  }
  const std::vector<int> missing = keep_only(snapshot, options.pids);
  for (const int pid : missing) {
    complain(concat("process ", std::to_string(pid), " does not exist or cannot be looked into"));
  }
  return missing.size() < options.pids.size();
}

void sleep_for(double seconds) {
  double whole = 0;
  const double part = std::modf(seconds, &whole);
  timespec left{static_cast<time_t>(whole), static_cast<long>(part * 1e9)};
  while (::nanosleep(&left, &left) == -1 && errno == EINTR) {
  }
}

Exit ps(const Options& options) {
  std::optional<Snapshot> before;
  if (options.interval) {
    before = scan();
    sleep_for(*options.interval);
  }
  Snapshot now = scan();
  std::optional<double> seconds;
  if (before) {
    set_rates(now, *before);
    seconds = std::chrono::duration<double>(now.time - before->time).count();
  }
  if (!take_what_was_asked_for(now, options)) return kFailed;
  return show(options.json ? to_json(now, seconds) : to_text(now, before.has_value()))
      .value_or(kDone);
}

volatile std::sig_atomic_t stopped = 0;

/// As much as the terminal shows, each line cut where it ends.
std::string fit_screen(std::string_view text) {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 2 || size.ws_col == 0) {
    return std::string(text);
  }
  std::string result;
  for (int row = 1; row < size.ws_row && !text.empty(); ++row) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    std::size_t bytes = 0;
    for (int column = 0; column < size.ws_col && bytes < line.size(); ++column) {
      bytes += std::max<std::size_t>(1, utf8_size(line.substr(bytes)));
    }
    result.append(line.substr(0, bytes)).append("\n");
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

/// Waits until it is time, a signal, or the end of the input. \returns whether to go on
bool wait_for_turn(double seconds, const sigset_t& unblocked) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (stopped == 0) {
    const std::chrono::duration<double> left = end - std::chrono::steady_clock::now();
    if (left.count() <= 0) return true;
    double whole = 0;
    const double part = std::modf(left.count(), &whole);
    const timespec timeout{static_cast<time_t>(whole), static_cast<long>(part * 1e9)};
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::ppoll(&input, 1, &timeout, &unblocked) <= 0) continue;
    char typed[256];
    if (::read(STDIN_FILENO, typed, sizeof typed) <= 0) return false;
  }
  return false;
}

Exit top(const Options& options) {
  // Blocked but while it waits: a signal is never missed between a look and the sleep.
  sigset_t blocked;
  sigset_t unblocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGINT);
  ::sigaddset(&blocked, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &blocked, &unblocked);
  struct sigaction action {};
  action.sa_handler = [](int) { stopped = 1; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);

  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  std::optional<Snapshot> before;
  do {
    Snapshot now = scan();
    Snapshot shown = now;
    if (before) set_rates(shown, *before);
    if (!take_what_was_asked_for(shown, options)) return kFailed;
    const std::string text = to_text(shown, before.has_value());
    constexpr std::string_view kClear = "\033[H\033[2J";
    const auto end = show(terminal ? concat(kClear, fit_screen(text)) : text + '\n');
    if (end) return *end;
    before = std::move(now);
  } while (wait_for_turn(options.interval.value_or(1), unblocked));
  return kDone;
}

Exit run(std::span<const char* const> arguments) {
  ::signal(SIGPIPE, SIG_IGN);
  std::string problem;
  const auto options = parse_options(arguments, problem);
  if (!options) {
    complain(concat(problem, "\n", kUsage.substr(0, kUsage.find("\n\n"))));
    return kUsageError;
  }
  switch (options->command) {
    case Command::help:
      return show(kUsage).value_or(kDone);
    case Command::version:
      return show(concat("tandem ", kVersion, "\n")).value_or(kDone);
    case Command::ps:
      return ps(*options);
    case Command::top:
      return top(*options);
  }
  return kUsageError;
}

}  // namespace
}  // namespace tandem::tools

int main(int argc, char** argv) {
  const std::vector<const char*> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  return tandem::tools::run(arguments);
}
