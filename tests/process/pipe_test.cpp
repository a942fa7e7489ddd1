// Connections between processes: what is sent arrives whole, and every death is an end of file.
#include "tandem/pipe.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/child.hpp"
#include "support/cross.hpp"
#include "support/forked.hpp"
#include "support/large.hpp"
#include "support/start_methods.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;

using PipeProcessTest = StartMethodTest;
TANDEM_OVER_START_METHODS(PipeProcessTest);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kHuge = std::size_t{64} << 20;
#else
constexpr std::size_t kHuge = std::size_t{512} << 20;
#endif

Bytes pattern(std::size_t size, std::uint64_t seed) {
  Bytes bytes(size);
  fill_with_pattern(bytes.data(), size, seed);
  return bytes;
}

TEST_P(PipeProcessTest, KeepsOrderAndBoundaries) {
  auto [mine, theirs] = Pipe<std::string>();
  Process child(echo<std::string>, std::move(theirs));
  child.start();
  for (std::size_t i = 0; i < 500; ++i) mine.send(std::string(i % 7 * i, 'a'));
  for (std::size_t i = 0; i < 500; ++i) ASSERT_EQ(mine.recv(), std::string(i % 7 * i, 'a'));
  mine.close();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

using Record = std::map<std::string, std::vector<double>>;

TEST_P(PipeProcessTest, CarriesTypesThatNeedTheArchive) {
  auto [mine, theirs] = Pipe<std::optional<Record>>();
  Process child(echo<std::optional<Record>>, std::move(theirs));
  child.start();
  const Record record{{"a", {1, 2}}, {"b", {}}};
  mine.send(record);
  mine.send(std::nullopt);
  EXPECT_EQ(mine.recv(), record);
  EXPECT_EQ(mine.recv(), std::nullopt);
  mine.close();
  child.join();
}

void check_and_return(Connection<Bytes> connection) {
  const Bytes bytes = connection.recv();
  require(bytes == pattern(kHuge, 1), "the message is damaged");
  connection.send(Bytes(3));
}

TEST_P(PipeProcessTest, HugeMessageArrivesWhole) {
  auto [mine, theirs] = Pipe<Bytes>();
  Process child(check_and_return, std::move(theirs));
  child.start();
  mine.send(pattern(kHuge, 1));
  EXPECT_EQ(mine.recv().size(), 3U);
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

void send_first(Connection<Bytes> connection) {
  for (std::uint64_t i = 0; i < 20; ++i) connection.send(pattern(1'000'000, i));
  for (std::uint64_t i = 0; i < 20; ++i) {
    require(connection.recv() == pattern(1'000'000, 100 + i), "the message is damaged");
  }
}

TEST_P(PipeProcessTest, BothSidesSendFirst) {
  auto [mine, theirs] = Pipe<Bytes>();
  Process child(send_first, std::move(theirs));
  child.start();
  for (std::uint64_t i = 0; i < 20; ++i) mine.send(pattern(1'000'000, 100 + i));
  for (std::uint64_t i = 0; i < 20; ++i) ASSERT_EQ(mine.recv(), pattern(1'000'000, i));
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

void say_two_things(Writer<std::string> writer) {
  writer.send("first");
  writer.send("second");
}

TEST_P(PipeProcessTest, WhatAnEndedChildSentIsReceivedThenEndOfFile) {
  auto [reader, writer] = OneWayPipe<std::string>();
  Process child(say_two_things, std::move(writer));
  child.start();
  child.join();
  EXPECT_TRUE(reader.poll());
  EXPECT_EQ(reader.recv(), "first");
  EXPECT_EQ(reader.recv(), "second");
  EXPECT_TRUE(reader.poll());
  EXPECT_THROW((void)reader.recv(), EndOfFile);
  EXPECT_THROW((void)reader.try_recv(), EndOfFile);
}

void wait_for_ever(Connection<Bytes> connection) {
  connection.send(Bytes(1));
  (void)connection.recv();
  for (;;) ::pause();
}

TEST_P(PipeProcessTest, SendToAKilledProcessIsEndOfFile) {
  auto [mine, theirs] = Pipe<Bytes>();
  Process child(wait_for_ever, std::move(theirs));
  child.start();
  (void)mine.recv();
  child.kill();
  child.join();
  EXPECT_THROW(mine.send(Bytes(10)), EndOfFile);
}

TEST_P(PipeProcessTest, SendIsEndOfFileAsSoonAsTheEndWasSeen) {
  for (int round = 0; round < 20; ++round) {
    auto [mine, theirs] = Pipe<Bytes>();
    Process child(wait_for_ever, std::move(theirs));
    child.start();
    (void)mine.recv();
    child.kill();
    const auto send_on = [&child](Connection<Bytes>& to) {
      while (child.is_alive()) to.send(Bytes(10));
      to.send(Bytes(10));
    };
    EXPECT_THROW(send_on(mine), EndOfFile);
  }
}

TEST_P(PipeProcessTest, ASendThatWaitsForRoomEndsWithItsReceiver) {
  auto [mine, theirs] = Pipe<Bytes>();
  Process child(wait_for_ever, std::move(theirs));
  child.start();
  (void)mine.recv();
  std::jthread killer([&] {
    std::this_thread::sleep_for(5ms);
    child.kill();
  });
  EXPECT_THROW(for (;;) mine.send(Bytes(100'000)), EndOfFile);
}

void send_part_and_die(Writer<Bytes> writer) {
  writer.send(Bytes(5));
  // The reader takes the first chunks; then this process is gone in the middle of it.
  std::jthread killer([] {
    std::this_thread::sleep_for(2ms);
    ::raise(SIGKILL);
    ::kill(::getpid(), SIGKILL);
  });
  const Bytes big(std::size_t{256} << 20);
  for (;;) writer.send(big);
}

TEST_P(PipeProcessTest, DeathAmidASendIsEndOfFileWithoutAPart) {
  auto [reader, writer] = OneWayPipe<Bytes>();
  Process child(send_part_and_die, std::move(writer));
  child.start();
  EXPECT_EQ(reader.recv().size(), 5U);
  std::optional<Bytes> last;
  EXPECT_THROW(for (;;) last = reader.recv(), EndOfFile);
  if (last) {
    EXPECT_EQ(last->size(), std::size_t{256} << 20);
  }
}

// Handles over a connection.

struct Errand {
  Connection<int> connection;
  Queue<int> queue;
  int number = 0;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(connection, queue, number);
  }
};

void run_errands(Connection<int> ready, Reader<Errand> errands) {
  ready.send(0);
  Errand errand = errands.recv();
  errand.connection.send(errand.number);
  errand.queue.put(errand.number + 1);
  errand.number = errand.connection.recv();
  errand.queue.put(errand.number);
}

TEST_P(PipeProcessTest, AConnectionAndAQueueTravelOverAConnection) {
  auto [mine, theirs] = Pipe<int>();
  auto [errands_read, errands_write] = OneWayPipe<Errand>();
  Process child(run_errands, std::move(theirs), std::move(errands_read));
  child.start();
  (void)mine.recv();
  auto [near, far] = Pipe<int>();
  Queue<int> queue;
  near.send(77);  // waits in the end that is sent
  Errand errand{std::move(far), queue, 5};
  errands_write.send(std::move(errand));
  EXPECT_TRUE(errand.connection.closed());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(near.recv(), 5);
  EXPECT_EQ(queue.get(), 6);
  EXPECT_EQ(queue.get(), 77);
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
  EXPECT_THROW((void)near.recv(), EndOfFile);
}

void relay(Reader<Connection<std::string>> from, Writer<Connection<std::string>> to) {
  Connection<std::string> held = from.recv();
  // Larger than the ring: part of what the other side sends is taken in here and has to travel on.
  held.send(std::string(1'000'000, 'r'));
  to.send(std::move(held));
}

TEST_P(PipeProcessTest, WhatARelayTookInTravelsOn) {
  auto [to_relay_read, to_relay] = OneWayPipe<Connection<std::string>>();
  auto [back, back_write] = OneWayPipe<Connection<std::string>>();
  Process child(relay, std::move(to_relay_read), std::move(back_write));
  child.start();
  auto [near, far] = Pipe<std::string>();
  to_relay.send(std::move(far));
  // No more than the ring holds: while the end is on its way, nobody takes anything in.
  for (int i = 0; i < 12; ++i) near.send(std::string(20'000, static_cast<char>('a' + i)));
  EXPECT_EQ(near.recv(), std::string(1'000'000, 'r'));
  auto returned = back.recv();
  for (int i = 0; i < 12; ++i) {
    ASSERT_EQ(returned.recv(), std::string(20'000, static_cast<char>('a' + i)));
  }
  child.join();
}

// In one process.

TEST(ConnectionTest, ClosedAndMovedFromThrowClosed) {
  auto [one, other] = Pipe<int>();
  Connection<int> moved = std::move(one);
  EXPECT_TRUE(one.closed());  // NOLINT(bugprone-use-after-move)
  EXPECT_THROW(one.send(1), Closed);
  EXPECT_THROW((void)one.recv(), Closed);
  EXPECT_THROW((void)one.try_recv(), Closed);
  EXPECT_THROW((void)one.poll(), Closed);
  EXPECT_THROW((void)one.fd(), Closed);
  EXPECT_FALSE(moved.closed());
  moved.close();
  moved.close();
  EXPECT_TRUE(moved.closed());
  EXPECT_THROW((void)moved.recv(), Closed);
  EXPECT_THROW((void)other.recv(), EndOfFile);
  EXPECT_TRUE(Connection<int>().closed());
}

TEST(ConnectionTest, TheWaitingFamily) {
  auto [one, other] = Pipe<int>();
  EXPECT_EQ(one.try_recv(), std::nullopt);
  EXPECT_EQ(one.recv_for(0s), std::nullopt);
  EXPECT_EQ(one.recv_for(-1s), std::nullopt);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(one.recv_for(10ms), std::nullopt);
  EXPECT_EQ(one.recv_until(start + 20ms), std::nullopt);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 20ms);
  EXPECT_FALSE(one.poll_for(1ms));
  other.send(4);
  EXPECT_TRUE(one.poll_for(std::chrono::hours::max()));
  EXPECT_EQ(one.recv_for(1h), 4);
}

TEST(ConnectionTest, AMessageOfAnotherTypeIsADecodeErrorAndTheNextIsFine) {
  auto [one, other] = Pipe<std::string, int>();
  // As if the other program named another type: the end is rebuilt with one.
  auto wrong = cross<Connection<int, std::string>, Connection<int, std::vector<double>>>(
      other, detail::Route::connection);
  one.send("text");
  EXPECT_THROW((void)wrong.recv(), DecodeError);
  one.send(std::string(1000, 'x'));
  EXPECT_THROW((void)wrong.recv(), DecodeError);
  one.send(std::string(200'001, 'x'));  // streamed, and of no whole number of doubles
  EXPECT_THROW((void)wrong.recv(), DecodeError);
  EXPECT_EQ(wrong.try_recv(), std::nullopt);
  wrong.send(3);
  EXPECT_EQ(one.recv(), 3);
}

TEST(ConnectionTest, AFailedSendKeepsTheConnectionThatWasInIt) {
  auto [carrier, gone] = Pipe<Connection<int>>();
  auto [one, other] = Pipe<int>();
  gone.close();
  EXPECT_THROW(carrier.send(std::move(one)), EndOfFile);
  ASSERT_FALSE(one.closed());  // NOLINT(bugprone-use-after-move)
  one.send(5);
  EXPECT_EQ(other.recv(), 5);
}

TEST(ConnectionTest, MoveOnlyAndUnassumingTypes) {
  auto [one, other] = Pipe<std::unique_ptr<int>>();
  one.send(std::make_unique<int>(3));
  EXPECT_EQ(*other.recv(), 3);
}

// Forks of the user's own.

TEST(ConnectionForkTest, EndOfFileWaitsForBothHolders) {
  auto [mine, theirs] = Pipe<int>();
  Step close_it;
  Forked child([&, &mine_ = mine, &theirs_ = theirs] {
    mine_.close();
    close_it.await();
    theirs_.send(1);
    return 0;
  });
  theirs.close();
  EXPECT_EQ(mine.try_recv(), std::nullopt);
  close_it.done();
  EXPECT_EQ(mine.recv(), 1);
  EXPECT_EQ(child.wait(), 0);
  EXPECT_THROW((void)mine.recv(), EndOfFile);
  EXPECT_THROW(mine.send(1), EndOfFile);
}

TEST(ConnectionForkTest, AChildThatClosesItsCopyDoesNotCloseOurs) {
  auto [mine, theirs] = Pipe<int>();
  Forked child([&, &mine_ = mine, &theirs_ = theirs] {
    mine_.close();
    theirs_.close();
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  mine.send(3);
  EXPECT_EQ(theirs.recv(), 3);
}

TEST(ConnectionForkTest, TheTwoCopiesOfAnEndMayBeUsedInTurn) {
  auto [mine, theirs] = Pipe<int>();
  theirs.send(1);
  Forked child([&theirs_ = theirs] {
    theirs_.send(2);
    return theirs_.recv() == 10 ? 0 : 1;
  });
  mine.send(10);
  EXPECT_EQ(child.wait(), 0);
  theirs.send(3);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(mine.recv(), i);
}

}  // namespace
}  // namespace tandem::test
