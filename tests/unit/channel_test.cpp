// The core of Connection: messages of bytes between two ends, in one process.
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "os/event_fd.hpp"
#include "os/memfd.hpp"
#include "os/socket.hpp"
#include "os/spin.hpp"
#include "shm/segment.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/byte_channel.hpp"
#include "tandem/error.hpp"
#include "transport/channel_layout.hpp"

namespace tandem::detail {
namespace {

using transport::ChannelHeader;
using transport::kChannelBytes;
using transport::kRingBytes;

/// A message as a test sees it.
struct Received {
  std::string text;
  std::uint32_t type = 0;
  std::vector<Fd> descriptors;
};

class TextSink {
 public:
  TextSink() {
    incoming.context = this;
    incoming.grow = [](Incoming& self, std::size_t n) {
      auto& sink = *static_cast<TextSink*>(self.context);
      sink.text.resize(n);
      return reinterpret_cast<std::byte*>(sink.text.data());
    };
  }
  std::string text;
  Incoming incoming;
};

void send(ByteChannel& end, std::string_view text, std::uint32_t type = 1,
          std::vector<Fd>* descriptors = nullptr) {
  end.send({type, std::as_bytes(std::span(text.data(), text.size())), descriptors});
}

bool try_send(ByteChannel& end, std::string_view text) {
  return end.try_send({1, std::as_bytes(std::span(text.data(), text.size())), nullptr});
}

std::optional<Received> receive(ByteChannel& end, Deadline deadline = Deadline::never()) {
  TextSink sink;
  if (!end.recv(sink.incoming, deadline)) return std::nullopt;
  EXPECT_EQ(sink.incoming.size, sink.text.size());
  return Received{std::move(sink.text), sink.incoming.type, std::move(sink.incoming.descriptors)};
}

std::string receive_text(ByteChannel& end) { return receive(end).value().text; }

/// A message that is received as it is read, if it is large.
class Flow {
 public:
  explicit Flow(ByteChannel& end) {
    sink_.incoming.takes_inflow = true;
    EXPECT_TRUE(end.recv(sink_.incoming, Deadline::never()));
  }
  [[nodiscard]] bool comes_later() const noexcept { return sink_.incoming.rest != nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return sink_.incoming.rest_bytes; }
  [[nodiscard]] std::vector<Fd>& descriptors() noexcept { return sink_.incoming.descriptors; }
  [[nodiscard]] const Inflow& inflow() const noexcept { return *sink_.incoming.rest; }
  /// \returns at least that many of the next bytes
  std::string read(std::size_t least) {
    std::string text;
    while (text.size() < least) {
      const auto piece = sink_.incoming.rest->next();
      EXPECT_FALSE(piece.empty());
      text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    }
    return text;
  }
  void let_go() noexcept { sink_.incoming.rest.reset(); }

 private:
  TextSink sink_;
};

std::string pattern(std::size_t size, unsigned seed) {
  std::string text(size, '\0');
  std::minstd_rand random(seed + 1);
  std::size_t i = 0;
  for (; i + sizeof(std::uint32_t) <= size; i += sizeof(std::uint32_t)) {
    const auto word = static_cast<std::uint32_t>(random());
    std::memcpy(text.data() + i, &word, sizeof word);
  }
  return text;
}

bool is_readable(int fd) {
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, 0) == 1;
}

class ChannelTest : public testing::Test {
 protected:
  ChannelTest() { std::tie(near_, far_) = ByteChannel::pair(); }

  std::unique_ptr<ByteChannel> near_;
  std::unique_ptr<ByteChannel> far_;
};

TEST_F(ChannelTest, KeepsOrderBoundariesAndTypes) {
  send(*near_, "one", 7);
  send(*near_, "", 8);
  send(*near_, "three", 9);
  auto first = receive(*far_).value();
  EXPECT_EQ(first.text, "one");
  EXPECT_EQ(first.type, 7U);
  auto second = receive(*far_).value();
  EXPECT_EQ(second.text, "");
  EXPECT_EQ(second.type, 8U);
  EXPECT_EQ(receive_text(*far_), "three");
  EXPECT_FALSE(receive(*far_, Deadline::now()));
}

TEST_F(ChannelTest, BothDirectionsAreIndependent) {
  send(*near_, "to far");
  send(*far_, "to near");
  EXPECT_EQ(receive_text(*near_), "to near");
  EXPECT_EQ(receive_text(*far_), "to far");
}

TEST_F(ChannelTest, EverySizeAroundTheLimitsArrivesWhole) {
  const std::size_t whole = kRingBytes / 4;
  std::vector<std::size_t> sizes{0,
                                 1,
                                 7,
                                 8,
                                 9,
                                 4095,
                                 4096,
                                 whole - 9,
                                 whole - 8,
                                 whole - 1,
                                 whole,
                                 whole + 1,
                                 kRingBytes - 8,
                                 kRingBytes,
                                 kRingBytes + 1,
                                 3 * kRingBytes + 5};
  std::jthread sender([&] {
    for (unsigned round = 0; round < 5; ++round) {
      for (std::size_t size : sizes) send(*near_, pattern(size, round));
    }
  });
  for (unsigned round = 0; round < 5; ++round) {
    for (std::size_t size : sizes) ASSERT_EQ(receive_text(*far_), pattern(size, round)) << size;
  }
}

TEST_F(ChannelTest, SixtyFourKibibytesCanBeSentBeforeAnybodyReads) {
  for (int i = 0; i < 64; ++i) send(*near_, std::string(1024, 'x'));
  for (int i = 0; i < 64; ++i) EXPECT_EQ(receive_text(*far_).size(), 1024U);
  send(*near_, std::string(64 * 1024, 'y'));
  EXPECT_EQ(receive_text(*far_).size(), 64U * 1024);
}

TEST_F(ChannelTest, ManyMessagesOfRandomSizesThroughSleepsAndWakeUps) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  constexpr int kMessages = 20000;
  std::jthread sender([&] {
    std::minstd_rand random(seed);
    for (unsigned i = 0; i < kMessages; ++i) {
      send(*near_, pattern(random() % 300, i));
      if (random() % 256 == 0) std::this_thread::yield();
    }
  });
  std::minstd_rand random(seed);
  for (unsigned i = 0; i < kMessages; ++i) {
    ASSERT_EQ(receive_text(*far_), pattern(random() % 300, i));
    if (random() % 256 == 0) continue;
  }
}

