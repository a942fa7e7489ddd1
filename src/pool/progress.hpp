// A call's progress on standard error.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "tandem/progress.hpp"

namespace tandem::detail {

/// Guarded by its owner.
class Progress {
 public:
  Progress(const ProgressOptions& options, std::optional<std::size_t> total);

  /// One more task has ended. Writes when the last writing is long enough ago.
  void advance(bool failed);
  /// The call has ended: the last line.
  void finish();

  /// The text for a moment, without line ends.
  [[nodiscard]] std::string line(long long elapsed_ns);

 private:
  void tell(long long now_ns, bool last);
  void report(long long elapsed_ns, bool last) const noexcept;
  void write(std::string text, bool last);
  void find_total();

  std::string label_;
  std::function<std::optional<std::size_t>()> find_total_;
  std::function<void(const ProgressReport&)> callback_;
  std::optional<std::size_t> total_;
  std::size_t done_ = 0;
  std::size_t failed_ = 0;
  long long started_ns_;
  long long told_ns_;
  std::size_t width_ = 0;  // of the line on the terminal
  bool terminal_;
  bool finished_ = false;
};

}  // namespace tandem::detail
