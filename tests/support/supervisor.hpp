// The watchdog. A test program runs as a child of a supervisor, which is the same program: a thread
// inside the tested process would disturb what is tested (fork, counts of threads), and could not
// see more than itself.
//
// The supervisor kills a test that takes longer than its limit, after printing where every thread
// of every process below it waits. Orphans of the test come to the supervisor, so none gets away.
#pragma once

#include <chrono>
#include <string_view>

namespace tandem::test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAsan = true;
#else
inline constexpr bool kAsan = false;
#endif
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kTsan = true;
#else
inline constexpr bool kTsan = false;
#endif

/// How much longer things take under a sanitizer.
inline constexpr int kSlowdown = kAsan || kTsan ? 5 : 1;

/// Whether tests that have a quick form are to run in the full one: TANDEM_FULL=1.
bool full_form();

/// Limit of one test: TANDEM_TEST_TIMEOUT seconds, else 60 x kSlowdown. 0: no supervisor, for
/// debuggers.
std::chrono::seconds test_limit();

/// How long what a test left running may take to end: TANDEM_TEST_GRACE milliseconds, else 2 s x
/// kSlowdown.
std::chrono::milliseconds leak_grace();

/// First statement of main(), before tandem::init. Returns in the process that is to run the tests
/// (and in every other process that descends from it); the supervisor itself never returns.
void supervise(int argc, char** argv);

/// Tells the supervisor that `what` starts now and has the limit for itself. Nothing without
/// supervisor.
void begin_watch(std::string_view what);

/// Is this process the direct child of a supervisor?
bool supervised();

}  // namespace tandem::test
