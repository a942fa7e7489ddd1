// A process dies after every instruction of the operations of Semaphore, Condition and Barrier. The
// survivor must then get on in bounded time, and find each object in a state that an operation
// which was either done or not would leave.
#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "support/forked.hpp"
#include "support/step_kill.hpp"
#include "tandem/error.hpp"
#include "tandem/sync.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kDeaths = 12;  // from a random step on; TANDEM_STEP=1 tries all

/// What a process does only once, such as counting its CPUs, is done before it forks.
class WarmUp : public testing::Environment {
 public:
  void SetUp() override { (void)Semaphore(0).try_acquire_for(1us); }
};
[[maybe_unused]] testing::Environment* const warm_up =
    testing::AddGlobalTestEnvironment(new WarmUp);

TEST(SemaphoreStepTest, Acquire) {
  test::for_each_step(
      kDeaths, [] { return std::make_unique<Semaphore>(2); },
      [](Semaphore& semaphore) { semaphore.acquire(); },
      [](Semaphore& semaphore) {
        EXPECT_TRUE(semaphore.value() == 1 || semaphore.value() == 2);
        EXPECT_TRUE(semaphore.try_acquire_for(10s));
      });
}

TEST(SemaphoreStepTest, AcquireThatGivesUp) {
  test::for_each_step(
      kDeaths, [] { return std::make_unique<Semaphore>(0); },
      [](Semaphore& semaphore) { (void)semaphore.try_acquire_for(1us); },
      [](Semaphore& semaphore) {
        semaphore.release();
        EXPECT_EQ(semaphore.value(), 1U);
        EXPECT_TRUE(semaphore.try_acquire());
      });
}

TEST(SemaphoreStepTest, ReleaseWithASleeper) {
  struct World {
    BoundedSemaphore semaphore{1};
    std::unique_ptr<test::Forked> sleeper;
  };
  test::for_each_step(
      kDeaths,
      [] {
        auto world = std::make_unique<World>();
        world->semaphore.acquire();
        world->sleeper = std::make_unique<test::Forked>([&] {
          world->semaphore.acquire();
          return 0;
        });
        return world;
      },
      [](World& world) { world.semaphore.release(); },
      [](World& world) {
        try {
          world.semaphore.release();  // it may have died before its own
        } catch (const SystemError&) {
        }
        EXPECT_EQ(world.sleeper->wait(), 0);
        EXPECT_LE(world.semaphore.value(), 1U);
      });
}

struct Meeting {
  Lock lock;
  Condition condition;

  /// Holds the lock; its holder may have died.
  [[nodiscard]] std::unique_lock<Lock> enter() {
    try {
      return std::unique_lock(lock);
    } catch (const OwnerDied&) {
      EXPECT_TRUE(lock.recover());
      return {lock, std::adopt_lock};
    }
  }
};

/// Another waits and is notified, whatever the dead one left behind.
void expect_works(Meeting& meeting) {
  meeting.enter().unlock();
  test::Step waits;
  test::Forked waiter([&] {
    std::unique_lock guard(meeting.lock);
    waits.done();
    return meeting.condition.wait_for(guard, 10s) ? 0 : 1;
  });
  waits.await();
  meeting.enter().unlock();  // got it: the other one waits
  // As many as may be needed when the dead one is still counted as waiting.
  meeting.condition.notify_one();
  meeting.condition.notify_one();
  EXPECT_EQ(waiter.wait(), 0);
  std::unique_lock guard = meeting.enter();
  EXPECT_FALSE(meeting.condition.wait_for(guard, 0s));
}

TEST(ConditionStepTest, WaitThatGivesUp) {
  test::for_each_step(
      kDeaths, [] { return std::make_unique<Meeting>(); },
      [](Meeting& meeting) {
        std::unique_lock guard(meeting.lock);
        (void)meeting.condition.wait_for(guard, 1us);
      },
      expect_works);
}

TEST(ConditionStepTest, Notify) {
  struct World : Meeting {
    std::unique_ptr<test::Forked> waiter;
  };
  test::for_each_step(
      kDeaths,
      [] {
        auto world = std::make_unique<World>();
        test::Step waits;
        world->waiter = std::make_unique<test::Forked>([&] {
          std::unique_lock guard(world->lock);
          waits.done();
          return world->condition.wait_for(guard, 10s) ? 0 : 1;
        });
        waits.await();
        world->enter().unlock();
        return world;
      },
      [](World& world) { world.condition.notify_one(); },
      [](World& world) {
        world.condition.notify_all();  // it may have died before its own
        EXPECT_EQ(world.waiter->wait(), 0);
        expect_works(world);
      });
}

/// All come and pass, or hear that it is broken; then it works again.
void expect_passes_or_breaks(Barrier& barrier) {
  const auto come = [&] {
    try {
      (void)barrier.wait_for(10s);
    } catch (const BrokenBarrier& broken) {
      return std::string(broken.what()).find("killed") != std::string::npos ? 0 : 1;
    }
    return 0;
  };
  {
    test::Forked other(come);
    EXPECT_EQ(come(), 0) << "it timed out";
    EXPECT_EQ(other.wait(), 0);
  }
  barrier.reset();
  test::Forked other([&] { return static_cast<int>(barrier.wait_for(10s)); });
  const std::size_t mine = barrier.wait_for(10s);
  EXPECT_EQ(other.wait(), 1 - static_cast<int>(mine));
  EXPECT_FALSE(barrier.broken());
}

// Alone, so that it never gets out again: it has arrived, and waits, before the last of these steps.
TEST(BarrierStepTest, ArrivingFirst) {
  constexpr std::size_t kSteps = 1'500;
  const std::size_t by = test::stride(kSteps, kDeaths);
  for (std::size_t step = test::seed() % by; step < kSteps; step += by) {
    SCOPED_TRACE("killed after " + std::to_string(step) + " instructions");
    Barrier barrier(2);
    test::SteppedChild child([&] { (void)barrier.wait(); });
    EXPECT_TRUE(child.step(step));
    child.kill();
    expect_passes_or_breaks(barrier);
    if (test::failed()) return;
  }
}

void nothing() {}

TEST(BarrierStepTest, ArrivingLast) {
  struct World {
    Barrier barrier{2, nothing};
    std::unique_ptr<test::Forked> first;
  };
  test::for_each_step(
      kDeaths,
      [] {
        auto world = std::make_unique<World>();
        world->first = std::make_unique<test::Forked>([&] {
          try {
            (void)world->barrier.wait();
          } catch (const BrokenBarrier&) {
          }
          return 0;
        });
        while (world->barrier.waiting() == 0) std::this_thread::yield();
        return world;
      },
      [](World& world) { (void)world.barrier.wait(); },
      [](World& world) {
        // Who died before it touched the barrier has not come; then somebody else comes.
        while (world.barrier.waiting() == 1 && !world.barrier.broken()) {
          try {
            (void)world.barrier.wait_for(10s);
          } catch (const BrokenBarrier&) {
          }
        }
        EXPECT_EQ(world.first->wait(), 0);
        world.barrier.reset();
        expect_passes_or_breaks(world.barrier);
      });
}

TEST(BarrierStepTest, Reset) {
  test::for_each_step(
      kDeaths,
      [] {
        auto barrier = std::make_unique<Barrier>(2);
        barrier->abort();
        return barrier;
      },
      [](Barrier& barrier) { barrier.reset(); },
      [](Barrier& barrier) {
        barrier.reset();
        expect_passes_or_breaks(barrier);
      });
}

}  // namespace
}  // namespace tandem
