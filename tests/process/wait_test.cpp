#include "tandem/wait.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "os/event_fd.hpp"
#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/pipe.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

using WaitProcessTest = StartMethodTest;
TANDEM_OVER_START_METHODS(WaitProcessTest);

void end_after_a_byte(Reader<int> go) { (void)go.recv(); }

TEST_P(WaitProcessTest, SeesTheEndOfAProcess) {
  auto [go_read, go] = OneWayPipe<int>();
  Process child(end_after_a_byte, std::move(go_read));
  child.start();
  auto [near, far] = Pipe<int>();
  EXPECT_THAT(wait_any({child, near}, 1ms), IsEmpty());
  go.send(1);
  EXPECT_THAT(wait_any({child, near}), ElementsAre(0));
  child.join();
}

void hold(Connection<int> held) { (void)held.recv(); }

TEST_P(WaitProcessTest, ADeathIsReadyOnTheConnectionToo) {
  auto [mine, theirs] = Pipe<int>();
  Process child(hold, std::move(theirs));
  child.start();
  std::jthread killer([&] {
    std::this_thread::sleep_for(2ms);
    child.kill();
  });
  for (bool seen = false; !seen;) {
    for (const std::size_t i : wait_any({mine})) seen = i == 0;
  }
  EXPECT_THROW((void)mine.recv(), EndOfFile);
  killer.join();
  child.join();
  EXPECT_THAT(wait_any({mine, child}), ElementsAre(0, 1));
}

void send_at_random(std::vector<Writer<int>> writers, int messages, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < messages; ++i) {
    writers[random() % writers.size()].send(i);
    // Sometimes longer than anybody spins, so that both kinds of wait are met.
    if (random() % 50 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
  }
}

TEST_P(WaitProcessTest, MissesNoMessageOfManyConnections) {
  constexpr int kMessages = 20000;
  std::vector<Reader<int>> readers;
  std::vector<Writer<int>> writers;
  for (int i = 0; i < 10; ++i) {
    OneWayPipe<int> pipe;
    readers.push_back(std::move(pipe.first));
    writers.push_back(std::move(pipe.second));
  }
  Process child(send_at_random, std::move(writers), kMessages, seed());
  child.start();
  std::vector<bool> ended(readers.size());
  int received = 0;
  for (;;) {
    std::vector<Waitable> open;
    std::vector<std::size_t> which;
    for (std::size_t i = 0; i < readers.size(); ++i) {
      if (ended[i]) continue;
      open.push_back(readers[i]);
      which.push_back(i);
    }
    if (open.empty()) break;
    const auto ready = wait_any(open);
    ASSERT_FALSE(ready.empty());
    for (const std::size_t i : ready) {
      try {
        (void)readers[which[i]].recv();
        ++received;
      } catch (const EndOfFile&) {
        ended[which[i]] = true;
      }
    }
  }
  EXPECT_EQ(received, kMessages);
  child.join();
}

