// A process dies after every instruction of a send or a receive. The other end then gets every
// message that was published, whole and in order, and after them the end of file, in bounded time.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/step_kill.hpp"
#include "tandem/detail/byte_channel.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kDeaths = 25;
constexpr std::size_t kDeathsInStreams = 10;
constexpr std::uint32_t kType = 7;

using List = std::vector<std::string>;

void send(ByteChannel& to, const std::string& text) {
  to.send({kType, std::as_bytes(std::span(text)), nullptr});
}

/// \throws EndOfFile
std::string receive(ByteChannel& from) {
  std::string text;
  Incoming into;
  into.context = &text;
  into.grow = [](Incoming& self, std::size_t size) {
    auto& target = *static_cast<std::string*>(self.context);
    target.resize(size);
    return reinterpret_cast<std::byte*>(target.data());
  };
  if (!from.recv(into, Deadline::after(20s))) throw TimedOut("the survivor waits for ever");
  return text;
}

/// A pipe, one end of which is the stepped child's alone once it exists.
struct World {
  World() {
    auto [one, other] = ByteChannel::pair();
    mine = std::move(one);
    childs = std::move(other);
  }
  ~World() {
    if (thread.joinable()) thread.join();
  }

  /// All that comes until the end of file.
  List drain() {
    List all;
    try {
      for (;;) all.push_back(receive(*mine));
    } catch (const EndOfFile&) {
    }
    return all;
  }

  std::unique_ptr<ByteChannel> mine;
  std::unique_ptr<ByteChannel> childs;
  std::thread thread;  // the survivor's
  List found;          // by the thread
};

void keep_only_mine(World& world) { world.childs->abandon(); }

std::unique_ptr<World> make_world() { return std::make_unique<World>(); }

std::string letters(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

/// Larger than the ring, so that it only passes while both ends are at work. Made by the survivor.
const std::string large = letters(400'000);

TEST(PipeStepTest, Send) {
  test::for_each_step(
      kDeaths,
      [] {
        auto world = make_world();
        send(*world->childs, "first");
        return world;
      },
      [](World& world) { send(*world.childs, "second"); },
      [](World& world) {
        const List found = world.drain();
        EXPECT_TRUE(found == List{"first"} || found == (List{"first", "second"}))
            << testing::PrintToString(found);
        EXPECT_THROW(send(*world.mine, "to the dead"), EndOfFile);
      },
      keep_only_mine);
}

TEST(PipeStepTest, Recv) {
  test::for_each_step(
      kDeaths,
      [] {
        auto world = make_world();
        for (const char* text : {"first", "second"}) send(*world->mine, text);
        send(*world->childs, "before");
        return world;
      },
      [](World& world) { (void)receive(*world.childs); },
      [](World& world) {
        EXPECT_THROW(send(*world.mine, "to the dead"), EndOfFile);
        EXPECT_EQ(world.drain(), List{"before"});
      },
      keep_only_mine);
}

TEST(PipeStepTest, SendOfAStreamLargerThanTheRing) {
  test::for_each_step(
      kDeathsInStreams,
      [] {
        auto world = make_world();
        send(*world->childs, "first");
        return world;
      },
      [](World& world) { send(*world.childs, large); },
      [](World& world) {
        world.thread.join();
        EXPECT_TRUE(world.found == List{"first"} || world.found == (List{"first", large}))
            << world.found.size() << " messages";
      },
      [](World& world) {
        keep_only_mine(world);
        world.thread = std::thread([&world] { world.found = world.drain(); });
      });
}

TEST(PipeStepTest, RecvOfAStreamLargerThanTheRing) {
  test::for_each_step(
      kDeathsInStreams, make_world, [](World& world) { (void)receive(*world.childs); },
      [](World& world) {
        world.thread.join();
        EXPECT_THROW(send(*world.mine, "to the dead"), EndOfFile);
      },
      [](World& world) {
        keep_only_mine(world);
        world.thread = std::thread([&world] {
          try {
            send(*world.mine, large);
          } catch (const EndOfFile&) {  // the reader died before it had taken enough
          }
        });
      });
}

TEST(PipeStepTest, SendWhileThePeerSendsToo) {
  // A send that waits for room takes in what arrives: both streams are larger than their rings.
  test::for_each_step(
      kDeathsInStreams, make_world,
      [](World& world) {
        send(*world.childs, large);
        (void)receive(*world.childs);
      },
      [](World& world) {
        world.thread.join();
        EXPECT_TRUE(world.found.empty() || world.found == List{large});
      },
      [](World& world) {
        keep_only_mine(world);
        world.thread = std::thread([&world] {
          try {
            send(*world.mine, large);
          } catch (const EndOfFile&) {
          }
          world.found = world.drain();
        });
      });
}

}  // namespace
}  // namespace tandem::detail
