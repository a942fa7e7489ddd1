// Calls that wait in a manager's server: beside others, and when somebody dies.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/error.hpp"
#include "tandem/manager.hpp"
#include "tandem/process.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

using ManagerWaitingTest = test::StartMethodTest;
TANDEM_OVER_START_METHODS(ManagerWaitingTest);

/// Looks until it is so; the watchdog is the limit.
template <class Condition>
void await(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

// --- one process, many threads ---

TEST_P(ManagerWaitingTest, AThreadThatWaitsHoldsUpNoOther) {
  Manager manager;
  constexpr int kThreads = 12;
  auto queue = manager.queue<int>();
  auto results = manager.queue<int>();
  auto dict = manager.dict<int, int>();
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back([&] { results.put(2 * queue.get()); });
  for (int i = 0; i < 100; ++i) dict.set(i, i);
  EXPECT_EQ(dict.size(), 100u);
  for (int i = 0; i < kThreads; ++i) queue.put(i);
  int sum = 0;
  for (int i = 0; i < kThreads; ++i) sum += results.get();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, kThreads * (kThreads - 1));
  EXPECT_EQ(manager.statistics().connections, 1u);
}

TEST_P(ManagerWaitingTest, AReferenceGoesWhileAllOthersWait) {
  Manager manager;
  auto queue = manager.queue<int>();
  std::optional list = manager.list<int>();
  std::thread waiter([&] { static_cast<void>(queue.get()); });
  list.reset();
  await([&] { return manager.statistics().objects == 1; });
  queue.put(1);
  waiter.join();
}

TEST_P(ManagerWaitingTest, ItemsAreNotGivenToThoseWhoGaveUp) {
  Manager manager;
  auto queue = manager.queue<int>();
  for (int i = 0; i < 20; ++i) {
    std::optional<int> early;
    std::thread waiter([&] { early = queue.get_for(1ms); });
    queue.put(i);
    waiter.join();
    if (!early) early = queue.try_get();
    EXPECT_EQ(early, i);
  }
}

TEST_P(ManagerWaitingTest, OverTcpToo) {
  Manager manager(ManagerOptions{.address = Address("tcp:127.0.0.1:0"), .authkey = AuthKey("k")});
  Process elsewhere(
      [](const Address& address) {
        Manager joined = Manager::connect(address, AuthKey("k"));
        auto requests = joined.queue<int>(0, "requests");
        auto replies = joined.queue<int>(0, "replies");
        std::thread other([&] { replies.put(requests.get() + 1); });
        replies.put(requests.get() + 1);
        other.join();
        auto lock = joined.lock("lock");
        std::scoped_lock guard(lock);
      },
      manager.address());
  elsewhere.start();
  auto requests = manager.queue<int>(0, "requests");
  auto replies = manager.queue<int>(0, "replies");
  requests.put(1);
  requests.put(1);
  EXPECT_EQ(replies.get(), 2);
  EXPECT_EQ(replies.get(), 2);
  elsewhere.join();
  EXPECT_EQ(elsewhere.exitcode(), 0);
}

TEST_P(ManagerWaitingTest, AChildBegunWhileAThreadWaits) {
  Manager manager;
  auto queue = manager.queue<int>();
  auto lock = manager.lock();
  const std::scoped_lock held(lock);
  std::thread waiter([&] { EXPECT_EQ(queue.get(), 7); });
  Process child(
      [](const QueueProxy<int>& q, const LockProxy& l) {
        if (l.try_lock()) std::exit(1);  // its parent holds it
        q.put(7);
      },
      queue, lock);
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
  waiter.join();
}

// --- death of a client ---

TEST_P(ManagerWaitingTest, AClientKilledInGetTakesNothing) {
  Manager manager;
  auto queue = manager.queue<int>();
  auto ready = manager.event();
  Process child(
      [](const QueueProxy<int>& q, const EventProxy& e) {
        e.set();
        static_cast<void>(q.get());
      },
      queue, ready);
  child.start();
  ready.wait();
  child.kill();
  child.join();
  await([&] { return manager.statistics().connections == 1; });
  queue.put(5);
  EXPECT_EQ(queue.get(), 5);
}

