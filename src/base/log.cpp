#include "tandem/log.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "base/process_name.hpp"
#include "tandem/detail/log.hpp"

namespace tandem {
namespace detail {
namespace {

constexpr std::array<std::string_view, 4> kLevelNames{"debug", "info", "warning", "error"};
constexpr int kSilent = kLevelNames.size();
constexpr int kAskEnvironment = -1;

// All constant-initialised: logging works in other files' initialisers and after main.
constinit std::atomic<int> stderr_level{kAskEnvironment};
constinit std::atomic<LogHandler> handler{nullptr};

// A line that fits into a pipe's atomic write, PIPE_BUF. Cut at the end, never allocated.
class Line {
 public:
  void add(std::string_view text) noexcept {
    const std::size_t n = std::min(text.size(), kMost - size_);
    // One message, one line: what an exception says may have several.
    std::replace_copy(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(n),
                      bytes_.begin() + static_cast<std::ptrdiff_t>(size_), '\n', ' ');
    size_ += n;
    if (n < text.size()) std::memcpy(bytes_.data() + kMost - 3, "...", 3);
  }
  void add(int number) noexcept {
    std::array<char, 16> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    add(std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
  }
  [[nodiscard]] std::string_view text() const noexcept { return {bytes_.data(), size_}; }

  void write_to_stderr() noexcept {
    bytes_[size_] = '\n';
    const char* from = bytes_.data();
    std::size_t left = size_ + 1;
    while (left > 0) {
      const ssize_t written = ::write(STDERR_FILENO, from, left);
      if (written == -1 && errno == EINTR) continue;
      if (written <= 0) return;  // nobody is left to be told
      from += written;
      left -= static_cast<std::size_t>(written);
    }
  }

 private:
  static constexpr std::size_t kMost = 4095;
  std::array<char, kMost + 1> bytes_;
  std::size_t size_ = 0;
};

Line make_line(LogLevel level, std::initializer_list<std::string_view> parts) noexcept {
  Line line;
  line.add("tandem ");
  line.add(kLevelNames[static_cast<std::size_t>(level)]);
  line.add(" ");
  line.add(base::process_name());
  line.add("[");
  line.add(::getpid());
  line.add("]: ");
  for (const std::string_view part : parts) line.add(part);
  return line;
}

int wanted_threshold() noexcept {
  return handler.load() != nullptr ? 0 : std::max(stderr_level.load(), 0);
}

// Looks again after the store: another thread may have changed what it depends on.
void update_threshold() noexcept {
  int threshold = 0;
  do {
    threshold = wanted_threshold();
    log_threshold.store(threshold);
  } while (threshold != wanted_threshold());
}

int level_of_environment() noexcept {
  const char* const wanted = std::getenv("TANDEM_LOG");
  if (wanted == nullptr || *wanted == '\0') return kSilent;
  const auto found = std::find(kLevelNames.begin(), kLevelNames.end(), std::string_view(wanted));
  if (found != kLevelNames.end()) return static_cast<int>(found - kLevelNames.begin());
  make_line(LogLevel::warning, {"TANDEM_LOG=", wanted, ": expected debug, info, warning or error"})
      .write_to_stderr();
  return kSilent;
}

int current_stderr_level() noexcept {
  int level = stderr_level.load();
  if (level == kAskEnvironment) {
    const int wanted = level_of_environment();
    if (stderr_level.compare_exchange_strong(level, wanted)) {
      level = wanted;
      update_threshold();
    }
  }
  return level;
}

}  // namespace

constinit std::atomic<int> log_threshold{0};

void write_log(LogLevel level, std::initializer_list<std::string_view> parts) noexcept {
  const int saved_errno = errno;
  const bool to_stderr = static_cast<int>(level) >= current_stderr_level();
  const LogHandler receiver = handler.load();
  if (to_stderr || receiver != nullptr) {
    Line line = make_line(level, parts);
    if (receiver != nullptr) receiver(level, line.text());
    if (to_stderr) line.write_to_stderr();
  }
  errno = saved_errno;
}

std::optional<LogLevel> stderr_log_level() noexcept {
  const int level = current_stderr_level();
  if (level == kSilent) return std::nullopt;
  return static_cast<LogLevel>(level);
}

}  // namespace detail

void log_to_stderr(LogLevel level) {
  detail::stderr_level.store(static_cast<int>(level));
  detail::update_threshold();
}

void set_log_handler(LogHandler handler) {
  detail::handler.store(handler);
  detail::update_threshold();
}

}  // namespace tandem