TEST(WaitTest, ReportsAllThatAreReadyInOrder) {
  auto [a, a_far] = Pipe<int>();
  auto [b, b_far] = Pipe<int>();
  auto [c, c_far] = Pipe<int>();
  const detail::Fd bell = os::make_event_fd();
  EXPECT_THAT(wait_any({a, b, c, bell.get()}, 0s), IsEmpty());
  c_far.send(1);
  a_far.send(1);
  os::ring_bell(bell);
  EXPECT_THAT(wait_any({a, b, c, bell.get()}), ElementsAre(0, 2, 3));
  b_far.close();
  EXPECT_THAT(wait_any({a, b, c, bell.get()}), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(a.recv(), 1);  // nothing was taken
}

TEST(WaitTest, ACloseIsSeenWhileItSleeps) {
  auto [near, far] = Pipe<int>();
  std::jthread closer([&far_ = far] {
    std::this_thread::sleep_for(2ms);
    far_.close();
  });
  EXPECT_THAT(wait_any({near}), ElementsAre(0));
}

TEST(WaitTest, DuplicatesAreAllowed) {
  auto [near, far] = Pipe<int>();
  const detail::Fd bell = os::make_event_fd();
  const std::vector<Waitable> things{near, bell.get(), near, bell.get()};
  EXPECT_THAT(wait_any(things, 1ms), IsEmpty());
  far.send(1);
  EXPECT_THAT(wait_any(things), ElementsAre(0, 2));
  os::ring_bell(bell);
  EXPECT_THAT(wait_any(things), ElementsAre(0, 1, 2, 3));
}

TEST(WaitTest, GivesUpAtTheTimeout) {
  auto [near, far] = Pipe<int>();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(wait_any({near}, 15ms), IsEmpty());
  EXPECT_GE(std::chrono::steady_clock::now() - start, 15ms);
  EXPECT_THAT(wait_any({near}, -1s), IsEmpty());
  EXPECT_THAT(wait_any({}), IsEmpty());
}

TEST(WaitTest, RefusesWhatIsNotOpen) {
  auto [near, far] = Pipe<int>();
  near.close();
  EXPECT_THROW((void)wait_any({near}, 0s), Closed);
  EXPECT_THROW((void)wait_any({-1}, 0s), SystemError);
  const int closed = os::make_event_fd().get();
  EXPECT_THROW((void)wait_any({closed}, 0s), SystemError);
}

TEST(WaitTest, AConnectionWithADescriptorIsWaitedForToo) {
  auto [near, far] = Pipe<int>();
  (void)near.fd();
  for (int i = 0; i < 1000; ++i) {
    std::jthread sender([&far_ = far, i] { far_.send(i); });
    EXPECT_THAT(wait_any({near, near.fd()}), testing::Contains(0U));
    ASSERT_EQ(near.recv(), i);
    ASSERT_THAT(wait_any({near, near.fd()}, 0s), IsEmpty());
  }
}

void put_at_random(std::vector<Queue<int>> queues, std::vector<Writer<int>> writers, int items,
                   std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < items; ++i) {
    if (random() % 2 == 0) {
      queues[random() % queues.size()].put(i);
    } else {
      writers[random() % writers.size()].send(i);
    }
    if (random() % 50 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
  }
  for (auto& queue : queues) queue.shutdown();
}

TEST_P(WaitProcessTest, MissesNoItemOfQueuesAmongConnections) {
  constexpr int kItems = kTsan || kAsan ? 2'000 : 20'000;
  std::vector<Queue<int>> queues{Queue<int>(4), Queue<int>(), JoinableQueue<int>()};
  std::vector<Reader<int>> readers;
  std::vector<Writer<int>> writers;
  for (int i = 0; i < 2; ++i) {
    OneWayPipe<int> pipe;
    readers.push_back(std::move(pipe.first));
    writers.push_back(std::move(pipe.second));
  }
  Process child(put_at_random, queues, std::move(writers), kItems, seed());
  child.start();
  std::vector<bool> ended(queues.size() + readers.size());
  int received = 0;
  for (;;) {
    std::vector<Waitable> open{child};
    std::vector<std::size_t> which{0};
    for (std::size_t i = 0; i < ended.size(); ++i) {
      if (ended[i]) continue;
      if (i < queues.size()) {
        open.push_back(queues[i]);
      } else {
        open.push_back(readers[i - queues.size()]);
      }
      which.push_back(i);
    }
    if (open.size() == 1) break;
    const auto ready = wait_any(open);
    ASSERT_TRUE(std::is_sorted(ready.begin(), ready.end()));
    for (const std::size_t i : ready) {
      if (i == 0) continue;  // the child has ended; what it left is taken first
      try {
        const std::size_t from = which[i];
        if (from < queues.size()) {
          (void)queues[from].try_get().value();  // nobody else takes
        } else {
          (void)readers[from - queues.size()].recv();
        }
        ++received;
      } catch (const ShutDown&) {
        ended[which[i]] = true;
      } catch (const EndOfFile&) {
        ended[which[i]] = true;
      }
    }
  }
  EXPECT_EQ(received, kItems);
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

void answer_each(Queue<int> in, Queue<int> out) {
  while (!wait_any({in}).empty()) {
    for (;;) {
      const auto item = in.try_get();
      if (!item) break;
      if (*item < 0) return;
      out.put(*item);
    }
  }
}

TEST_P(WaitProcessTest, SeveralMayWaitForOneQueue) {
  constexpr int kItems = 2'000;
  Queue<int> in;
  Queue<int> out;
  std::vector<Process> children;
  for (int i = 0; i < 3; ++i) children.emplace_back(answer_each, in, out);
  for (Process& child : children) child.start();
  long sum = 0;
  for (int i = 0; i < kItems; ++i) {
    in.put(i);
    if (i % 3 == 0) continue;
    ASSERT_FALSE(wait_any({out}).empty());
    sum += out.get();
  }
  for (int i = 0; i * 3 < kItems; ++i) sum += out.get();
  EXPECT_EQ(sum, long{kItems} * (kItems - 1) / 2);
  for (std::size_t i = 0; i < children.size(); ++i) in.put(-1);
  for (Process& child : children) child.join();
}

TEST(WaitTest, QueuesOfEveryKindAmongOtherThings) {
  Queue<int> plain;
  JoinableQueue<int> joinable;
  SimpleQueue<std::string> simple;
  auto [near, far] = Pipe<int>();
  const detail::Fd bell = os::make_event_fd();
  const std::vector<Waitable> things{plain, near, joinable, bell.get(), simple, plain};
  EXPECT_THAT(wait_any(things, 0s), IsEmpty());
  EXPECT_THAT(wait_any(things, 1ms), IsEmpty());
  plain.put(1);
  EXPECT_THAT(wait_any(things), ElementsAre(0, 5));
  simple.put("x");
  far.send(1);
  EXPECT_THAT(wait_any(things), ElementsAre(0, 1, 4, 5));
  EXPECT_EQ(plain.get(), 1);
  EXPECT_THAT(wait_any(things), ElementsAre(1, 4));
  EXPECT_EQ(near.recv(), 1);
  EXPECT_EQ(simple.get(), "x");
  EXPECT_THAT(wait_any(things, 1ms), IsEmpty());
  joinable.shutdown();
  EXPECT_THAT(wait_any(things), ElementsAre(2));
  plain.close();
  EXPECT_THROW((void)wait_any(things, 0s), Closed);
}

TEST(WaitTest, AQueueIsReadyForWhatItsFeederStillHas) {
  Queue<std::string> queue(QueueOptions{.ring_bytes = 4096});
  for (int i = 0; i < 100; ++i) {
    queue.put(std::string(20'000, 'x'));  // streams, so it goes through the feeder
    EXPECT_THAT(wait_any({queue}, 0s), ElementsAre(0));
    EXPECT_EQ(queue.get().size(), 20'000U);
  }
  queue.join_thread();
  EXPECT_THAT(wait_any({queue}, 0s), IsEmpty());
}

TEST(WaitTest, AQueueWithADescriptorIsWaitedForToo) {
  Queue<int> queue;
  const int fd = queue.fd();
  for (int i = 0; i < 500; ++i) {
    std::jthread producer([&queue, i] { queue.put(i); });
    EXPECT_THAT(wait_any({queue, fd}), testing::Not(IsEmpty()));
    ASSERT_EQ(queue.get(), i);
    producer.join();
    ASSERT_THAT(wait_any({queue, fd}, 0s), IsEmpty());
  }
}

void wait_and_hang(Queue<int> queue, Queue<int> ready) {
  ready.put(0);
  (void)wait_any({queue});
}

TEST_P(WaitProcessTest, OneKilledWhileItWaitsForAQueueHoldsUpNobody) {
  Queue<int> queue;
  Queue<int> ready;
  std::mt19937_64 random(seed());
  for (int round = 0; round < 5; ++round) {
    Process victim(wait_and_hang, queue, ready);
    victim.start();
    (void)ready.get();
    kill_within(victim.pid(), 1ms, random);
    victim.join();
    std::jthread producer([&queue, round] { queue.put(round); });
    EXPECT_THAT(wait_any({queue}), ElementsAre(0));
    EXPECT_EQ(queue.get(), round);
    EXPECT_THAT(wait_any({queue}, 0s), IsEmpty());
  }
}

}  // namespace
}  // namespace tandem::test
