// A process dies after every instruction of each operation of the queue. The survivor must then put
// and get in bounded time, and find what was said: nothing published lost but what the dead getter
// had taken, nothing doubled, order kept.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "os/poll.hpp"
#include "queue/ring_queue.hpp"
#include "support/queue_text.hpp"
#include "support/step_kill.hpp"
#include "tandem/error.hpp"
#include "tandem/queue.hpp"

namespace tandem::detail {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kDeaths = 30;

struct World {
  explicit World(const QueueOptions& options = {.ring_bytes = 4096})
      : queue(options, test::kTextType) {}

  bool put(const std::string& text, Deadline deadline = Deadline::after(20s)) {
    return test::put_text(queue, text, deadline);
  }
  std::optional<std::string> get(Deadline deadline = Deadline::after(20s)) {
    return test::get_text(queue, deadline);
  }

  RingQueue queue;
};

/// All that is left in the queue, and that the queue works: what is put last comes out last, each
/// once.
std::vector<std::string> drain(World& world) {
  std::vector<std::string> found;
  EXPECT_TRUE(world.put("end of test"));
  for (;;) {
    std::optional<std::string> text = world.get();
    EXPECT_TRUE(text.has_value()) << "the survivor waits for ever";
    if (!text || *text == "end of test") break;
    found.push_back(*text);
  }
  EXPECT_EQ(world.queue.items(), 0U);
  EXPECT_EQ(world.get(Deadline::now()), std::nullopt);
  return found;
}

std::string letters(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

using List = std::vector<std::string>;

TEST(QueueStepTest, Put) {
  test::for_each_step(
      kDeaths,
      [] {
        auto world = std::make_unique<World>();
        EXPECT_TRUE(world->put("first"));
        return world;
      },
      [](World& world) { (void)world.put("second"); },
      [](World& world) {
        const List found = drain(world);
        EXPECT_TRUE(found == List{"first"} || found == (List{"first", "second"}))
            << testing::PrintToString(found);
      });
}

TEST(QueueStepTest, Get) {
  test::for_each_step(
      kDeaths,
      [] {
        auto world = std::make_unique<World>();
        for (const char* text : {"first", "second", "third"}) EXPECT_TRUE(world->put(text));
        return world;
      },
      [](World& world) { (void)world.get(); },
      [](World& world) {
        const List found = drain(world);
        EXPECT_TRUE(found == (List{"first", "second", "third"}) ||
                    found == (List{"second", "third"}))
            << testing::PrintToString(found);
      });
}

TEST(QueueStepTest, PutOfAStreamedMessage) {
  // It fits into the ring, so that nobody has to read while it is put; a chunk is 512 bytes.
  static const std::string big = letters(2'000);
  test::for_each_step(
      kDeaths,
      [] {
        auto world = std::make_unique<World>();
        EXPECT_TRUE(world->put("first"));
        return world;
      },
      [](World& world) { (void)world.put(big); },
      [](World& world) {
        const List found = drain(world);
        EXPECT_TRUE(found == List{"first"} || found == (List{"first", big}))
            << testing::PrintToString(found);
      });
}

TEST(QueueStepTest, GetOfAStreamedMessage) {
  static const std::string big = letters(2'000);
  test::for_each_step(
      kDeaths,
      [] {
        auto world = std::make_unique<World>();
        for (const std::string& text : {big, std::string("second")}) EXPECT_TRUE(world->put(text));
        return world;
      },
      [](World& world) { (void)world.get(); },
      [](World& world) {
        const List found = drain(world);
        EXPECT_TRUE(found == (List{big, "second"}) || found == List{"second"})
            << testing::PrintToString(found);
      });
}

TEST(QueueStepTest, RecoveryOfAPut) {
  test::for_each_step(
      kDeaths,
      [] {
        auto world = std::make_unique<World>();
        EXPECT_TRUE(world->put("first"));
        // A producer that dies while it streams: the ring is full, it waits for room with the lock
        // held.
        test::SteppedChild dies([&] { (void)world->put(letters(3'000)); });
        EXPECT_TRUE(dies.step(2'000));
        dies.kill();
        return world;
      },
      [](World& world) { (void)world.put("second"); },  // inherits the lock
      [](World& world) {
        const List found = drain(world);
        EXPECT_TRUE(found == List{"first"} || found == (List{"first", "second"}))
            << testing::PrintToString(found);
      });
}

TEST(QueueStepTest, RecoveryOfAGet) {
  static const std::string big = letters(2'000);
  test::for_each_step(
      kDeaths,
      [] {
        auto world = std::make_unique<World>();
        EXPECT_TRUE(world->put(big));
        EXPECT_TRUE(world->put("second"));
        test::SteppedChild dies([&] { (void)world->get(); });
        EXPECT_TRUE(dies.step(1'500));
        dies.kill();
        return world;
      },
      [](World& world) { (void)world.get(); },
      [](World& world) {
        const List found = drain(world);
        // What the first getter had begun is its own loss; what the second one took is its.
        EXPECT_TRUE(found == (List{big, "second"}) || found == List{"second"} || found.empty())
            << testing::PrintToString(found);
      });
}

const QueueOptions kSingle{.ring_bytes = 4096, .single_producer = true, .single_consumer = true};

TEST(QueueStepTest, PutOfASingleProducer) {
  test::for_each_step(
      kDeaths,
      [] {
        auto world = std::make_unique<World>(kSingle);
        EXPECT_TRUE(world->put("first"));
        world->queue.resign();
        return world;
      },
      [](World& world) {
        (void)world.put("second");  // becomes the producer
        (void)world.put("third");   // is the producer
      },
      [](World& world) {
        const List found = drain(world);
        EXPECT_TRUE(found == List{"first"} || found == (List{"first", "second"}) ||
                    found == (List{"first", "second", "third"}))
            << testing::PrintToString(found);
      });
}

TEST(QueueStepTest, GetOfASingleConsumer) {
  test::for_each_step(
      kDeaths,
      [] {
        auto world = std::make_unique<World>(kSingle);
        for (const char* text : {"first", "second", "third"}) EXPECT_TRUE(world->put(text));
        return world;
      },
      [](World& world) {
        (void)world.get();
        (void)world.get();
      },
      [](World& world) {
        const List found = drain(world);
        EXPECT_TRUE(found == (List{"first", "second", "third"}) ||
                    found == (List{"second", "third"}) || found == List{"third"})
            << testing::PrintToString(found);
      });
}

TEST(QueueStepTest, TakingOverFromASingleProducer) {
  test::for_each_step(
      kDeaths / 4,
      [] {
        auto world = std::make_unique<World>(kSingle);
        EXPECT_TRUE(world->put("first"));
        world->queue.resign();
        test::SteppedChild dies([&] { (void)world->put(letters(3'000)); });
        EXPECT_TRUE(dies.step(3'500));
        dies.kill();
        return world;
      },
      [](World& world) {
        (void)world.put("second");
        world.queue.resign();
      },
      [](World& world) {
        const List found = drain(world);
        EXPECT_TRUE(found == List{"first"} || found == (List{"first", "second"}))
            << testing::PrintToString(found);
      });
}

TEST(QueueStepTest, ShutdownOfASingleProducersQueue) {
  test::for_each_step(
      kDeaths, [] { return std::make_unique<World>(kSingle); },
      [](World& world) {
        (void)world.put("first");
        world.queue.shutdown(false);
      },
      [](World& world) {
        world.queue.shutdown(false);
        try {
          EXPECT_EQ(world.get(), "first");
          (void)world.get();
          ADD_FAILURE() << "it does not end";
        } catch (const ShutDown&) {
        }
      });
}

TEST(QueueStepTest, GetOfAJoinableQueue) {
  test::for_each_step(
      kDeaths / 2,
      [] {
        auto queue = std::make_unique<JoinableQueue<int>>();
        queue->put(1);
        return queue;
      },
      [](JoinableQueue<int>& queue) { (void)queue.get(); },
      [](JoinableQueue<int>& queue) {
        if (queue.empty()) {
          EXPECT_THROW((void)queue.join_for(20s), OwnerDied);
        } else {
          EXPECT_FALSE(queue.join_for(0s));
          EXPECT_EQ(queue.get(), 1);
          queue.task_done();
        }
        EXPECT_TRUE(queue.join_for(20s));
      });
}

TEST(QueueStepTest, Shutdown) {
  test::for_each_step(
      kDeaths,
      [] {
        auto world = std::make_unique<World>();
        EXPECT_TRUE(world->put("first"));
        return world;
      },
      [](World& world) { world.queue.shutdown(false); },
      [](World& world) {
        EXPECT_EQ(world.get(), "first");
        world.queue.shutdown(false);
        EXPECT_THROW((void)world.get(), ShutDown);
      });
}

// The bell. Whatever the dead one left behind: while an item waits the descriptor is readable, and
// who takes until nothing is left can rely on the next edge.

bool rings(World& world) { return os::wait_readable(world.queue.bell().get(), Deadline::now()); }

/// What waits, as one finds it who sleeps until the bell rings.
List heard(World& world) {
  List found;
  while (rings(world)) {
    const std::optional<std::string> text = world.get(Deadline::now());
    if (text) found.push_back(*text);
  }
  EXPECT_EQ(world.queue.items(), 0U) << "an item waits, and nothing told";
  EXPECT_EQ(world.get(Deadline::now()), std::nullopt);
  EXPECT_FALSE(rings(world));
  EXPECT_TRUE(world.put("next"));
  EXPECT_TRUE(rings(world));
  EXPECT_EQ(world.get(), "next");
  EXPECT_FALSE(rings(world));
  return found;
}

std::unique_ptr<World> watched_world(const List& texts, bool single_producer = false) {
  auto world =
      std::make_unique<World>(QueueOptions{.ring_bytes = 4096, .single_producer = single_producer});
  world->queue.watch();
  for (const std::string& text : texts) EXPECT_TRUE(world->put(text));
  return world;
}

void step_through_a_put(bool single_producer) {
  test::for_each_step(
      kDeaths, [&] { return watched_world({}, single_producer); },
      [](World& world) { (void)world.put("first"); },
      [](World& world) {
        const List found = heard(world);
        EXPECT_TRUE(found.empty() || found == List{"first"}) << testing::PrintToString(found);
      });
}

TEST(QueueStepTest, PutThatRingsTheBell) { step_through_a_put(false); }

TEST(QueueStepTest, PutOfASingleProducerThatRingsTheBell) { step_through_a_put(true); }

void step_through_a_get(bool single_producer) {
  test::for_each_step(
      kDeaths, [&] { return watched_world({"first"}, single_producer); },
      [](World& world) {
        (void)world.get();
        (void)world.get(Deadline::now());
      },
      [](World& world) {
        const List found = heard(world);
        EXPECT_TRUE(found.empty() || found == List{"first"}) << testing::PrintToString(found);
      });
}

TEST(QueueStepTest, GetThatSilencesTheBell) { step_through_a_get(false); }

TEST(QueueStepTest, GetThatSilencesTheBellOfASingleProducer) { step_through_a_get(true); }

TEST(QueueStepTest, WatchAndUnwatch) {
  test::for_each_step(
      kDeaths, [] { return watched_world({"first"}); },
      [](World& world) {
        world.queue.watch();
        world.queue.unwatch();
      },
      [](World& world) { EXPECT_EQ(heard(world), List{"first"}); });
}

TEST(QueueStepTest, ShutdownThatRingsTheBell) {
  test::for_each_step(
      kDeaths, [] { return watched_world({}); }, [](World& world) { world.queue.shutdown(false); },
      [](World& world) {
        const bool rang = rings(world);
        try {
          EXPECT_EQ(world.get(Deadline::now()), std::nullopt);
          EXPECT_FALSE(rings(world));
        } catch (const ShutDown&) {
          EXPECT_TRUE(rang) << "it was shut down, and nothing told";
          EXPECT_TRUE(rings(world));
        }
      });
}

}  // namespace
}  // namespace tandem::detail
