#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "tandem/queue.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

TEST(JoinableQueueTest, JoinWaitsForTheLastTaskDone) {
  JoinableQueue<int> queue;
  queue.join();  // nothing was put
  for (int i = 0; i < 100; ++i) queue.put(i);
  EXPECT_FALSE(queue.join_for(0s));
  std::thread worker([queue]() mutable {
    for (int i = 0; i < 100; ++i) {
      (void)queue.get();
      queue.task_done();
    }
  });
  queue.join();
  EXPECT_TRUE(queue.empty());
  worker.join();
}

TEST(JoinableQueueTest, OneTaskDoneTooManyIsAnError) {
  JoinableQueue<int> queue;
  EXPECT_THROW(queue.task_done(), Error);
  queue.put(1);
  EXPECT_THROW(queue.task_done(), Error);  // put, but not taken
  (void)queue.get();
  queue.task_done();
  EXPECT_THROW(queue.task_done(), Error);
  queue.join();
}

TEST(JoinableQueueTest, TakenInBatchesAndStreamsToo) {
  JoinableQueue<std::string> queue(QueueOptions{.ring_bytes = 4096});
  const std::vector<std::string> values(40, std::string(300, 'x'));
  queue.put_many(values);
  queue.put(std::string(50'000, 'y'));
  std::size_t taken = 0;
  while (taken < 41) taken += queue.get_many(7).size();
  for (std::size_t i = 0; i < 41; ++i) {
    EXPECT_FALSE(queue.join_for(0s));
    queue.task_done();
  }
  EXPECT_TRUE(queue.join_for(0s));
}

TEST(JoinableQueueTest, AnItemPutBeforeItsParentsTaskDoneCounts) {
  // The ring is full, so that children wait in the buffer when task_done is called.
  JoinableQueue<int> queue(QueueOptions{.ring_bytes = 4096});
  queue.put(0);
  (void)queue.get();
  constexpr int kChildren = 2'000;
  for (int i = 0; i < kChildren; ++i) queue.put(i);
  queue.task_done();
  EXPECT_FALSE(queue.join_for(0s));
  std::thread worker([queue]() mutable {
    for (int i = 0; i < kChildren; ++i) {
      (void)queue.get();
      queue.task_done();
    }
  });
  queue.join();
  worker.join();
}

/// Forks a child that runs `body` and is killed when it has.
template <class Body>
pid_t run_and_kill(Body body) {
  int done[2];
  EXPECT_EQ(::pipe(done), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    (void)!::write(done[1], "x", 1);
    ::pause();
  }
  char byte;
  EXPECT_EQ(::read(done[0], &byte, 1), 1);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(done[0]);
  ::close(done[1]);
  return child;
}

TEST(JoinableQueueTest, JoinNamesTheProcessThatDiedWithItems) {
  JoinableQueue<int> queue;
  for (int i = 0; i < 5; ++i) queue.put(i);
  const pid_t dead = run_and_kill([&] {
    for (int i = 0; i < 3; ++i) (void)queue.get();
    queue.task_done();
  });
  try {
    queue.join();
    ADD_FAILURE() << "two items are unfinished";
  } catch (const OwnerDied& error) {
    EXPECT_NE(std::string(error.what()).find(std::to_string(dead)), std::string::npos)
        << error.what();
    EXPECT_NE(std::string(error.what()).find("2 unfinished"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(queue.join_for(0s));  // told once; two items still wait
  for (int i = 0; i < 2; ++i) {
    (void)queue.get();
    queue.task_done();
  }
  queue.join();
}

TEST(JoinableQueueTest, AChildDoesNotHoldWhatItsParentTook) {
  JoinableQueue<int> queue;
  queue.put(1);
  (void)queue.get();
  (void)run_and_kill([&] { EXPECT_THROW(queue.task_done(), Error); });
  EXPECT_FALSE(queue.join_for(0s));
  queue.task_done();
  queue.join();
}

TEST(JoinableQueueTest, UsedAsAQueueItStillCounts) {
  JoinableQueue<int> queue;
  Queue<int> plain = queue;
  plain.put(1);
  EXPECT_FALSE(queue.join_for(0s));
  EXPECT_EQ(plain.get(), 1);
  queue.task_done();
  queue.join();
}

}  // namespace
}  // namespace tandem
