// What a manager's proxies do, each from this process and from others.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/error.hpp"
#include "tandem/manager.hpp"
#include "tandem/process.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

using ManagerProxiesTest = test::StartMethodTest;
TANDEM_OVER_START_METHODS(ManagerProxiesTest);

void run(Process child) {
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

// --- value, array, namespace ---

TEST_P(ManagerProxiesTest, Value) {
  Manager manager;
  auto value = manager.value<std::int64_t>(5);
  EXPECT_EQ(value.load(), 5);
  value.store(6);
  EXPECT_EQ(value.exchange(7), 6);
  EXPECT_EQ(value.fetch_add(3), 7);
  EXPECT_FALSE(value.compare_exchange(7, 1));
  EXPECT_TRUE(value.compare_exchange(10, 1));
  EXPECT_EQ(value.apply([](std::int64_t& n, std::int64_t by) { return n += by; }, 4), 5);
  EXPECT_EQ(manager.value<std::string>("text").load(), "text");
  EXPECT_EQ(manager.value<int>().load(), 0);

  auto count = manager.value<int>(0);
  std::vector<Process> children;
  for (int i = 0; i < 4; ++i) {
    children.emplace_back(
        [](const ValueProxy<int>& v) {
          for (int j = 0; j < 200; ++j) v.fetch_add(1);
        },
        count);
  }
  for (Process& child : children) child.start();
  for (Process& child : children) child.join();
  EXPECT_EQ(count.load(), 800);
}

TEST_P(ManagerProxiesTest, Array) {
  Manager manager;
  auto array = manager.array<int>(3);
  EXPECT_EQ(array.copy(), (std::vector<int>{0, 0, 0}));
  run(Process([](const ArrayProxy<int>& a) { a[1] = 5; }, array));
  EXPECT_EQ(static_cast<int>(array[1]), 5);
  EXPECT_EQ(array.fetch_add(1, 2), 5);
  EXPECT_TRUE(array.compare_exchange(1, 7, 8));
  EXPECT_EQ(array.apply(1, [](int& n) { return n *= 2; }), 16);
  EXPECT_EQ(array.size(), 3u);
  EXPECT_EQ(array.slice(1, 3), (std::vector<int>{16, 0}));
  EXPECT_THROW(static_cast<void>(array.at(3)), std::out_of_range);
  EXPECT_THROW(array.set(3, 1), std::out_of_range);
  int sum = 0;
  for (const int n : manager.array<int>(std::vector<int>{1, 2, 3})) sum += n;
  EXPECT_EQ(sum, 6);
}

TEST_P(ManagerProxiesTest, Namespace) {
  Manager manager;
  auto settings = manager.namespace_();
  settings.set("rounds", 10);
  settings.set("title", "first run");
  settings.set("numbers", manager.list<int>({1, 2}));
  run(Process(
      [](const NamespaceProxy& n) {
        if (n.get<std::string>("title") != "first run") throw std::runtime_error("title");
        n.get<ListProxy<int>>("numbers").push_back(3);
        n.set("rounds", n.get<int>("rounds") + 1);
      },
      settings));
  EXPECT_EQ(settings.get<int>("rounds"), 11);
  EXPECT_EQ(settings.get<ListProxy<int>>("numbers").size(), 3u);
  EXPECT_THROW(static_cast<void>(settings.get<long>("rounds")), Error);
  EXPECT_THROW(static_cast<void>(settings.get<int>("none")), std::out_of_range);
  EXPECT_TRUE(settings.contains("title"));
  EXPECT_TRUE(settings.erase("title"));
  EXPECT_FALSE(settings.erase("title"));
  EXPECT_FALSE(settings.contains("title"));
  EXPECT_EQ(settings.names().size(), 2u);
}

TEST_P(ManagerProxiesTest, EveryKindHasNames) {
  Manager manager;
  EXPECT_EQ(manager.value<int>(1, "v"), manager.value<int>(2, "v"));
  EXPECT_EQ(manager.array<int>(1, "a"), manager.array<int>(2, "a"));
  EXPECT_EQ(manager.namespace_("n"), manager.namespace_("n"));
  EXPECT_EQ(manager.queue<int>(1, "q"), manager.queue<int>(2, "q"));
  EXPECT_EQ(manager.joinable_queue<int>(1, "j"), manager.joinable_queue<int>(1, "j"));
  EXPECT_EQ(manager.lock("l"), manager.lock("l"));
  EXPECT_EQ(manager.rlock("r"), manager.rlock("r"));
  EXPECT_EQ(manager.semaphore(1, "s"), manager.semaphore(1, "s"));
  EXPECT_EQ(manager.bounded_semaphore(1, "bs"), manager.bounded_semaphore(1, "bs"));
  EXPECT_EQ(manager.condition("c"), manager.condition("c"));
  EXPECT_EQ(manager.event("e"), manager.event("e"));
  EXPECT_EQ(manager.barrier(2, "b"), manager.barrier(2, "b"));
  EXPECT_FALSE(manager.lock() == manager.lock());
  EXPECT_THROW(static_cast<void>(manager.rlock("l")), Error);
  EXPECT_THROW(static_cast<void>(manager.list<int>({}, "a")), Error);
}

// --- queues ---

TEST_P(ManagerProxiesTest, QueueIsFirstInFirstOut) {
  Manager manager;
  auto queue = manager.queue<std::string>();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.try_get(), std::nullopt);
  EXPECT_EQ(queue.get_for(1ms), std::nullopt);
  EXPECT_EQ(queue.get_for(-1s), std::nullopt);
  queue.put("a");
  queue.put_many(std::vector<std::string>{"b", "c", "d"});
  EXPECT_EQ(queue.size(), 4u);
  EXPECT_EQ(queue.get(), "a");
  EXPECT_EQ(queue.get_many(2), (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(queue.get_until(std::chrono::steady_clock::now() + 1h), "d");
  EXPECT_THROW(static_cast<void>(queue.get_many(0)), std::invalid_argument);
}

TEST_P(ManagerProxiesTest, QueueIsBounded) {
  Manager manager;
  auto queue = manager.queue<int>(2);
  EXPECT_TRUE(queue.try_put(1));
  EXPECT_TRUE(queue.put_for(2, 1s));
  EXPECT_TRUE(queue.full());
  EXPECT_FALSE(queue.try_put(3));
  EXPECT_FALSE(queue.put_for(3, 1ms));
  Process child(
      [](const QueueProxy<int>& q) {
        q.put_many(std::vector<int>{3, 4, 5, 6, 7, 8});
        q.shutdown();
      },
      queue);
  child.start();
  std::vector<int> got;
  for (const int item : queue) got.push_back(item);
  child.join();
  EXPECT_EQ(got, (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_THROW(queue.put(9), ShutDown);
  EXPECT_THROW(static_cast<void>(queue.try_get()), ShutDown);
}

TEST_P(ManagerProxiesTest, EveryItemReachesOneConsumer) {
  constexpr int kEach = 300 / test::kSlowdown;
  Manager manager;
  auto queue = manager.queue<int>(8);
  auto seen = manager.list<int>();
  std::vector<Process> producers;
  std::vector<Process> consumers;
  for (int i = 0; i < 3; ++i) {
    producers.emplace_back(
        [](const QueueProxy<int>& q, int from) {
          for (int n = 0; n < kEach; ++n) q.put(from + n);
        },
        queue, i * kEach);
    consumers.emplace_back(
        [](const QueueProxy<int>& q, const ListProxy<int>& l) {
          std::vector<int> mine;
          for (const int n : q) mine.push_back(n);
          l.extend(mine);
        },
        queue, seen);
  }
  for (Process& p : producers) p.start();
  for (Process& c : consumers) c.start();
  for (Process& p : producers) p.join();
  queue.shutdown();
  for (Process& c : consumers) c.join();
  auto all = seen.copy();
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), std::size_t{3 * kEach});
  for (int n = 0; n < 3 * kEach; ++n) EXPECT_EQ(all[static_cast<std::size_t>(n)], n);
}

TEST_P(ManagerProxiesTest, ShutdownWakesThoseWhoWait) {
  Manager manager;
  auto queue = manager.queue<int>();
  Process child(
      [](const QueueProxy<int>& q) {
        try {
          static_cast<void>(q.get());
        } catch (const ShutDown&) {
          std::exit(7);
        }
      },
      queue);
  child.start();
  auto lost = manager.queue<int>();
  lost.put(1);
  lost.shutdown(true);
  EXPECT_THROW(static_cast<void>(lost.get()), ShutDown);
  queue.shutdown();
  child.join();
  EXPECT_EQ(child.exitcode(), 7);
}

TEST_P(ManagerProxiesTest, JoinWaitsForTaskDone) {
  Manager manager;
  auto queue = manager.joinable_queue<int>();
  EXPECT_TRUE(queue.join_for(0s));
  EXPECT_THROW(queue.task_done(), Error);
  queue.put(1);
  queue.put(2);
  EXPECT_FALSE(queue.join_for(1ms));
  Process child(
      [](const JoinableQueueProxy<int>& q) {
        for (int i = 0; i < 2; ++i) {
          static_cast<void>(q.get());
          q.task_done();
        }
      },
      queue);
  child.start();
  queue.join();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

TEST_P(ManagerProxiesTest, AQueueIsAValue) {
  Manager manager;
  auto mailboxes = manager.dict<std::string, QueueProxy<std::string>>();
  mailboxes.set("child", manager.queue<std::string>());
  mailboxes.set("parent", manager.queue<std::string>());
  Process child(
      [](const DictProxy<std::string, QueueProxy<std::string>>& boxes) {
        boxes.at("parent").put(boxes.at("child").get() + "!");
      },
      mailboxes);
  child.start();
  mailboxes["child"]->put("hello");
  EXPECT_EQ(mailboxes["parent"]->get(), "hello!");
  child.join();

  auto queues = manager.queue<QueueProxy<int>>();  // kept by nothing but the item
  {
    auto inner = manager.queue<int>();
    inner.put(3);
    queues.put(inner);
  }
  EXPECT_EQ(queues.get().get(), 3);
}

// --- locks and friends ---

TEST_P(ManagerProxiesTest, LockExcludes) {
  Manager manager;
  auto lock = manager.lock();
  auto value = manager.value<int>(0);
  const auto work = [](const LockProxy& l, const ValueProxy<int>& v) {
    for (int i = 0; i < 100; ++i) {
      LockProxy mine = l;
      std::scoped_lock guard(mine);
      v.store(v.load() + 1);
    }
  };
  std::vector<Process> children;
  for (int i = 0; i < 3; ++i) children.emplace_back(work, lock, value);
  for (Process& child : children) child.start();
  work(lock, value);
  for (Process& child : children) child.join();
  EXPECT_EQ(value.load(), 400);
}

TEST_P(ManagerProxiesTest, LockHasOneOwner) {
  Manager manager;
  auto lock = manager.lock();
  EXPECT_TRUE(lock.try_lock());
  EXPECT_FALSE(lock.try_lock());
  EXPECT_THROW(lock.lock(), SystemError);
  std::thread([&] {
    EXPECT_FALSE(lock.try_lock());
    EXPECT_FALSE(lock.try_lock_for(1ms));
    EXPECT_THROW(lock.unlock(), SystemError);
  }).join();
  run(Process([](const LockProxy& l) { std::exit(l.try_lock() ? 1 : 0); }, lock));
  EXPECT_FALSE(lock.recover());
  lock.unlock();
  EXPECT_THROW(lock.unlock(), SystemError);
  EXPECT_TRUE(lock.try_lock_for(1s));
  lock.unlock();
}

TEST_P(ManagerProxiesTest, RLockIsRecursive) {
  Manager manager;
  auto lock = manager.rlock();
  lock.lock();
  EXPECT_TRUE(lock.try_lock());
  std::thread([&] { EXPECT_FALSE(lock.try_lock()); }).join();
  lock.unlock();
  std::thread([&] { EXPECT_FALSE(lock.try_lock()); }).join();
  lock.unlock();
  std::thread([&] {
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
  }).join();
  EXPECT_THROW(lock.unlock(), SystemError);
}

TEST_P(ManagerProxiesTest, Semaphores) {
  Manager manager;
  auto semaphore = manager.semaphore(1);
  semaphore.acquire();
  EXPECT_FALSE(semaphore.try_acquire());
  EXPECT_FALSE(semaphore.try_acquire_for(1ms));
  Process child([](const SemaphoreProxy& s) { s.release(3); }, semaphore);
  child.start();
  semaphore.acquire();
  child.join();
  EXPECT_EQ(semaphore.value(), 2u);

  auto bounded = manager.bounded_semaphore(2);
  EXPECT_THROW(bounded.release(), SystemError);
  EXPECT_TRUE(bounded.try_acquire());
  EXPECT_THROW(bounded.release(2), SystemError);
  bounded.release();
  EXPECT_EQ(bounded.value(), 2u);
  EXPECT_THROW(static_cast<void>(manager.semaphore(std::size_t{1} << 31)), SystemError);
}

TEST_P(ManagerProxiesTest, EventReleasesAll) {
  Manager manager;
  auto event = manager.event();
  auto count = manager.value<int>(0);
  EXPECT_FALSE(event.is_set());
  EXPECT_FALSE(event.wait_for(1ms));
  std::vector<Process> children;
  for (int i = 0; i < 3; ++i) {
    children.emplace_back(
        [](const EventProxy& e, const ValueProxy<int>& n) {
          e.wait();
          n.fetch_add(1);
        },
        event, count);
  }
  for (Process& child : children) child.start();
  event.set();
  for (Process& child : children) child.join();
  EXPECT_EQ(count.load(), 3);
  EXPECT_TRUE(event.is_set());
  EXPECT_TRUE(event.wait_for(0s));
  event.clear();
  EXPECT_FALSE(event.is_set());
}

TEST_P(ManagerProxiesTest, ConditionHandsOver) {
  Manager manager;
  auto lock = manager.lock();
  auto changed = manager.condition();
  auto turn = manager.value<int>(0);
  constexpr int kTurns = 50;
  const auto play = [](LockProxy l, const ConditionProxy& c, const ValueProxy<int>& t, int parity) {
    for (int i = 0; i < kTurns; ++i) {
      std::unique_lock guard(l);
      c.wait(guard, [&] { return t.load() % 2 == parity; });
      t.fetch_add(1);
      c.notify_all();
    }
  };
  Process child(play, lock, changed, turn, 1);
  child.start();
  play(lock, changed, turn, 0);
  child.join();
  EXPECT_EQ(turn.load(), 2 * kTurns);
}

TEST_P(ManagerProxiesTest, ConditionTimesOutWithTheLockHeld) {
  Manager manager;
  auto lock = manager.rlock();
  auto changed = manager.condition();
  std::unique_lock guard(lock);
  lock.lock();  // twice
  EXPECT_FALSE(changed.wait_for(guard, 1ms));
  EXPECT_FALSE(changed.wait_for(guard, 0ms));
  EXPECT_FALSE(changed.wait_for(guard, 1ms, [] { return false; }));
  lock.unlock();
  EXPECT_TRUE(guard.owns_lock());
  std::thread([&] { EXPECT_FALSE(lock.try_lock()); }).join();
  guard.unlock();
  EXPECT_THROW(static_cast<void>(changed.wait_for(guard, 1ms)), SystemError);
  changed.notify_one();
  changed.notify_all();
}

TEST_P(ManagerProxiesTest, NotifyOneWakesOne) {
  Manager manager;
  auto lock = manager.lock();
  auto changed = manager.condition();
  auto waiting = manager.value<int>(0);
  auto woken = manager.queue<int>();
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      std::unique_lock guard(lock);
      waiting.fetch_add(1);
      changed.wait(guard);
      woken.put(1);
    });
  }
  for (;;) {
    std::unique_lock guard(lock);  // who has counted itself and let go of it waits
    if (waiting.load() == 3) break;
  }
  for (int i = 0; i < 3; ++i) {
    changed.notify_one();
    EXPECT_EQ(woken.get(), 1);
    EXPECT_TRUE(woken.empty());
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(ManagerProxiesTest, BarrierReleasesAllTogether) {
  Manager manager;
  constexpr int kParties = 3;
  constexpr int kRounds = 50;
  auto barrier = manager.barrier(kParties);
  auto arrived = manager.value<int>(0);
  auto indices = manager.list<int>();
  const auto party = [](const BarrierProxy& b, const ValueProxy<int>& n, const ListProxy<int>& l) {
    for (int i = 1; i <= kRounds; ++i) {
      n.fetch_add(1);
      const std::size_t index = b.wait();
      if (n.load() < i * kParties) std::exit(1);
      l.push_back(static_cast<int>(index));
      b.wait();
    }
  };
  std::vector<Process> children;
  for (int i = 1; i < kParties; ++i) children.emplace_back(party, barrier, arrived, indices);
  for (Process& child : children) child.start();
  party(barrier, arrived, indices);
  for (Process& child : children) {
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
  }
  for (int i = 0; i < kParties; ++i) EXPECT_EQ(indices.count(i), std::size_t{kRounds});
}

TEST_P(ManagerProxiesTest, BarrierBreaks) {
  Manager manager;
  auto barrier = manager.barrier(2);
  EXPECT_EQ(barrier.parties(), 2u);
  EXPECT_THROW(barrier.wait_for(1ms), BrokenBarrier);
  EXPECT_TRUE(barrier.broken());
  EXPECT_THROW(barrier.wait(), BrokenBarrier);
  barrier.reset();
  EXPECT_FALSE(barrier.broken());
  for (const bool abort : {true, false}) {
    std::thread waiter([&] { EXPECT_THROW(barrier.wait(), BrokenBarrier); });
    while (barrier.waiting() != 1) std::this_thread::yield();
    abort ? barrier.abort() : barrier.reset();
    waiter.join();
    EXPECT_EQ(barrier.broken(), abort);
    barrier.reset();
  }
  EXPECT_THROW(barrier.wait_for(0s), BrokenBarrier);
  EXPECT_EQ(manager.barrier(1).wait(), 0u);
  EXPECT_THROW(static_cast<void>(manager.barrier(0)), SystemError);
}

// --- objects ---

class Account {
 public:
  explicit Account(int cents) : cents_(cents) {
    if (cents < 0) throw std::invalid_argument("an account begins with something");
  }
  void deposit(int cents) {
    if (cents < 0) throw std::domain_error("a deposit is positive");
    cents_ += cents;
  }
  [[nodiscard]] int cents() const noexcept { return cents_; }
  [[nodiscard]] std::string label(const std::string& currency) const {
    return std::to_string(cents_) + " " + currency;
  }
  void add_to(std::vector<int>& numbers) const { numbers.push_back(cents_); }

 private:
  std::mutex not_movable_;
  int cents_;
};

struct Point {
  int x;
  int y;
  [[nodiscard]] int sum() const { return x + y; }
};

TEST_P(ManagerProxiesTest, ObjectsAreCalled) {
  Manager manager;
  auto account = manager.create<Account>(100);
  run(Process([](const ObjectProxy<Account>& a) { a.call<&Account::deposit>(50); }, account));
  EXPECT_EQ(account.call<&Account::cents>(), 150);
  EXPECT_EQ(account.call<&Account::label>("cents"), "150 cents");
  account.call<&Account::add_to>(std::vector<int>{1});
  EXPECT_THROW(account.call<&Account::deposit>(-1), std::domain_error);
  EXPECT_THROW(static_cast<void>(manager.create<Account>(-1)), std::invalid_argument);
  EXPECT_EQ((manager.create<Point>(3, 4).call<&Point::sum>()), 7);
  EXPECT_EQ(manager.statistics().objects, 1u);
}

TEST_P(ManagerProxiesTest, ANamedObjectIsMadeOnce) {
  Manager manager;
  EXPECT_THROW(static_cast<void>(manager.create_named<Account>("shared", -1)),
               std::invalid_argument);
  EXPECT_EQ(manager.statistics().objects, 0u);
  auto first = manager.create_named<Account>("shared", 1);
  auto second = manager.create_named<Account>("shared", 2);
  EXPECT_EQ(first, second);
  EXPECT_EQ(second.call<&Account::cents>(), 1);
  EXPECT_THROW(static_cast<void>(manager.create_named<Point>("shared", 1, 2)), Error);
  auto shelf = manager.list<ObjectProxy<Account>>();
  shelf.push_back(first);
  EXPECT_EQ(shelf.at(0).call<&Account::cents>(), 1);
}

}  // namespace
}  // namespace tandem
