// main() of every test program.

#include <gtest/gtest.h>

#include "support/leak_check.hpp"
#include "support/supervisor.hpp"

#if __has_include("tandem/init.hpp")
#include "tandem/init.hpp"
#endif

int main(int argc, char** argv) {
  tandem::test::supervise(argc, argv);
#if __has_include("tandem/init.hpp")
  tandem::init(argc, argv);
#endif
  testing::InitGoogleTest(&argc, argv);
  tandem::test::install_leak_check();
  return RUN_ALL_TESTS();
}
