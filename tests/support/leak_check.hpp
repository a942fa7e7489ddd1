// Every test must leave the process as it found it: descriptors, threads, children, orphans, and
// entries of /dev/shm. What ends asynchronously has two seconds for it.
#pragma once

#include <string>

namespace tandem::test {

/// Installs the check around every test of this program.
void install_leak_check();

/// The current test may leave things behind, for this reason.
void allow_leaks(const std::string& reason);

/// A name for a named object that no other test program uses at the same time. The leak check finds
/// what is left under such a name.
std::string unique_name(const std::string& stem);

}  // namespace tandem::test
