// Either end of a pipe is killed at random instants: what is received is always whole and in order,
// and then comes the end of file, never a hang.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "tandem/pipe.hpp"
#include "tandem/process.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;

using PipeKillTest = StartMethodTest;
TANDEM_OVER_START_METHODS(PipeKillTest);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kRounds = 30;
#else
constexpr int kRounds = 120;
#endif

using Message = std::vector<std::uint32_t>;

/// Small ones mostly, some of which stream through the ring.
Message message(std::uint32_t number) {
  const std::size_t size = number % 40 == 39 ? 100'000 : number % 30;
  Message words(size + 1, number * 2654435761U);
  words.front() = number;
  return words;
}

void flood(Connection<Message> to) {
  for (std::uint32_t number = 0;; ++number) to.send(message(number));
}

TEST_P(PipeKillTest, AKilledSender) {
  std::mt19937_64 random(seed());
  for (int round = 0; round < kRounds; ++round) {
    auto [mine, theirs] = Pipe<Message>();
    Process child(flood, std::move(theirs));
    child.start();
    for (std::uint32_t number = 0; number < 1 + random() % 200; ++number) {
      ASSERT_EQ(mine.recv(), message(number));
    }
    mine.send({});
    std::uint32_t next = mine.recv().front();
    kill_within(child.pid(), 300us, random);
    try {
      for (;;) ASSERT_EQ(mine.recv(), message(++next));
    } catch (const EndOfFile&) {
    }
    child.join();
    ASSERT_EQ(child.exitcode(), -SIGKILL);
  }
}

void swallow(Connection<Message> from) {
  from.send({});
  for (;;) (void)from.recv();
}

TEST_P(PipeKillTest, AKilledReceiver) {
  std::mt19937_64 random(seed());
  for (int round = 0; round < kRounds; ++round) {
    auto [mine, theirs] = Pipe<Message>();
    Process child(swallow, std::move(theirs));
    child.start();
    (void)mine.recv();
    for (std::uint32_t number = 0; number < random() % 200; ++number) mine.send(message(number));
    kill_within(child.pid(), 300us, random);
    EXPECT_THROW(for (std::uint32_t number = 0;; ++number) mine.send(message(number)), EndOfFile);
    child.join();
  }
}

void both(Connection<Message> peer) {
  for (std::uint32_t number = 0;; ++number) {
    peer.send(message(number));
    if (number % 3 == 0) (void)peer.try_recv();
  }
}

TEST_P(PipeKillTest, KilledWhileBothSend) {
  std::mt19937_64 random(seed());
  for (int round = 0; round < kRounds; ++round) {
    auto [mine, theirs] = Pipe<Message>();
    Process child(both, std::move(theirs));
    child.start();
    ASSERT_EQ(mine.recv(), message(0));
    std::uint32_t next = 0;
    for (std::uint32_t number = 0; number < 100; ++number) {
      mine.send(message(number));
      if (number % 2 == 0) {
        ASSERT_EQ(mine.recv(), message(++next));
      }
    }
    kill_within(child.pid(), 300us, random);
    EXPECT_THROW(for (std::uint32_t number = 0;; ++number) mine.send(message(number)), EndOfFile);
    try {
      for (;;) ASSERT_EQ(mine.recv(), message(++next));
    } catch (const EndOfFile&) {
    }
    child.join();
  }
}

}  // namespace
}  // namespace tandem::test
