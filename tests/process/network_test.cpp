// A connection over tcp: what the bytes of a peer, good or bad, do to it.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "support/bare_client.hpp"
#include "support/start_methods.hpp"
#include "tandem/event.hpp"
#include "tandem/listener.hpp"
#include "tandem/lock.hpp"
#include "tandem/log.hpp"
#include "tandem/pipe.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"
#include "tandem/shared_memory.hpp"
#include "tandem/wait.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;

const char kAny[] = "tcp:127.0.0.1:0";
const char kKey[] = "a key";

/// Both ends of a connection over the loopback.
template <class A, class B = A>
struct Joined {
  Joined() : near(connect<A, B>(listener.address(), kKey)), far(listener.accept()) {}
  Listener<B, A> listener{kAny, kKey};
  Connection<A, B> near;
  Connection<B, A> far;
};

template <class T>
std::uint32_t type_of() {
  return detail::fingerprint<T>();
}

bool readable(int fd) { return os::wait_readable(fd, detail::Deadline::now()); }

TEST(NetworkTest, CarriesTypesOfEveryKind) {
  using Record = std::map<std::string, std::vector<double>>;
  Joined<int, Record> joined;
  joined.near.send(7);
  EXPECT_EQ(joined.far.recv(), 7);
  const Record record{{"a", {1, 2.5}}, {"b", {}}};
  joined.far.send(record);
  EXPECT_EQ(joined.near.recv(), record);
  Joined<std::string> texts;
  for (std::size_t i = 0; i < 300; ++i) texts.near.send(std::string(i % 7 * i, 'a'));
  for (std::size_t i = 0; i < 300; ++i) ASSERT_EQ(texts.far.recv(), std::string(i % 7 * i, 'a'));
}

struct Padded {
  char small;
  std::uint64_t large;
};

TEST(NetworkTest, PaddingStaysHere) {
  Listener<Padded> listener(kAny, kKey);
  BareClient client(listener.address());
  client.enter(kKey);
  auto connection = listener.accept();
  Padded padded;
  std::memset(&padded, 0xee, sizeof padded);
  padded.small = 1;
  padded.large = 2;
  connection.send(padded);
  static_cast<void>(client.recv_raw<transport::FrameHeader>());
  const auto bytes = client.recv_raw<std::array<unsigned char, sizeof(Padded)>>();
  for (std::size_t i = 1; i < offsetof(Padded, large); ++i) EXPECT_EQ(bytes.at(i), 0) << i;
}

TEST(NetworkTest, LargeMessagesBothWaysAtOnce) {
  Joined<Bytes> joined;
  const std::size_t size = kAsan || kTsan ? 1 << 20 : 8 << 20;
  std::thread other([&] {
    for (int i = 0; i < 4; ++i) joined.far.send(Bytes(size, std::byte(i)));
    for (int i = 0; i < 4; ++i) EXPECT_EQ(joined.far.recv(), Bytes(size, std::byte(10 + i)));
  });
  for (int i = 0; i < 4; ++i) joined.near.send(Bytes(size, std::byte(10 + i)));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(joined.near.recv(), Bytes(size, std::byte(i)));
  other.join();
}

TEST(NetworkTest, WhatWasSentThenEndOfFile) {
  Joined<int> joined;
  joined.near.send(1);
  joined.near.send(2);
  joined.near.close();
  EXPECT_TRUE(joined.far.poll_for(1min));
  EXPECT_EQ(joined.far.recv(), 1);
  EXPECT_EQ(joined.far.recv(), 2);
  EXPECT_THROW(static_cast<void>(joined.far.recv()), EndOfFile);
  EXPECT_TRUE(joined.far.poll());
  EXPECT_THROW(joined.far.send(3), EndOfFile);
}

TEST(NetworkTest, WhatWasSentIsReceivedAfterASendHasFailed) {
  Joined<int> joined;
  joined.far.send(1);
  joined.near.send(2);  // is not read
  joined.near.send(3);
  EXPECT_EQ(joined.far.recv(), 2);
  joined.far.close();
  while (true) {
    try {
      joined.near.send(4);
    } catch (const EndOfFile&) {
      break;
    }
  }
  EXPECT_EQ(joined.near.recv(), 1);
  EXPECT_THROW(static_cast<void>(joined.near.recv()), EndOfFile);
}

