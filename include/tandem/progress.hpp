/// \file
/// How a pool tells a person how far a call is.
///
///     pool.with({.progress = {.enabled = true, .label = "resize"}}).map(resize, files);
#pragma once

#include <string>

namespace tandem {

/// Progress goes to standard error: on a terminal one line that is redrawn, elsewhere a plain line
/// now and then and one at the end.
///
///     resize  640/1000  64%  212/s  ETA 0:02  3 failed
///
/// Where the input does not know its length, share and ETA are left out.
struct ProgressOptions {
  bool enabled = false;
  std::string label = {};
};

}  // namespace tandem
