#include "tandem/worker_local.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/numbers.hpp"
#include "support/start_methods.hpp"
#include "tandem/event.hpp"
#include "tandem/pool.hpp"
#include "tandem/process.hpp"
#include "tandem/value.hpp"

namespace tandem {
namespace {

using testing::Each;
using testing::HasSubstr;

using WorkerLocalTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(WorkerLocalTest);

struct Counts {
  Value<int> made{0};
  Value<int> destroyed{0};
  Value<int> finalized_before{0};
};

/// Counts its lives in all processes. Needs an argument.
class Session {
 public:
  explicit Session(Counts counts) : counts_(std::move(counts)) { counts_.made.fetch_add(1); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() { counts_.destroyed.fetch_add(1); }

  [[nodiscard]] const Counts& counts() const { return counts_; }
  int uses = 0;

 private:
  Counts counts_;
};

using test::numbers;

void begin(const Counts& counts) { worker_local<Session>(counts); }
std::pair<int, int> use(int) { return {::getpid(), ++worker_local<Session>().uses}; }
void end() {
  Counts counts = worker_local<Session>().counts();
  if (counts.destroyed.load() == 0) counts.finalized_before.fetch_add(1);
}

TEST_P(WorkerLocalTest, EachWorkerHasOneForAllItsTasks) {
  const Counts counts;
  {
    Pool pool({.processes = 2, .initializer = call(begin, counts)});
    std::set<std::pair<int, int>> uses;
    for (const auto& one : pool.map(use, numbers(200))) uses.insert(one);
    EXPECT_EQ(uses.size(), 200u);  // each worker has counted its own uses
    EXPECT_LE(counts.made.load(), 2);
    EXPECT_EQ(counts.destroyed.load(), 0);
  }
  EXPECT_EQ(counts.made.load(), 2);
  EXPECT_EQ(counts.destroyed.load(), 2);
}

TEST_P(WorkerLocalTest, TheFinalizerStillHasIt) {
  const Counts counts;
  {
    Pool pool({.processes = 1, .initializer = call(begin, counts), .finalizer = call(end)});
    static_cast<void>(pool.map(use, numbers(3)));
  }
  EXPECT_EQ(counts.finalized_before.load(), 1);
  EXPECT_EQ(counts.destroyed.load(), 1);
}

TEST_P(WorkerLocalTest, AReplacedWorkerMakesItsOwn) {
  const Counts counts;
  {
    Pool pool({.processes = 1, .max_tasks_per_child = 2, .initializer = call(begin, counts)});
    int most = 0;
    for (const auto& [pid, uses] : pool.map(use, numbers(6))) most = std::max(most, uses);
    EXPECT_EQ(most, 2);
  }
  EXPECT_GE(counts.made.load(), 3);
  EXPECT_EQ(counts.destroyed.load(), counts.made.load());
}

TEST_P(WorkerLocalTest, TypesAndTagsTellObjectsApart) {
  struct Left;
  struct Right;
  const auto differ = [] {
    worker_local<int>(1);
    worker_local<int, Left>(2);
    worker_local<int, Right>(3);
    worker_local<long>(4L);
    struct Aggregate {
      int a;
      int b;
    };
    worker_local<Aggregate>(5, 6);
    const bool right = worker_local<int>() == 1 && worker_local<int, Left>() == 2 &&
                       worker_local<int, Right>(7) == 3 && worker_local<long>() == 4 &&
                       worker_local<Aggregate>().b == 6 && worker_local<double>() == 0;
    return right ? 1 : 0;
  };
  EXPECT_EQ(Pool(1).apply(differ), 1);
}

TEST_P(WorkerLocalTest, AnObjectThatNeedsArgumentsIsMissedByName) {
  Pool pool(1);
  try {
    static_cast<void>(pool.apply(use, 1));
    ADD_FAILURE() << "did not throw";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("Session"));
  }
}

struct Fails {
  explicit Fails(bool fail) {
    if (fail) throw std::domain_error("not yet");
  }
};
struct AsksForItself {
  AsksForItself() { worker_local<AsksForItself>(); }
};

TEST_P(WorkerLocalTest, AFailedConstructorIsTriedAgain) {
  Pool pool(1);
  const auto make = [](bool fail) { worker_local<Fails>(fail); };
  EXPECT_THROW(pool.apply(make, true), std::domain_error);
  EXPECT_THROW(pool.apply(make, true), std::domain_error);
  pool.apply(make, false);
  pool.apply(make, true);  // made already
}

TEST_P(WorkerLocalTest, AConstructorThatAsksForItsOwnObjectIsTold) {
  EXPECT_THROW(Pool(1).apply([] { worker_local<AsksForItself>(); }), Error);
}

struct Shelf {
  int of = ::getpid();
};

TEST_P(WorkerLocalTest, AChildDoesNotInheritItsParents) {
  Shelf& mine = worker_local<Shelf>();
  EXPECT_EQ(&worker_local<Shelf>(), &mine);
  EXPECT_EQ(mine.of, ::getpid());
  const auto is_its_own = [](int) { return worker_local<Shelf>().of == ::getpid() ? 1 : 0; };
  Pool pool(2);
  EXPECT_THAT(pool.map(is_its_own, numbers(20)), Each(1));
  EXPECT_EQ(worker_local<Shelf>().of, ::getpid());
}

TEST_P(WorkerLocalTest, AnyProcessDestroysItsObjectsTheLastFirst) {
  struct First {
    explicit First(Value<int> value) : last(std::move(value)) {}
    ~First() { last.store(last.load() * 10 + 1); }
    Value<int> last;
  };
  struct Second {
    explicit Second(Value<int> value) : last(std::move(value)) {}
    ~Second() { last.store(last.load() * 10 + 2); }
    Value<int> last;
  };
  const Value<int> order(0);
  Process child(
      [](Value<int> last) {
        worker_local<First>(last);
        worker_local<Second>(last);
      },
      order);
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
  EXPECT_EQ(order.load(), 21);
}

TEST_P(WorkerLocalTest, ThreadsShareOne) {
  struct Slow {
    explicit Slow(std::atomic<int>* count) {
      count->fetch_add(1);
      std::this_thread::yield();
    }
  };
  const auto race = [] {
    std::atomic<int> made{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back([&] { worker_local<Slow>(&made); });
    for (std::thread& thread : threads) thread.join();
    return made.load();
  };
  EXPECT_EQ(Pool(1).apply(race), 1);
}

TEST(WorkerLocalForkTest, AChildForkedWhileItIsMadeMakesItsOwn) {
  if (test::kTsan) GTEST_SKIP() << "forks a process with threads";
  struct Waits {
    Waits(Event* begun, Event* go) {
      if (begun != nullptr) begun->set();
      if (go != nullptr) go->wait();
    }
  };
  // In a process of its own, which has none yet however often the test is repeated.
  Process parent(start::fork, [] {
    Event begun;
    Event go;
    std::thread maker([&] { worker_local<Waits>(&begun, &go); });
    begun.wait();
    Process child(start::fork, [] {
      worker_local<Waits>(static_cast<Event*>(nullptr), static_cast<Event*>(nullptr));
    });
    child.start();
    child.join();
    go.set();
    maker.join();
    std::exit(child.exitcode().value_or(1));
  });
  parent.start();
  parent.join();
  EXPECT_EQ(parent.exitcode(), 0);
}

}  // namespace
}  // namespace tandem