TEST(NetworkTest, AMessageOfAnotherTypeIsDroppedAlone) {
  Listener<int> listener(kAny, kKey);
  auto client = connect<std::string, int>(listener.address(), kKey);
  auto server = listener.accept();
  client.send("not an int");
  EXPECT_THROW(static_cast<void>(server.recv()), DecodeError);
  server.send(5);
  EXPECT_EQ(client.recv(), 5);
}

TEST(NetworkTest, AMessageOfASizeItsTypeCannotHave) {
  Listener<int> listener(kAny, kKey);
  BareClient client(listener.address());
  client.enter(kKey);
  auto connection = listener.accept();
  client.send_header(3, type_of<int>());
  client.send(std::vector<std::byte>(3));
  EXPECT_THROW(static_cast<void>(connection.recv()), DecodeError);
  client.send_header(sizeof(int), type_of<int>());
  client.send_raw(6);
  EXPECT_EQ(connection.recv(), 6);
}

TEST(NetworkTest, WhatIsNoMessageEndsTheConnection) {
  Listener<Bytes> listener(kAny, kKey);
  for (const std::uint64_t size : {std::uint64_t{1} << 60, ~std::uint64_t{0}, std::uint64_t{1}}) {
    BareClient client(listener.address());
    client.enter(kKey);
    auto connection = listener.accept();
    client.send_header(1, type_of<Bytes>());
    client.send_raw(std::byte{9});
    client.send_header(size, type_of<Bytes>(), size == 1 ? 0 : transport::kWiped);
    EXPECT_EQ(connection.recv(), Bytes(1, std::byte{9}));
    EXPECT_THROW(static_cast<void>(connection.recv()), DecodeError);
    EXPECT_THROW(static_cast<void>(connection.recv()), EndOfFile);
    EXPECT_THROW(connection.send(Bytes(1)), EndOfFile);
    client.await_end();
  }
}

TEST(NetworkTest, APartOfAMessageIsNotAMessage) {
  Listener<std::string> listener(kAny, kKey);
  BareClient client(listener.address());
  client.enter(kKey);
  auto connection = listener.accept();
  // A length that never comes costs neither memory nor the deadline.
  client.send_header(std::uint64_t{1} << 32, type_of<std::string>());
  EXPECT_EQ(connection.recv_for(1ms), std::nullopt);
  EXPECT_FALSE(connection.poll());
  client.socket().reset();
  EXPECT_THROW(static_cast<void>(connection.recv()), EndOfFile);
}

TEST(NetworkTest, AMessageThatComesByteByByte) {
  Listener<int> listener(kAny, kKey);
  BareClient client(listener.address());
  client.enter(kKey);
  auto connection = listener.accept();
  std::vector<std::byte> bytes(sizeof(transport::FrameHeader) + sizeof(int));
  const transport::FrameHeader header{sizeof(int), type_of<int>(), transport::kWiped};
  const int value = 77;
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, &value, sizeof value);
  for (const std::byte& byte : bytes) {
    EXPECT_EQ(connection.try_recv(), std::nullopt);
    client.send({&byte, 1});
  }
  EXPECT_EQ(connection.recv(), 77);
}

TEST(NetworkTest, HandlesStayOnTheirMachine) {
  auto [mine, theirs] = Pipe<int>();
  Joined<Connection<int>> connections;
  EXPECT_THROW(connections.near.send(std::move(mine)), NotSendable);
  EXPECT_FALSE(mine.closed());
  mine.send(1);
  EXPECT_EQ(theirs.recv(), 1);
  Joined<Queue<int>> queues;
  EXPECT_THROW(queues.near.send(Queue<int>()), NotSendable);
  Joined<Lock> locks;
  EXPECT_THROW(locks.near.send(Lock()), NotSendable);
  Joined<Event> events;
  EXPECT_THROW(events.near.send(Event()), NotSendable);
  Joined<SharedMemory> memories;
  EXPECT_THROW(memories.near.send(SharedMemory(1)), NotSendable);
  Joined<AuthKey> keys;
  EXPECT_THROW(keys.near.send("key"), NotSendable);
  Joined<Connection<int>> itself;
  EXPECT_THROW(connections.near.send(connect<int>(locks.listener.address(), kKey)), NotSendable);
}

