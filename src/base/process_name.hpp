// The name of this process, as messages and log lines show it. Down here so that every layer may
// read it; the process layer sets it.
#pragma once

#include <string>

namespace tandem::base {

/// "MainProcess" until it is set. Any thread, at any time from before main to after it; the
/// reference stays valid for ever.
[[nodiscard]] const std::string& process_name();
/// Once per process, when a child learns its name. The old name is kept, for those who still read
/// it.
void set_process_name(std::string name);

}  // namespace tandem::base