TEST_P(ManagerWaitingTest, AClientKilledWithALock) {
  Manager manager;
  auto lock = manager.lock();
  auto changed = manager.condition();
  auto held = manager.event();
  auto waiting = manager.value<int>(0);
  // One that waits for the condition, and one for the lock, when the holder dies.
  std::thread at_condition([&] {
    std::unique_lock guard(lock);
    waiting.store(1);
    EXPECT_THROW(changed.wait(guard), OwnerDied);
    EXPECT_FALSE(guard.owns_lock());
  });
  await([&] { return waiting.load() == 1; });
  Process child(
      [](const LockProxy& l, const EventProxy& e) {
        l.lock();
        e.set();
        ::pause();
      },
      lock, held);
  child.start();
  held.wait();
  std::thread at_lock([&] { EXPECT_THROW(lock.lock(), OwnerDied); });
  child.kill();
  child.join();
  at_condition.join();
  at_lock.join();
  EXPECT_THROW(static_cast<void>(lock.try_lock()), OwnerDied);
  try {
    lock.lock();
    ADD_FAILURE();
  } catch (const OwnerDied& error) {
    EXPECT_NE(std::string(error.what()).find(std::to_string(child.pid())), std::string::npos)
        << error.what();
  }
  EXPECT_TRUE(lock.recover());
  EXPECT_FALSE(lock.recover());
  lock.unlock();
  lock.lock();
  lock.unlock();
}

TEST_P(ManagerWaitingTest, AClientKilledInACondition) {
  Manager manager;
  auto lock = manager.lock();
  auto changed = manager.condition();
  auto waiting = manager.value<int>(0);
  Process child(
      [](LockProxy l, const ConditionProxy& c, const ValueProxy<int>& w) {
        std::unique_lock guard(l);
        w.fetch_add(1);
        c.wait(guard);
      },
      lock, changed, waiting);
  child.start();
  const auto all_wait = [&](int n) {
    await([&] {
      const std::scoped_lock guard(lock);
      return waiting.load() == n;
    });
  };
  all_wait(1);
  std::thread survivor([&] {
    std::unique_lock guard(lock);
    waiting.fetch_add(1);
    changed.wait(guard);
  });
  all_wait(2);
  {
    // The first to be notified is the child, which dies before it can have the lock.
    const std::scoped_lock guard(lock);
    changed.notify_one();
    child.kill();
    child.join();
    await([&] { return manager.statistics().connections == 1; });
  }
  survivor.join();
}

TEST_P(ManagerWaitingTest, AClientKilledInABarrier) {
  Manager manager;
  auto barrier = manager.barrier(3);
  Process child([](const BarrierProxy& b) { b.wait(); }, barrier);
  child.start();
  await([&] { return barrier.waiting() == 1; });
  std::thread other([&] { EXPECT_THROW(barrier.wait(), BrokenBarrier); });
  await([&] { return barrier.waiting() == 2; });
  child.kill();
  other.join();
  child.join();
  EXPECT_TRUE(barrier.broken());
}

TEST_P(ManagerWaitingTest, AClientKilledBetweenGetAndTaskDone) {
  Manager manager;
  auto queue = manager.joinable_queue<int>();
  auto got = manager.event();
  queue.put(1);
  queue.put(2);
  Process child(
      [](const JoinableQueueProxy<int>& q, const EventProxy& e) {
        static_cast<void>(q.get());
        e.set();
        ::pause();
      },
      queue, got);
  child.start();
  got.wait();
  std::thread joiner([&] {
    try {
      queue.join();
      ADD_FAILURE();
    } catch (const OwnerDied& error) {
      EXPECT_NE(std::string(error.what()).find(std::to_string(child.pid())), std::string::npos)
          << error.what();
    }
  });
  child.kill();
  joiner.join();
  child.join();
  EXPECT_EQ(queue.get(), 2);
  queue.task_done();
  queue.join();
}

// --- the end of the server ---

TEST_P(ManagerWaitingTest, TheServersDeathEndsThoseWhoWait) {
  Manager manager;
  auto queue = manager.queue<int>();
  auto event = manager.event();
  auto here = manager.value<int>(0);
  Process child(
      [](const QueueProxy<int>& q, const ValueProxy<int>& v) {
        try {
          v.fetch_add(1);
          static_cast<void>(q.get());
        } catch (const EndOfFile&) {
          std::exit(7);
        }
      },
      queue, here);
  child.start();
  await([&] { return here.load() == 1; });
  std::thread waiter([&] { EXPECT_THROW(event.wait(), EndOfFile); });
  ::kill(manager.pid(), SIGKILL);
  waiter.join();
  child.join();
  EXPECT_EQ(child.exitcode(), 7);
  EXPECT_THROW(static_cast<void>(queue.size()), EndOfFile);
}

TEST_P(ManagerWaitingTest, ShutdownEndsThoseWhoWait) {
  Address address;
  {
    Manager manager;
    address = manager.address();
    auto queue = manager.queue<int>();
    auto lock = manager.lock();
    lock.lock();
    std::thread getter([&] { EXPECT_THROW(static_cast<void>(queue.get()), EndOfFile); });
    std::thread locker([&] { EXPECT_THROW(lock.lock(), EndOfFile); });
    manager.shutdown();
    getter.join();
    locker.join();
  }
  Manager again(ManagerOptions{.address = address});
  EXPECT_EQ(again.value<int>(3).load(), 3);
}