TEST(NetworkTest, DescriptorIsReadableWhileAMessageWaits) {
  Joined<int> joined;
  const int fd = joined.far.fd();
  EXPECT_FALSE(readable(fd));
  for (int i = 0; i < 3; ++i) joined.near.send(i);
  ASSERT_TRUE(joined.far.poll_for(1min));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(os::wait_readable(fd, detail::Deadline::never()));
    EXPECT_EQ(joined.far.try_recv(), i);
  }
  EXPECT_EQ(joined.far.try_recv(), std::nullopt);
  EXPECT_FALSE(readable(fd));
  joined.near.close();
  ASSERT_TRUE(os::wait_readable(fd, detail::Deadline::never()));
  EXPECT_THROW(static_cast<void>(joined.far.try_recv()), EndOfFile);
}

TEST(NetworkTest, EdgesComeAgainAfterDraining) {
  Joined<int> joined;
  const detail::Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{EPOLLIN | EPOLLET, {}};
  ASSERT_EQ(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, joined.far.fd(), &event), 0);
  int received = 0;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i <= round % 3; ++i) joined.near.send(received + i);
    for (int left = round % 3 + 1; left > 0;) {
      ASSERT_EQ(::epoll_wait(epoll.get(), &event, 1, 60'000), 1);
      while (const auto value = joined.far.try_recv()) {
        ASSERT_EQ(*value, received++);
        --left;
      }
    }
  }
}

TEST(NetworkTest, WaitAnyKnowsWhatWasTakenInAlready) {
  Joined<int> a, b;
  a.near.send(1);
  a.near.send(2);
  EXPECT_EQ(wait_any({b.far, a.far}), std::vector<std::size_t>{1});
  EXPECT_EQ(a.far.recv(), 1);
  EXPECT_EQ(wait_any({b.far, a.far}), std::vector<std::size_t>{1});
  EXPECT_EQ(a.far.recv(), 2);
  EXPECT_TRUE(wait_any({b.far, a.far}, 0ms).empty());
  b.near.close();
  EXPECT_EQ(wait_any({b.far, a.far}), std::vector<std::size_t>{0});
}

using NetworkProcessTest = ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(NetworkProcessTest);

void finish(Connection<Bytes> connection) {
  for (int i = 1; i < 10; ++i) {
    if (connection.recv() != Bytes(1000, std::byte(i))) throw std::logic_error("damaged");
  }
  connection.send(Bytes(5));
}

TEST_P(NetworkProcessTest, AnEndMovesWithWhatItHasTakenIn) {
  Joined<Bytes> joined;
  for (int i = 0; i < 5; ++i) joined.near.send(Bytes(1000, std::byte(i)));
  // Has taken in more than one by now.
  EXPECT_EQ(joined.far.recv(), Bytes(1000, std::byte(0)));
  Process child(finish, std::move(joined.far));
  child.start();
  EXPECT_TRUE(joined.far.closed());
  for (int i = 5; i < 10; ++i) joined.near.send(Bytes(1000, std::byte(i)));
  EXPECT_EQ(joined.near.recv(), Bytes(5));
  EXPECT_THROW(static_cast<void>(joined.near.recv()), EndOfFile);
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

void send_for_ever(Connection<Bytes> connection) {
  for (;;) connection.send(Bytes(1'000'000));
}

TEST_P(NetworkProcessTest, ASenderKilledInTheMiddleIsAnEndOfFile) {
  Joined<Bytes> joined;
  Process child(send_for_ever, std::move(joined.far));
  child.start();
  EXPECT_EQ(joined.near.recv().size(), 1'000'000u);
  child.kill();
  EXPECT_THROW(
      {
        for (;;) {
          if (joined.near.recv().size() != 1'000'000u) break;
        }
      },
      EndOfFile);
  child.join();
}

}  // namespace
}  // namespace tandem::test
