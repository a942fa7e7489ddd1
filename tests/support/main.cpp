// main() of every test program.

#include <gtest/gtest.h>

#include "support/leak_check.hpp"
#include "support/supervisor.hpp"
#include "tandem/init.hpp"

#if defined(__SANITIZE_THREAD__)
// A child forked from a process with threads may start threads of its own: not without risk under
// ThreadSanitizer, but here it is the rule.
extern "C" const char* __tsan_default_options() {
  return "die_after_fork=0:second_deadlock_stack=1";
}
#endif

int main(int argc, char** argv) {
  tandem::test::supervise(argc, argv);
  tandem::init(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  tandem::test::install_leak_check();
  return RUN_ALL_TESTS();
}
