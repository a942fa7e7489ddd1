// A process dies after every instruction of an event's operations. The event is then as before or
// as after, works on, and whoever waits is released by the next set at the latest.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "support/step_kill.hpp"
#include "tandem/event.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kDeaths = 25;

struct World {
  ~World() {
    event.set();
    if (waiter.joinable()) waiter.join();
  }

  void start_waiter() {
    waiter = std::thread([this] { released = event.wait_for(20s); });
  }
  /// What must hold of every event, whatever happened to it.
  void expect_works() {
    event.clear();
    EXPECT_FALSE(event.is_set());
    EXPECT_FALSE(event.wait_for(0s));
    released = false;
    start_waiter();
    event.set();
    waiter.join();
    EXPECT_TRUE(released) << "the survivor waits for ever";
    EXPECT_TRUE(event.is_set());
    event.wait();
  }

  Event event;
  std::thread waiter;  // the survivor's
  std::atomic<bool> released{false};
};

std::unique_ptr<World> make_world() { return std::make_unique<World>(); }

TEST(EventStepTest, Set) {
  test::for_each_step(
      kDeaths, make_world, [](World& world) { world.event.set(); },
      [](World& world) {
        // Set, but perhaps nobody was woken: then the waiter finds out by itself.
        if (!world.event.is_set()) world.event.set();
        world.waiter.join();
        EXPECT_TRUE(world.released) << "the survivor waits for ever";
        world.expect_works();
      },
      [](World& world) { world.start_waiter(); });
}

TEST(EventStepTest, Clear) {
  test::for_each_step(
      kDeaths,
      [] {
        auto world = make_world();
        world->event.set();
        return world;
      },
      [](World& world) { world.event.clear(); }, [](World& world) { world.expect_works(); });
}

TEST(EventStepTest, Wait) {
  // Too short to be waited for, long enough to announce itself and sleep.
  test::for_each_step(
      kDeaths, make_world, [](World& world) { (void)world.event.wait_for(1us); },
      [](World& world) { world.expect_works(); });
}

TEST(EventStepTest, WaitThatIsReleased) {
  test::for_each_step(
      kDeaths,
      [] {
        auto world = make_world();
        world->event.set();
        return world;
      },
      [](World& world) { world.event.wait(); },
      [](World& world) {
        EXPECT_TRUE(world.event.is_set());
        world.expect_works();
      });
}

}  // namespace
}  // namespace tandem
