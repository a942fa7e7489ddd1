// Connections as arguments: they move to the child, and who else was started holds no copy.

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>

#include "process/descriptor_limit.hpp"
#include "support/start_methods.hpp"
#include "tandem/error.hpp"
#include "tandem/pipe.hpp"
#include "tandem/process.hpp"

namespace tandem::test {
namespace {

using ProcessConnectionTest = StartMethodTest;
TANDEM_OVER_START_METHODS(ProcessConnectionTest);

void echo(Connection<int> connection) {
  try {
    for (;;) connection.send(connection.recv() + 1);
  } catch (const EndOfFile&) {
  }
}

[[noreturn]] void pause_for_ever() {
  for (;;) ::pause();
}

TEST_P(ProcessConnectionTest, MovesToTheChild) {
  auto [mine, theirs] = Pipe<int>();
  Process process(echo, std::move(theirs));
  EXPECT_TRUE(theirs.closed());  // NOLINT(bugprone-use-after-move)
  process.start();
  for (int i = 0; i < 100; ++i) {
    mine.send(i);
    EXPECT_EQ(mine.recv(), i + 1);
  }
  mine.close();
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
}

TEST_P(ProcessConnectionTest, EndsWithTheChildThatHadIt) {
  auto [mine, theirs] = Pipe<int>();
  Process holder(echo, std::move(theirs));
  holder.start();
  Process bystander({.daemon = true}, pause_for_ever);
  bystander.start();
  mine.send(1);
  EXPECT_EQ(mine.recv(), 2);
  holder.kill();
  EXPECT_THROW(static_cast<void>(mine.recv()), EndOfFile);
  EXPECT_TRUE(bystander.is_alive());
}

TEST_P(ProcessConnectionTest, EndsWithTheParentsEndThoughAnotherChildLives) {
  auto [mine, theirs] = Pipe<int>();
  Process holder(echo, std::move(theirs));
  holder.start();
  Process bystander({.daemon = true}, pause_for_ever);
  bystander.start();
  mine.close();
  holder.join();
  EXPECT_EQ(holder.exitcode(), 0);
  EXPECT_TRUE(bystander.is_alive());
}

TEST_P(ProcessConnectionTest, BothEndsCanBeMoved) {
  auto [one, other] = Pipe<int>();
  Process server(echo, std::move(one));
  Process client(
      [](Connection<int> to) {
        to.send(5);
        std::exit(to.recv());
      },
      std::move(other));
  server.start();
  client.start();
  client.join();
  EXPECT_EQ(client.exitcode(), 6);
  server.join();
  EXPECT_EQ(server.exitcode(), 0);
}

TEST_P(ProcessConnectionTest, StaysWhereItIsWhenTheStartFails) {
  {  // what the sanitizer must have met before descriptors run out: descriptor_limit.hpp
    auto [mine, theirs] = Pipe<int>();
    Process process(echo, std::move(theirs));
    process.start();
    mine.send(1);
    EXPECT_EQ(mine.recv(), 2);
    mine.close();
  }
  auto [mine, theirs] = Pipe<int>();
  mine.send(1);
  Process process(echo, std::move(theirs));
  for (int extra = 0; process.pid() == 0; ++extra) {
    const DescriptorLimit limit(extra);
    try {
      process.start();
    } catch (const StartError&) {
    }
  }
  EXPECT_EQ(mine.recv(), 2);
  mine.close();
}

TEST(ProcessForkConnectionTest, ACapturingChildKeepsAll) {
  auto [mine, theirs] = Pipe<int>();
  Process child(start::fork, [&theirs = theirs] { theirs.send(theirs.recv() + 1); });
  child.start();
  theirs.close();
  mine.send(1);
  EXPECT_EQ(mine.recv(), 2);
  // Both holders are gone now.
  EXPECT_THROW(static_cast<void>(mine.recv()), EndOfFile);
}

TEST(ProcessForkConnectionTest, ACapturedConnectionMovesToTheChild) {
  auto [mine, theirs] = Pipe<int>();
  Process child(start::fork,
                [connection = std::move(theirs)]() mutable { echo(std::move(connection)); });
  child.start();
  mine.send(1);
  EXPECT_EQ(mine.recv(), 2);
  child.kill();
  EXPECT_THROW(static_cast<void>(mine.recv()), EndOfFile);
}

TEST(ProcessForkConnectionTest, AnArgumentOfACapturingCallMovesToTheChild) {
  auto [mine, theirs] = Pipe<int>();
  int local = 3;
  Process child(
      start::fork,
      [&local](Connection<int> connection) { connection.send(connection.recv() + local); },
      std::move(theirs));
  child.start();
  mine.send(1);
  EXPECT_EQ(mine.recv(), 4);
  child.join();
  EXPECT_THROW(static_cast<void>(mine.recv()), EndOfFile);
}

}  // namespace
}  // namespace tandem::test
