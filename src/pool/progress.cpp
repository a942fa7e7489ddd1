#include "pool/progress.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <utility>

#include "os/self.hpp"
#include "os/spin.hpp"
#include "tandem/detail/log.hpp"

namespace tandem::detail {
namespace {

constexpr long long kRedraw_ns = 100'000'000;   // on a terminal, and a callback's
constexpr long long kLine_ns = 10'000'000'000;  // elsewhere

std::string clock_text(double seconds) {
  const auto whole = static_cast<long long>(std::ceil(seconds));
  char text[32];
  if (whole >= 3600) {
    std::snprintf(text, sizeof(text), "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60,
                  whole % 60);
  } else {
    std::snprintf(text, sizeof(text), "%lld:%02lld", whole / 60, whole % 60);
  }
  return text;
}

}  // namespace

Progress::Progress(const ProgressOptions& options, std::optional<std::size_t> total)
    : label_(options.label),
      find_total_(options.total),
      callback_(options.callback),
      total_(total),
      started_ns_(os::SpinBudget::now_ns()),
      told_ns_(started_ns_),
      terminal_(os::stderr_is_terminal()) {}

void Progress::advance(bool failed) {
  ++done_;
  if (failed) ++failed_;
  const long long now = os::SpinBudget::now_ns();
  if (now - told_ns_ >= (terminal_ || callback_ ? kRedraw_ns : kLine_ns)) tell(now, false);
}

void Progress::finish() {
  if (std::exchange(finished_, true)) return;
  tell(os::SpinBudget::now_ns(), true);
}

void Progress::tell(long long now_ns, bool last) {
  told_ns_ = now_ns;
  if (callback_) {
    find_total();
    report(now_ns - started_ns_, last);
  } else {
    write(line(now_ns - started_ns_), last);
  }
}

void Progress::find_total() {
  if (!total_ && find_total_) total_ = find_total_();
}

void Progress::report(long long elapsed_ns, bool last) const noexcept {
  try {
    callback_({.done = done_,
               .failed = failed_,
               .total = total_,
               .elapsed = duration(elapsed_ns),
               .finished = last});
  } catch (const std::exception& error) {
    log(LogLevel::error, "ProgressOptions::callback: ", error.what());
  } catch (...) {
    log(LogLevel::error, "ProgressOptions::callback threw what is no std::exception");
  }
}

std::string Progress::line(long long elapsed_ns) {
  find_total();
  const double seconds = static_cast<double>(elapsed_ns) / 1e9;
  const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
  std::string text = label_.empty() ? std::string() : label_ + "  ";
  char part[64];
  if (total_) {
    const double share =
        *total_ == 0 ? 100 : 100 * static_cast<double>(done_) / static_cast<double>(*total_);
    std::snprintf(part, sizeof(part), "%zu/%zu  %.0f%%", done_, *total_, std::floor(share));
  } else {
    std::snprintf(part, sizeof(part), "%zu", done_);
  }
  text += part;
  std::snprintf(part, sizeof(part), rate < 10 ? "  %.1f/s" : "  %.0f/s", rate);
  text += part;
  if (total_ && done_ < *total_ && rate > 0) {
    text += "  ETA " + clock_text(static_cast<double>(*total_ - done_) / rate);
  }
  if (failed_ != 0) {
    std::snprintf(part, sizeof(part), "  %zu failed", failed_);
    text += part;
  }
  return text;
}

void Progress::write(std::string text, bool last) {
  if (terminal_) {
    // Blanks over what is left of a longer line.
    const std::size_t width = text.size();
    text.append(width_ > width ? width_ - width : 0, ' ');
    width_ = width;
    text.insert(text.begin(), '\r');
    if (last) text += '\n';
  } else {
    text += '\n';
  }
  os::write_to_stderr(text);
}

}  // namespace tandem::detail