TEST_F(ChannelTest, TwoSidesThatBothSendFirstDoNotDeadlock) {
  const auto exchange = [](ByteChannel& end, unsigned mine, unsigned theirs) {
    send(end, pattern(5'000'000, mine));
    for (unsigned i = 0; i < 2000; ++i) send(end, pattern(1000, mine + i));
    EXPECT_EQ(receive_text(end), pattern(5'000'000, theirs));
    for (unsigned i = 0; i < 2000; ++i) ASSERT_EQ(receive_text(end), pattern(1000, theirs + i));
  };
  std::jthread other([&] { exchange(*far_, 7, 900'000); });
  exchange(*near_, 900'000, 7);
}

TEST_F(ChannelTest, TrySendSaysNoWhenThereIsNoRoom) {
  const std::string text(32 * 1024, 'x');
  int sent = 0;
  while (try_send(*near_, text)) ++sent;
  EXPECT_GE(sent, 7);
  EXPECT_TRUE(try_send(*near_, "small"));
  EXPECT_FALSE(try_send(*near_, std::string(kRingBytes, 'x')));
  for (int i = 0; i < sent; ++i) EXPECT_EQ(receive_text(*far_), text);
  EXPECT_EQ(receive_text(*far_), "small");
  EXPECT_TRUE(try_send(*near_, text));
}

/// Keeps this thread on one CPU. Waits spin as if it had all of them.
class OnOneCpu {
 public:
  explicit OnOneCpu(int cpu = ::sched_getcpu()) {
    static_cast<void>(os::usable_cpus());  // is counted once
    EXPECT_EQ(::sched_getaffinity(0, sizeof before_, &before_), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(cpu), &one);
    EXPECT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  }
  OnOneCpu(const OnOneCpu&) = delete;
  OnOneCpu& operator=(const OnOneCpu&) = delete;
  ~OnOneCpu() { EXPECT_EQ(::sched_setaffinity(0, sizeof before_, &before_), 0); }

 private:
  cpu_set_t before_{};
};

/// Tells the other end where this one runs.
void tell_cpu(ByteChannel& end, ByteChannel& other) {
  Outgoing message;
  message.tells_cpu = true;
  ASSERT_TRUE(end.try_send(message));
  ASSERT_EQ(receive_text(other), "");
}

Outgoing whose_bell_may_wait() {
  Outgoing message;
  message.bell_may_wait = true;
  return message;
}

TEST_F(ChannelTest, TheBellOfASleeperOnTheSameCpuMayWait) {
  const OnOneCpu here;
  tell_cpu(*far_, *near_);
  far_->arm();
  EXPECT_TRUE(near_->try_send(whose_bell_may_wait()));
  EXPECT_TRUE(near_->bell_waits());
  EXPECT_FALSE(is_readable(far_->doorbell()));
  EXPECT_TRUE(near_->flush());
  EXPECT_FALSE(near_->bell_waits());
  EXPECT_TRUE(is_readable(far_->doorbell()));
  EXPECT_TRUE(far_->ready_after_doorbell());
  EXPECT_FALSE(is_readable(far_->doorbell()));
  EXPECT_TRUE(near_->flush());
  EXPECT_FALSE(is_readable(far_->doorbell())) << "it was rung twice";
}

TEST_F(ChannelTest, ABellThatWaitsIsRungWhenItsEndGoes) {
  const OnOneCpu here;
  tell_cpu(*far_, *near_);
  far_->arm();
  ASSERT_TRUE(near_->try_send(whose_bell_may_wait()));
  ASSERT_TRUE(near_->bell_waits());
  const Fd left_over(::dup(near_->doorbell()));  // so that closing it does not tell
  near_.reset();
  EXPECT_TRUE(is_readable(far_->doorbell()));
}

TEST_F(ChannelTest, NoBellWaitsForWhoDoesNotSleepOrMayRunElsewhere) {
  const OnOneCpu here;
  far_->arm();
  EXPECT_TRUE(near_->try_send(whose_bell_may_wait()));  // nobody has told where far_ runs
  EXPECT_FALSE(near_->bell_waits());
  EXPECT_TRUE(is_readable(far_->doorbell()));
  EXPECT_EQ(receive_text(*far_), "");

  tell_cpu(*far_, *near_);
  EXPECT_TRUE(near_->try_send(whose_bell_may_wait()));  // it does not sleep
  EXPECT_FALSE(near_->bell_waits());
}

TEST_F(ChannelTest, NoBellWaitsForASleeperOnAnotherCpu) {
  cpu_set_t all;
  ASSERT_EQ(::sched_getaffinity(0, sizeof all, &all), 0);
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "there is one CPU";
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<unsigned>(cpu), &all)) cpus.push_back(cpu);
  }
  {
    const OnOneCpu first(cpus[0]);
    tell_cpu(*far_, *near_);
  }
  far_->arm();
  const OnOneCpu second(cpus[1]);
  EXPECT_TRUE(near_->try_send(whose_bell_may_wait()));
  EXPECT_FALSE(near_->bell_waits());
  EXPECT_TRUE(is_readable(far_->doorbell()));
}

TEST_F(ChannelTest, WhoWaitsForAPeerOfItsOwnCpuSleeps) {
  const OnOneCpu here;
  constexpr int kTrials = 40;
  int slept = 0;
  for (int i = 0; i < kTrials; ++i) {
    auto [near, far] = ByteChannel::pair();  // new ones, which spin for longer than this
    tell_cpu(*far, *near);
    rusage before{};
    rusage after{};
    ASSERT_EQ(::getrusage(RUSAGE_THREAD, &before), 0);
    EXPECT_FALSE(receive(*near, Deadline::after(std::chrono::microseconds(45))));
    ASSERT_EQ(::getrusage(RUSAGE_THREAD, &after), 0);
    if (after.ru_nvcsw != before.ru_nvcsw) ++slept;
  }
  EXPECT_GE(slept, kTrials / 4);
}

TEST_F(ChannelTest, RecvGivesUpAtItsDeadline) {
  const auto start = Deadline::Clock::now();
  EXPECT_FALSE(receive(*far_, Deadline::after(std::chrono::milliseconds(20))));
  EXPECT_GE(Deadline::Clock::now() - start, std::chrono::milliseconds(20));
}

TEST_F(ChannelTest, PollDoesNotConsume) {
  EXPECT_FALSE(near_->poll(Deadline::now()));
  EXPECT_FALSE(near_->poll(Deadline::after(std::chrono::milliseconds(1))));
  send(*far_, "x");
  EXPECT_TRUE(near_->poll(Deadline::now()));
  EXPECT_TRUE(near_->poll(Deadline::never()));
  EXPECT_EQ(receive_text(*near_), "x");
  EXPECT_FALSE(near_->poll(Deadline::now()));
}

TEST_F(ChannelTest, ClosedPeerLeavesWhatItSentThenEndOfFile) {
  send(*near_, "last words");
  near_.reset();
  EXPECT_TRUE(far_->poll(Deadline::now()));
  EXPECT_EQ(receive_text(*far_), "last words");
  EXPECT_TRUE(far_->poll(Deadline::now()));
  EXPECT_THROW(receive_text(*far_), EndOfFile);
  EXPECT_THROW(receive(*far_, Deadline::now()), EndOfFile);
  EXPECT_THROW(send(*far_, "x"), EndOfFile);
  EXPECT_THROW((void)try_send(*far_, "x"), EndOfFile);
}

TEST_F(ChannelTest, SendToAPeerThatClosedAMomentAgoIsEndOfFile) {
  send(*far_, "x");
  near_.reset();
  EXPECT_THROW(send(*far_, "y"), EndOfFile);
}

TEST_F(ChannelTest, ClosingWakesSleepersOfBothKinds) {
  std::jthread closer([this] {
    // Full of a message that nobody reads: the sender below sleeps by then, or will find it closed.
    while (!near_->poll(Deadline::now())) std::this_thread::yield();
    near_.reset();
  });
  EXPECT_THROW(for (;;) send(*far_, std::string(50'000, 'x')), EndOfFile);
}

TEST_F(ChannelTest, DescriptorsArriveWithTheirMessage) {
  std::vector<Fd> bells;
  for (int i = 0; i < 3; ++i) bells.push_back(os::make_event_fd());
  std::vector<os::FileIdentity> sent;
  send(*near_, "none");
  std::vector<Fd> copies;
  copies.push_back(bells[0].duplicate());
  send(*near_, "one", 1, &copies);
  EXPECT_TRUE(copies.empty());
  copies.push_back(bells[1].duplicate());
  copies.push_back(bells[2].duplicate());
  send(*near_, std::string(100, 'x'), 1, &copies);
  EXPECT_TRUE(receive(*far_)->descriptors.empty());
  auto one = receive(*far_).value();
  ASSERT_EQ(one.descriptors.size(), 1U);
  auto two = receive(*far_).value();
  ASSERT_EQ(two.descriptors.size(), 2U);
  os::ring_bell(one.descriptors[0]);
  os::ring_bell(two.descriptors[1]);
  EXPECT_TRUE(os::silence_bell(bells[0]));
  EXPECT_FALSE(os::silence_bell(bells[1]));
  EXPECT_TRUE(os::silence_bell(bells[2]));
}

TEST_F(ChannelTest, MoreDescriptorsThanAPacketHolds) {
  const Fd bell = os::make_event_fd();
  std::vector<Fd> copies;
  for (int i = 0; i < 300; ++i) copies.push_back(bell.duplicate());
  send(*near_, "many", 1, &copies);
  EXPECT_EQ(receive(*far_)->descriptors.size(), 300U);
}

TEST_F(ChannelTest, DescriptorsOfBothDirectionsWithAFullSocket) {
  constexpr int kMessages = 1000;
  const Fd bell = os::make_event_fd();
  const auto send_all = [&](ByteChannel& end) {
    for (int i = 0; i < kMessages; ++i) {
      std::vector<Fd> one;
      one.push_back(bell.duplicate());
      send(end, std::string(2000, 'x'), 1, &one);
    }
    for (int i = 0; i < kMessages; ++i) ASSERT_EQ(receive(end)->descriptors.size(), 1U);
  };
  std::jthread other([&] { send_all(*far_); });
  send_all(*near_);
}

TEST_F(ChannelTest, DescriptorsOfAStreamedMessage) {
  const Fd bell = os::make_event_fd();
  std::jthread sender([&] {
    std::vector<Fd> one;
    one.push_back(bell.duplicate());
    send(*near_, pattern(1'000'000, 3), 1, &one);
  });
  auto message = receive(*far_).value();
  EXPECT_EQ(message.text, pattern(1'000'000, 3));
  EXPECT_EQ(message.descriptors.size(), 1U);
}

// The descriptor for epoll.

TEST_F(ChannelTest, FdIsReadableExactlyWhileSomethingWaits) {
  const int fd = near_->fd();
  EXPECT_FALSE(is_readable(fd));
  for (int round = 0; round < 3; ++round) {
    send(*far_, "a");
    send(*far_, "b");
    EXPECT_TRUE(is_readable(fd));
    EXPECT_EQ(receive_text(*near_), "a");
    EXPECT_TRUE(is_readable(fd));
    EXPECT_EQ(receive_text(*near_), "b");
    EXPECT_FALSE(is_readable(fd));
  }
  far_.reset();
  EXPECT_TRUE(is_readable(fd));
  EXPECT_THROW(receive_text(*near_), EndOfFile);
  EXPECT_TRUE(is_readable(fd));
}

TEST_F(ChannelTest, FdMadeLateSeesWhatWaits) {
  send(*far_, "early");
  EXPECT_TRUE(is_readable(near_->fd()));
  EXPECT_EQ(receive_text(*near_), "early");
  EXPECT_FALSE(is_readable(near_->fd()));
}

TEST_F(ChannelTest, FdIsReadableForWhatASendTookIn) {
  const int fd = near_->fd();
  std::jthread other([&] {
    send(*far_, "taken in");
    EXPECT_EQ(receive_text(*far_), pattern(2'000'000, 1));
  });
  while (!is_readable(fd)) std::this_thread::yield();
  send(*near_, pattern(2'000'000, 1));
  other.join();
  EXPECT_TRUE(is_readable(fd));
  EXPECT_EQ(receive_text(*near_), "taken in");
  EXPECT_FALSE(is_readable(fd));
}

TEST_F(ChannelTest, FdNeverTellsOfAMessageThatWasTaken) {
  const int fd = near_->fd();
  constexpr int kRounds = 20000;
  std::jthread other([&] {
    for (int i = 0; i < kRounds; ++i) {
      send(*far_, "ping");
      receive_text(*far_);
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    ASSERT_EQ(receive_text(*near_), "ping");
    ASSERT_FALSE(is_readable(fd)) << i;
    send(*near_, "pong");
  }
}

TEST_F(ChannelTest, EdgeTriggeredDrainingArmsTheNextEdge) {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  ASSERT_EQ(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, near_->fd(), &event), 0);
  constexpr unsigned kMessages = 30000;
  std::jthread sender([&] {
    std::minstd_rand random(5);
    for (unsigned i = 0; i < kMessages; ++i) {
      send(*far_, pattern(4 + random() % 100, i));
      if (random() % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(60));
    }
  });
  std::minstd_rand random(5);
  unsigned received = 0;
  while (received < kMessages) {
    ASSERT_EQ(::epoll_wait(epoll.get(), &event, 1, 20000), 1) << "no edge after " << received;
    while (auto message = receive(*near_, Deadline::now())) {
      ASSERT_EQ(message->text, pattern(4 + random() % 100, received));
      (void)(random() % 64);
      ++received;
    }
  }
}

// Handing an end over.

class Transfer {
 public:
  Buffer bytes;
  std::vector<Fd> descriptors;

  void write(ByteChannel& end, Route route = Route::connection) {
    Encoder to(bytes, route, &descriptors);
    end.hand_over(to);
  }
  std::unique_ptr<ByteChannel> read() {
    Decoder from(bytes.bytes(), Route::connection, &descriptors);
    auto end = ByteChannel::adopt(from);
    from.expect_end();
    return end;
  }
};

TEST_F(ChannelTest, HandedOverEndGoesOnWhereItWas) {
  send(*far_, "waiting");
  Transfer transfer;
  transfer.write(*near_);
  near_->handed_over();
  EXPECT_TRUE(near_->closed());
  EXPECT_THROW(send(*near_, "x"), Closed);
  auto adopted = transfer.read();
  near_.reset();
  EXPECT_EQ(receive_text(*adopted), "waiting");
  send(*adopted, "reply");
  EXPECT_EQ(receive_text(*far_), "reply");
  adopted.reset();
  EXPECT_THROW(receive_text(*far_), EndOfFile);
}

TEST_F(ChannelTest, ATransferThatFailsChangesNothing) {
  {
    Transfer transfer;
    transfer.write(*near_);
  }
  send(*near_, "still here");
  EXPECT_EQ(receive_text(*far_), "still here");
  Transfer transfer;
  transfer.write(*near_);
  transfer.descriptors.pop_back();
  EXPECT_THROW((void)transfer.read(), DecodeError);
  send(*near_, "and here");
  EXPECT_EQ(receive_text(*far_), "and here");
}

TEST_F(ChannelTest, StashPartAndEarlyDescriptorsTravelAlong) {
  const Fd bell = os::make_event_fd();
  // far sends more than the ring holds, with descriptors, then waits in the middle of a stream
  // while near takes in some of it: which part is up to the scheduler, so all of it is checked at
  // the end.
  std::jthread other([&] {
    for (unsigned i = 0; i < 300; ++i) {
      std::vector<Fd> one;
      one.push_back(bell.duplicate());
      send(*far_, pattern(3000, i), 1, &one);
    }
    EXPECT_EQ(receive_text(*far_), pattern(600'000, 1));
    std::vector<Fd> one;
    one.push_back(bell.duplicate());
    send(*far_, pattern(3'000'000, 2), 1, &one);
    EXPECT_EQ(receive_text(*far_), "done");
  });
  send(*near_, pattern(600'000, 1));
  for (unsigned i = 0; i < 300; ++i) {
    Transfer transfer;
    transfer.write(*near_);
    near_->handed_over();
    near_ = transfer.read();
    auto message = receive(*near_).value();
    ASSERT_EQ(message.text, pattern(3000, i));
    ASSERT_EQ(message.descriptors.size(), 1U);
  }
  auto last = receive(*near_).value();
  EXPECT_EQ(last.text, pattern(3'000'000, 2));
  EXPECT_EQ(last.descriptors.size(), 1U);
  send(*near_, "done");
}

TEST_F(ChannelTest, AHalfTakenStreamTravelsAlong) {
  // near fills its ring, so that its next send has to take in the beginning of far's stream.
  std::jthread other([&] {
    send(*far_, pattern(2'000'000, 4));
    std::size_t bytes = 0;
    while (bytes < 40 * 30'000) bytes += receive_text(*far_).size();
  });
  while (!near_->poll(Deadline::now())) std::this_thread::yield();
  for (int i = 0; i < 40; ++i) {
    send(*near_, std::string(30'000, 'x'));
    Transfer transfer;
    transfer.write(*near_);
    near_->handed_over();
    near_ = transfer.read();
  }
  EXPECT_EQ(receive_text(*near_), pattern(2'000'000, 4));
}

TEST_F(ChannelTest, ALargeMessageIsReadAsItComes) {
  for (const std::size_t size : {65'537U, 100'000U, 262'144U, 3'000'001U}) {
    std::jthread other([&] {
      send(*far_, pattern(size, 1), 5);
      send(*far_, "after it");
    });
    Flow flow(*near_);
    ASSERT_TRUE(flow.comes_later());
    ASSERT_EQ(flow.size(), size);
    EXPECT_EQ(flow.read(size), pattern(size, 1));
    flow.let_go();
    EXPECT_EQ(receive_text(*near_), "after it");
  }
}

TEST_F(ChannelTest, WhatIsNotReadOfALargeMessageIsSkipped) {
  static_cast<void>(near_->fd());
  for (const std::size_t read : {0U, 1U, 100'000U, 999'000U, 1'000'000U}) {
    std::jthread other([&] {
      send(*far_, pattern(1'000'000, 1));
      send(*far_, "after it");
    });
    {
      Flow flow(*near_);
      static_cast<void>(flow.read(read));
    }
    EXPECT_EQ(receive_text(*near_), "after it");
    EXPECT_FALSE(near_->poll(Deadline::now()));
    EXPECT_FALSE(is_readable(near_->fd()));
  }
}

TEST_F(ChannelTest, AnEndIsNotUsedWhileItsMessageComes) {
  std::thread other([&] {
    send(*far_, pattern(1'000'000, 1));
    send(*far_, "after it");
  });
  Flow flow(*near_);
  static_cast<void>(flow.read(1));
  EXPECT_THROW(send(*near_, "x"), Error);
  EXPECT_THROW(static_cast<void>(receive_text(*near_)), Error);
  EXPECT_THROW(static_cast<void>(near_->poll(Deadline::now())), Error);
  flow.let_go();
  send(*near_, "x");
  EXPECT_EQ(receive_text(*near_), "after it");
  other.join();
  EXPECT_EQ(receive_text(*far_), "x");
}

TEST_F(ChannelTest, DescriptorsComeBeforeTheBytesOfALargeMessage) {
  std::jthread other([&] {
    std::vector<Fd> descriptors;
    descriptors.push_back(os::make_event_fd());
    send(*far_, pattern(500'000, 1), 1, &descriptors);
  });
  Flow flow(*near_);
  EXPECT_EQ(flow.descriptors().size(), 1U);
  EXPECT_EQ(flow.read(500'000), pattern(500'000, 1));
}

/// What one visit passes on.
std::vector<std::string> visit(ByteChannel& end, std::size_t at_most) {
  std::vector<std::string> texts;
  const std::size_t n = end.visit_small(
      at_most, {&texts, [](void* context, std::uint32_t type, std::span<const std::byte> bytes) {
                  EXPECT_EQ(type, 1U);
                  static_cast<std::vector<std::string>*>(context)->emplace_back(
                      reinterpret_cast<const char*>(bytes.data()), bytes.size());
                }});
  EXPECT_EQ(n, texts.size());
  return texts;
}

TEST_F(ChannelTest, AVisitTakesSmallMessagesInOrder) {
  EXPECT_TRUE(visit(*near_, 10).empty());
  unsigned sent = 0;
  unsigned seen = 0;
  for (int round = 0; round < 200; ++round) {  // several times around the ring
    for (int i = 0; i < 30; ++i, ++sent) send(*far_, pattern(sent % 700, sent));
    for (const std::size_t at_most : {7U, 100U}) {
      const auto texts = visit(*near_, at_most);
      EXPECT_EQ(texts.size(), at_most == 7 ? 7U : 23U);
      for (const std::string& text : texts) {
        ASSERT_EQ(text, pattern(seen % 700, seen));
        ++seen;
      }
    }
    EXPECT_FALSE(near_->poll(Deadline::now()));
  }
}

TEST_F(ChannelTest, AVisitStopsBeforeWhatIsNotSmall) {
  std::vector<Fd> descriptors;
  descriptors.push_back(os::make_event_fd());
  send(*far_, "one");
  send(*far_, "with descriptors", 1, &descriptors);
  send(*far_, "two");
  EXPECT_EQ(visit(*near_, 10), std::vector<std::string>{"one"});
  EXPECT_TRUE(visit(*near_, 10).empty());
  EXPECT_EQ(receive_text(*near_), "with descriptors");
  EXPECT_EQ(visit(*near_, 10), std::vector<std::string>{"two"});
  std::jthread other([&] { send(*far_, pattern(1'000'000, 1)); });
  while (!near_->poll(Deadline::now())) std::this_thread::yield();
  EXPECT_TRUE(visit(*near_, 10).empty());
  EXPECT_EQ(receive_text(*near_), pattern(1'000'000, 1));
}

TEST_F(ChannelTest, AVisitLeavesWhatASendTookInToRecv) {
  for (int i = 0; i < 3; ++i) send(*far_, "early");
  std::jthread other([&] {
    for (int i = 0; i < 40; ++i) static_cast<void>(receive_text(*far_));
  });
  for (int i = 0; i < 40; ++i) send(*near_, std::string(30'000, 'x'));
  std::vector<std::string> all;
  while (all.size() < 3) {
    for (std::string& text : visit(*near_, 10)) all.push_back(std::move(text));
    if (all.size() < 3) all.push_back(receive_text(*near_));
  }
  EXPECT_EQ(all, std::vector<std::string>(3, "early"));
}

TEST_F(ChannelTest, AMessageWhoseVisitThrowsIsTaken) {
  for (const char* text : {"one", "two", "three"}) send(*far_, text);
  int calls = 0;
  const Visitor throws_at_two{&calls, [](void* context, std::uint32_t, std::span<const std::byte>) {
                                if (++*static_cast<int*>(context) == 2) throw DecodeError("two");
                              }};
  EXPECT_THROW(static_cast<void>(near_->visit_small(10, throws_at_two)), DecodeError);
  EXPECT_EQ(receive_text(*near_), "three");
}

TEST_F(ChannelTest, AVisitMakesRoomForAWriterThatSleeps) {
  std::jthread other([&] {
    for (unsigned i = 0; i < 2000; ++i) send(*far_, pattern(1000, i));
  });
  for (unsigned seen = 0; seen < 2000;) {
    const auto texts = visit(*near_, 64);
    for (const std::string& text : texts) ASSERT_EQ(text, pattern(1000, seen++));
    if (texts.empty()) static_cast<void>(near_->poll(Deadline::never()));
  }
}

TEST_F(ChannelTest, BlocksComeWhereTheyBelong) {
  const std::string own = pattern(100, 1);
  const std::string block = pattern(Block::kLeastBytes, 2);
  const auto bytes = [](const std::string& text) {
    return std::as_bytes(std::span(text.data(), text.size()));
  };
  using Places = std::vector<std::size_t>;
  for (const Places& places : {Places{0}, Places{100}, Places{0, 0, 100, 100}, Places{7, 50}}) {
    std::vector<Block> blocks;
    std::string whole = own;
    for (const std::size_t at : places) blocks.push_back({at, bytes(block)});
    for (auto at = places.rbegin(); at != places.rend(); ++at) whole.insert(*at, block);
    std::jthread other([&] { far_->send({1, bytes(own), nullptr, blocks}); });
    EXPECT_TRUE(receive_text(*near_) == whole);
  }
}

TEST_F(ChannelTest, RoutesThatLeadToNobodyInParticularAreRefused) {
  for (const Route route : {Route::queue, Route::manager, Route::socket}) {
    Transfer transfer;
    EXPECT_THROW(transfer.write(*near_, route), NotSendable);
  }
  Transfer transfer;
  transfer.write(*near_, Route::process);
}

TEST_F(ChannelTest, RandomBytesAreNotAnEnd) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::minstd_rand random(seed);
  Transfer good;
  good.write(*near_);
  for (int round = 0; round < 2000; ++round) {
    Transfer bad;
    std::vector<std::byte> bytes(good.bytes.data(), good.bytes.data() + good.bytes.size());
    bytes.resize(random() % (bytes.size() + 1));
    for (unsigned flips = 1 + static_cast<unsigned>(random() % 4); flips != 0 && !bytes.empty();
         --flips) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    bad.bytes.append(bytes.data(), bytes.size());
    for (const Fd& fd : good.descriptors) bad.descriptors.push_back(fd.duplicate());
    try {
      bad.read()->handed_over();
    } catch (const DecodeError&) {
    }
  }
}

// Over a connected socket.

TEST(ChannelOverSocketTest, JoinsTwoEnds) {
  auto [one, other] = os::make_socket_pair();
  auto creator = ByteChannel::over_socket(std::move(one), true);
  auto joiner = ByteChannel::over_socket(std::move(other), false);
  send(*creator, "hello");
  EXPECT_EQ(receive_text(*joiner), "hello");
  send(*joiner, "back");
  EXPECT_EQ(receive_text(*creator), "back");
  creator.reset();
  EXPECT_THROW(receive_text(*joiner), EndOfFile);
}

TEST(ChannelOverSocketTest, RefusesGarbage) {
  const auto join_after = [](std::string_view bytes, std::vector<Fd> descriptors) {
    auto [one, other] = os::make_socket_pair();
    if (!bytes.empty()) {
      EXPECT_EQ(os::send_packet(one.get(), std::as_bytes(std::span(bytes.data(), bytes.size())),
                                descriptors),
                os::Io::done);
    }
    (void)ByteChannel::over_socket(std::move(other), false);
  };
  const transport::PacketHeader good{transport::PacketKind::memory, transport::kChannelVersion};
  const std::string_view packet(reinterpret_cast<const char*>(&good), sizeof good);
  EXPECT_THROW(join_after("", {}), DecodeError);
  EXPECT_THROW(join_after("GET / HTTP/1.1", {}), DecodeError);
  EXPECT_THROW(join_after(packet, {}), DecodeError);
  std::vector<Fd> unsuitable;
  unsuitable.push_back(os::make_event_fd());
  EXPECT_THROW(join_after(packet, std::move(unsuitable)), DecodeError);
  std::vector<Fd> empty_memory;
  empty_memory.push_back(os::make_memfd("zeros", kChannelBytes));
  EXPECT_THROW(join_after(packet, std::move(empty_memory)), DecodeError);
  auto [one, other] = os::make_socket_pair();
  one.reset();
  EXPECT_THROW((void)ByteChannel::over_socket(std::move(other), false), EndOfFile);
}

/// A channel whose shared memory the test can spoil.
class SpoiledChannelTest : public testing::Test {
 protected:
  SpoiledChannelTest() {
    auto [one, other] = os::make_socket_pair();
    writer_ = ByteChannel::over_socket(std::move(one), true);
    transport::PacketHeader header{};
    os::Packet packet;
    EXPECT_EQ(os::recv_packet(other.get(), std::as_writable_bytes(std::span(&header, 1)), packet),
              os::Io::done);
    segment_ = shm::Segment::adopt(packet.descriptors[0].duplicate(), kChannelBytes);
    auto [relay, reader_socket] = os::make_socket_pair();
    EXPECT_EQ(
        os::send_packet(relay.get(), std::as_bytes(std::span(&header, 1)), packet.descriptors),
        os::Io::done);
    reader_ = ByteChannel::over_socket(std::move(reader_socket), false);
    relay_ = std::move(relay);
    writer_socket_ = std::move(other);
  }
  std::byte* ring() { return segment_.data() + transport::kRingsOffset; }
  shm::RingState& state() { return reinterpret_cast<ChannelHeader*>(segment_.data())->rings[0]; }

  shm::Segment segment_;
  Fd relay_, writer_socket_;
  std::unique_ptr<ByteChannel> writer_, reader_;
};

TEST_F(SpoiledChannelTest, AStreamOfAnImpossibleSizeIsADecodeError) {
  const shm::RecordHeader first{16U | 2U << 28, 1};
  const std::uint64_t size = std::uint64_t{1} << 50;
  std::memcpy(ring(), &first, sizeof first);
  std::memcpy(ring() + 8, &size, sizeof size);
  state().tail.store(3);
  EXPECT_THROW(receive_text(*reader_), DecodeError);
}

TEST_F(SpoiledChannelTest, AStreamOfWhatFitsIntoOneRecordIsADecodeError) {
  const shm::RecordHeader first{16U | 2U << 28, 1};
  const std::uint64_t size = 100;
  std::memcpy(ring(), &first, sizeof first);
  std::memcpy(ring() + 8, &size, sizeof size);
  state().tail.store(shm::Cursor(3).with_streaming(true).raw());
  EXPECT_THROW(receive(*reader_, Deadline::now()), DecodeError);
}

TEST_F(SpoiledChannelTest, WhatWaitsIsToldOfThoughTheSocketHasGarbage) {
  const int fd = reader_->fd();
  const shm::RecordHeader whole{8U | 1U << 28, 1};
  std::memcpy(ring(), &whole, sizeof whole);
  std::memcpy(ring() + 8, "the text", 8);
  state().tail.store(2);
  EXPECT_NE(state().reader_parked.exchange(0), 0U);  // as a peer that rings, but this is no bell:
  EXPECT_EQ(os::send_packet(relay_.get(), std::as_bytes(std::span("x", 1))), os::Io::done);
  EXPECT_THROW((void)reader_->ready_after_doorbell(), DecodeError);
  EXPECT_TRUE(is_readable(fd));
  EXPECT_EQ(receive_text(*reader_), "the text");
}

/// Puts the beginning of a message of 100 000 bytes, whose first record has 8 of them.
class HalfMessageTest : public SpoiledChannelTest {
 protected:
  void begin(bool streaming) {
    const shm::RecordHeader first{16U | 2U << 28, 1};
    const std::uint64_t size = 100'000;
    std::memcpy(ring(), &first, sizeof first);
    std::memcpy(ring() + 8, &size, sizeof size);
    std::memcpy(ring() + 16, "12345678", 8);
    state().tail.store(shm::Cursor(3).with_streaming(streaming).raw());
  }
};

TEST_F(HalfMessageTest, WhoseWriterDiesIsTheEndOfFile) {
  begin(true);
  Flow flow(*reader_);
  EXPECT_EQ(flow.read(1), "12345678");
  relay_.reset();
  EXPECT_THROW(flow.read(1), EndOfFile);
  EXPECT_TRUE(flow.inflow().failed());
  EXPECT_FALSE(flow.inflow().broken_off());
  flow.let_go();
  EXPECT_THROW(receive_text(*reader_), EndOfFile);
}

TEST_F(HalfMessageTest, ThatIsBrokenOffIsNoMessage) {
  begin(false);
  Flow flow(*reader_);
  EXPECT_EQ(flow.read(1), "12345678");
  EXPECT_THROW(flow.read(1), EndOfFile);
  EXPECT_TRUE(flow.inflow().broken_off());
  flow.let_go();
  EXPECT_FALSE(receive(*reader_, Deadline::now()));
}

TEST_F(HalfMessageTest, WhosePartsDoNotFitIsADecodeError) {
  begin(true);
  const shm::RecordHeader last{8U | 4U << 28, 1};  // 99 992 bytes are lacking
  std::memcpy(ring() + 24, &last, sizeof last);
  state().tail.store(5);
  Flow flow(*reader_);
  EXPECT_EQ(flow.read(1), "12345678");
  EXPECT_THROW(flow.read(1), DecodeError);
  EXPECT_TRUE(flow.inflow().failed());
  flow.let_go();
  EXPECT_FALSE(receive(*reader_, Deadline::now()));
}

TEST_F(SpoiledChannelTest, DescriptorsThatNeverCameAreADecodeErrorOfThatMessage) {
  const shm::RecordHeader record{8U | 9U << 28, 1};
  const transport::DescriptorNote note{1, 2};
  std::memcpy(ring(), &record, sizeof record);
  std::memcpy(ring() + 8, &note, sizeof note);
  state().tail.store(2);
  EXPECT_THROW(receive_text(*reader_), DecodeError);
  EXPECT_FALSE(receive(*reader_, Deadline::now()));
}

TEST_F(SpoiledChannelTest, ChunksWithoutABeginningAreSkipped) {
  const shm::RecordHeader more{8U | 3U << 28, 1};
  const shm::RecordHeader whole{8U | 1U << 28, 1};
  std::memcpy(ring(), &more, sizeof more);
  std::memcpy(ring() + 16, &whole, sizeof whole);
  std::memcpy(ring() + 24, "the text", 8);
  state().tail.store(4);
  EXPECT_EQ(receive_text(*reader_), "the text");
}

TEST_F(SpoiledChannelTest, RandomBytesAreRejectedNeverACrash) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::minstd_rand random(seed);
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    for (std::size_t i = 0; i < 512; ++i) ring()[i] = static_cast<std::byte>(random());
    // Half of the time a header that is nearly right.
    if (round % 2 == 0) {
      const shm::RecordHeader header{static_cast<std::uint32_t>(random() % 64) |
                                         static_cast<std::uint32_t>(random() % 16) << 28,
                                     1};
      std::memcpy(ring(), &header, sizeof header);
    }
    state().head.store(0);
    state().tail_seen.store(0);
    state().tail.store(1 + random() % 64);
    try {
      while (receive(*reader_, Deadline::now())) {
      }
    } catch (const DecodeError&) {
      ++refused;
    } catch (const EndOfFile&) {
    }
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace tandem::detail
