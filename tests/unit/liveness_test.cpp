#include "os/liveness.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "support/forked.hpp"

namespace tandem::os {
namespace {

TEST(LivenessTest, WhoeverRunsIsAlive) {
  EXPECT_TRUE(Task::mine().alive());
  EXPECT_TRUE(Task::of_process().alive());
  EXPECT_TRUE(birth_of(::getppid()));
  EXPECT_FALSE(Task().alive());
}

// The kernel lets a thread be joined before it takes it off its list.
TEST(LivenessTest, AThreadThatWasJoinedIsNotAlive) {
  for (int i = 0; i < 5'000; ++i) {
    Task task;
    std::thread([&] { task = Task::mine(); }).join();
    ASSERT_FALSE(task.alive()) << "after " << i;
  }
}

TEST(LivenessTest, AZombieIsNotAlive) {
  test::Forked child([] { return 0; });
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(birth_of(child.pid()));
  EXPECT_EQ(child.wait(), 0);
}

}  // namespace
}  // namespace tandem::os
