// main() of every test program.

#include <gtest/gtest.h>

#if __has_include("tandem/init.hpp")
#include "tandem/init.hpp"
#endif

int main(int argc, char** argv) {
#if __has_include("tandem/init.hpp")
  tandem::init(argc, argv);
#endif
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