// --- slow functions ---

/// Says that it runs, and returns when it is told: both by files, as in the server there is nothing
/// else.
int wait_for_file(int&, const std::string& mine, const std::string& other) {
  std::ofstream(mine).put('1');
  while (!std::filesystem::exists(other)) std::this_thread::sleep_for(1ms);
  return 1;
}

class Slow {
 public:
  int wait(const std::string& mine, const std::string& other) {
    ++calls_;
    return wait_for_file(calls_, mine, other);
  }
  int calls() const { return calls_; }

 private:
  int calls_ = 0;
};

class Files {
 public:
  Files()
      : directory_(std::filesystem::temp_directory_path() /
                   ("tandem-" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  ~Files() { std::filesystem::remove_all(directory_); }
  std::string operator()(const std::string& name) const { return (directory_ / name).string(); }
  void make(const std::string& name) const { std::ofstream((*this)(name)).put('1'); }

 private:
  std::filesystem::path directory_;
};

TEST_P(ManagerWaitingTest, ASlowApplyHoldsUpOnlyItsObject) {
  Manager manager;
  const Files file;
  auto slow = manager.dict<std::string, int>({{"a", 1}});
  auto other = manager.dict<std::string, int>({{"b", 1}});
  const std::string started = file("started"), go = file("go");
  std::thread caller([&] { EXPECT_EQ(slow.apply("a", wait_for_file, started, go), 1); });
  await([&] { return std::filesystem::exists(started); });
  EXPECT_EQ(other.apply("b", [](int& n) { return ++n; }), 2);
  // This waits for the object; the batch as a whole.
  std::thread same([&] { EXPECT_EQ(slow.at("a"), 1); });
  std::thread batch([&] {
    auto steps = slow.batch();
    steps.set("c", 1);
    const auto a = steps.get("a");
    steps.run();
    EXPECT_EQ(a.get(), 1);
  });
  EXPECT_EQ(other.fetch_add("b", 1), 2);
  file.make("go");
  caller.join();
  same.join();
  batch.join();
}

TEST_P(ManagerWaitingTest, ManySlowCallsAtOnce) {
  Manager manager;
  const Files file;
  std::vector<ObjectProxy<Slow>> objects;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) objects.push_back(manager.create<Slow>());
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const auto& object = objects[static_cast<std::size_t>(i)];
      EXPECT_EQ((object.call<&Slow::wait>(file("started" + std::to_string(i)), file("go"))), 1);
    });
    await([&] { return std::filesystem::exists(file("started" + std::to_string(i))); });
  }
  auto list = manager.list<int>({3, 1, 2});
  list.sort();
  EXPECT_EQ(list.copy(), (std::vector<int>{1, 2, 3}));
  file.make("go");
  for (std::thread& thread : threads) thread.join();
  for (const auto& object : objects) EXPECT_EQ(object.call<&Slow::calls>(), 1);
}

TEST_P(ManagerWaitingTest, ASlowBatchKeepsItsObjects) {
  Manager manager;
  const Files file;
  auto dict = manager.dict<std::string, int>({{"a", 1}});
  const std::string started = file("started"), go = file("go");
  std::thread caller([&] {
    auto steps = dict.batch();
    steps.set("b", 1);
    const auto slow = steps.apply("a", wait_for_file, started, go);
    const auto b = steps.get("b");
    const auto again = steps.apply("b", [](int& n) { return n += 10; });
    steps.run();
    EXPECT_EQ(slow.get(), 1);
    EXPECT_EQ(b.get(), 1);
    EXPECT_EQ(again.get(), 11);
  });
  await([&] { return std::filesystem::exists(started); });
  std::thread between([&] { dict.set("b", 5); });
  EXPECT_EQ(manager.value<int>(1).load(), 1);
  file.make("go");
  caller.join();
  between.join();
  EXPECT_EQ(dict.at("b"), 5);
}

TEST_P(ManagerWaitingTest, AClientKilledInASlowCall) {
  Manager manager;
  const Files file;
  auto object = manager.create<Slow>();
  const std::string started = file("started"), go = file("go");
  Process child([](const ObjectProxy<Slow>& o, const std::string& mine,
                   const std::string& other) { o.call<&Slow::wait>(mine, other); },
                object, started, go);
  child.start();
  await([&] { return std::filesystem::exists(started); });
  child.kill();
  child.join();
  await([&] { return manager.statistics().connections == 1; });
  std::thread next([&] { EXPECT_EQ(object.call<&Slow::calls>(), 1); });
  file.make("go");
  next.join();
}

}  // namespace
}  // namespace tandem
