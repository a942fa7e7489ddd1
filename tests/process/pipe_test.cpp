#include "tandem/pipe.hpp"

#include <gtest/gtest.h>

#include "tandem/wait.hpp"
namespace tandem {
TEST(Smoke, Pipe) {
  auto [a, b] = Pipe<int, std::string>();
  a.send(7);
  EXPECT_EQ(b.recv(), 7);
  b.send("x");
  EXPECT_EQ(wait_any({a, b}, std::chrono::milliseconds(1)).size(), 1U);
  EXPECT_EQ(a.recv(), "x");
  auto [p, q] = Pipe<Connection<int, std::string>>();
  p.send(std::move(a));
  EXPECT_TRUE(a.closed());
  auto c = q.recv();
  c.send(4);
  EXPECT_EQ(b.recv(), 4);
}
}
