/// \file
/// How a pool tells a person how far a call is.
///
///     pool.with({.progress = {.enabled = true, .label = "resize"}}).map(resize, files);
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "tandem/detail/deadline.hpp"

namespace tandem {

/// How far a call is.
struct ProgressReport {
  std::size_t done = 0;                   ///< tasks with an outcome, `failed` included
  std::size_t failed = 0;                 ///< tasks that ended with an error
  std::optional<std::size_t> total = {};  ///< nothing: not known yet
  duration elapsed = {};                  ///< since the call was made
  bool finished = false;                  ///< whether this is the last report
};

/// Progress goes to standard error: on a terminal one line that is redrawn, elsewhere a plain line
/// now and then and one at the end.
///
///     resize  640/1000  64%  212/s  ETA 0:02  3 failed
///
/// Where neither the input nor `total` knows how many elements there are, share and ETA are left out.
struct ProgressOptions {
  /// Whether there is any.
  bool enabled = false;
  /// What the line begins with.
  std::string label = {};
  /// How many elements there will be, for an input that does not know its length; nothing: not known
  /// yet. Asked before a line is written, until it is known, by whichever thread of the pool's program
  /// takes in the results. Must not call the pool.
  std::function<std::optional<std::size_t>()> total = {};
  /// Told instead of a line being written: ten times a second at most, and at the end. By whichever
  /// thread takes in the results, while it does nothing else; must not call the pool. What it throws
  /// is logged.
  std::function<void(const ProgressReport&)> callback = {};
};

}  // namespace tandem
