// Event among processes, over every way to start them. What a single process can see is in
// tests/unit.
#include "tandem/event.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>

#include "support/start_methods.hpp"
#include "tandem/memory.hpp"
#include "tandem/process.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

using EventProcessTest = test::StartMethodTest;
TANDEM_OVER_START_METHODS(EventProcessTest);

void wait_for_go(Event ready, Event go, SharedMemory memory) {
  ready.set();
  go.wait();
  if (memory.span<int>()[0] != 42) std::exit(1);
}

void echo(Event ask, Event answer, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    ask.wait();
    ask.clear();
    answer.set();
  }
}

void set_and_die(Event event) {
  event.set();
  ::raise(SIGKILL);
}

TEST_P(EventProcessTest, SetReleasesEveryProcessWithWhatWasWrittenBefore) {
  Event first_ready, second_ready, go;
  const SharedMemory memory(sizeof(int));
  Process first(wait_for_go, first_ready, go, memory),
      second(wait_for_go, second_ready, go, memory);
  first.start();
  second.start();
  first_ready.wait();
  second_ready.wait();
  memory.span<int>()[0] = 42;
  go.set();
  first.join();
  second.join();
  EXPECT_EQ(first.exitcode(), 0);
  EXPECT_EQ(second.exitcode(), 0);
}

TEST_P(EventProcessTest, GoesBackAndForth) {
  constexpr int kRounds = 1000;
  Event ask, answer;
  Process child(echo, ask, answer, kRounds);
  child.start();
  for (int i = 0; i < kRounds; ++i) {
    ask.set();
    answer.wait();
    answer.clear();
  }
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
  EXPECT_FALSE(ask.is_set());
}

TEST_P(EventProcessTest, AKilledWaiterHarmsNobody) {
  Event first_ready, second_ready, go;
  const SharedMemory memory(sizeof(int));
  memory.span<int>()[0] = 42;
  Process victim(wait_for_go, first_ready, go, memory),
      survivor(wait_for_go, second_ready, go, memory);
  victim.start();
  survivor.start();
  first_ready.wait();
  second_ready.wait();
  victim.kill();
  victim.join();
  go.set();
  survivor.join();
  EXPECT_EQ(victim.exitcode(), -SIGKILL);
  EXPECT_EQ(survivor.exitcode(), 0);
}

TEST_P(EventProcessTest, StaysSetWhenWhoSetItDies) {
  Event event;
  Process child(set_and_die, event);
  child.start();
  event.wait();
  child.join();
  EXPECT_EQ(child.exitcode(), -SIGKILL);
  EXPECT_TRUE(event.wait_for(0s));
}

}  // namespace
}  // namespace tandem
