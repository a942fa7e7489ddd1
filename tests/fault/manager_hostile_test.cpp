// What anybody of the same user can do to a manager's server: it must harm nobody but the one who
// does it.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "manager/protocol.hpp"
#include "os/socket.hpp"
#include "shm/segment.hpp"
#include "support/random.hpp"
#include "support/supervisor.hpp"
#include "tandem/detail/buffer.hpp"
#include "tandem/detail/byte_channel.hpp"
#include "tandem/detail/manager_protocol.hpp"
#include "tandem/error.hpp"
#include "tandem/manager.hpp"
#include "transport/channel_layout.hpp"

namespace tandem {
namespace {

namespace protocol = detail::manager_protocol;
using detail::ByteChannel;
using detail::Deadline;
using detail::Fd;

/// Where a server listens. Only /proc tells.
std::string address_of(int server_pid) {
  std::vector<std::string> inodes;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(server_pid) + "/fd")) {
    std::error_code error;
    const std::string target = std::filesystem::read_symlink(entry.path(), error).string();
    if (target.starts_with("socket:[")) inodes.push_back(target.substr(8, target.size() - 9));
  }
  std::ifstream sockets("/proc/net/unix");
  for (std::string line; std::getline(sockets, line);) {
    std::istringstream words(line);
    std::string word, inode, path;
    for (int i = 0; i < 6; ++i) words >> word;
    words >> inode >> path;
    if (path.starts_with("@tandem-manager-") && std::ranges::count(inodes, inode) > 0) {
      return path.substr(1);
    }
  }
  throw std::runtime_error("the manager's server listens nowhere");
}

class ManagerHostileTest : public testing::Test {
 protected:
  ManagerHostileTest() {
    // The first reply says that the server runs.
    static_cast<void>(numbers_.size());
    address_ = address_of(manager_.pid());
    descriptors_ = count_descriptors();
  }
  [[nodiscard]] Fd connect_bare() const {
    for (;;) {
      try {
        return os::connect_abstract(address_);
      } catch (const SystemError& error) {
        if (error.code() != std::errc::resource_unavailable_try_again) throw;
        std::this_thread::yield();  // the backlog is full
      }
    }
  }
  [[nodiscard]] Fd connect_and_greet() const {
    Fd socket = connect_bare();
    const protocol::GreetingHeader greeting;
    EXPECT_EQ(os::send_packet(socket.get(), std::as_bytes(std::span(&greeting, 1))), os::Io::done);
    return socket;
  }
  [[nodiscard]] std::unique_ptr<ByteChannel> connect_channel() const {
    return ByteChannel::over_socket(connect_and_greet(), true);
  }
  [[nodiscard]] std::size_t count_descriptors() const {
    const std::filesystem::directory_iterator all("/proc/" + std::to_string(manager_.pid()) +
                                                  "/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }
  /// The server serves, and has got rid of everybody else.
  void expect_recovery() {
    // Some may not even have been accepted yet, so both, until the watchdog loses patience.
    while (manager_.statistics().connections != 1 || count_descriptors() != descriptors_) {
      std::this_thread::yield();
    }
    EXPECT_EQ(manager_.statistics().objects, 1u);
    EXPECT_EQ(numbers_.copy(), std::vector<int>{1});
  }

  Manager manager_;
  ListProxy<int> numbers_ = manager_.list<int>({1});
  std::string address_;
  std::size_t descriptors_ = 0;
};

detail::Outgoing message(std::span<const std::byte> bytes) {
  detail::Outgoing outgoing;
  outgoing.type = protocol::kMessageType;
  outgoing.bytes = bytes;
  return outgoing;
}

TEST_F(ManagerHostileTest, ThousandConnectionsOfGarbage) {
  std::mt19937_64 random(test::seed());
  std::vector<Fd> kept;
  for (int i = 0; i < 1000; ++i) {
    Fd socket = connect_bare();
    std::vector<std::byte> bytes(1 + random() % 64);
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
    if (random() % 4 == 0)
      std::memcpy(bytes.data(), "tandemM1", std::min<std::size_t>(8, bytes.size()));
    static_cast<void>(os::send_packet(socket.get(), bytes));
    if (random() % 16 == 0) kept.push_back(std::move(socket));
    if (i % 100 == 0) {
      EXPECT_EQ(numbers_.at(0), 1);
    }
  }
  kept.clear();
  expect_recovery();
}

TEST_F(ManagerHostileTest, ConnectionsThatSayNothing) {
  std::vector<Fd> silent;
  for (int i = 0; i < 100; ++i) silent.push_back(i % 2 == 0 ? connect_bare() : connect_and_greet());
  EXPECT_EQ(numbers_.at(0), 1);
  silent.clear();
  expect_recovery();
}

TEST_F(ManagerHostileTest, GarbageOnAChannel) {
  std::mt19937_64 random(test::seed());
  for (int i = 0; i < 60; ++i) {
    const auto channel = connect_channel();
    try {
      for (int j = 0; j < 40; ++j) {
        std::vector<std::byte> bytes(random() % 128);
        for (std::byte& b : bytes) b = static_cast<std::byte>(random() % 5);
        const protocol::PieceHeader piece{static_cast<std::uint32_t>(random() % 3),
                                          static_cast<std::uint32_t>(random() % 4)};
        if (bytes.size() >= sizeof piece && random() % 4 != 0) {
          std::memcpy(bytes.data(), &piece, sizeof piece);
        }
        // An operation on the manager or on the first object, but not its end.
        constexpr std::size_t kOp = sizeof(protocol::PieceHeader);
        if (bytes.size() >= kOp + sizeof(protocol::RequestHeader)) {
          protocol::RequestHeader request;
          do request.op = static_cast<std::uint16_t>(random() % 84);
          while (request.op == static_cast<std::uint16_t>(detail::ManagerOp::shutdown) ||
                 request.op >= static_cast<std::uint16_t>(detail::ManagerOp::list_get));
          std::memcpy(bytes.data() + kOp, &request, sizeof request);
        }
        detail::Outgoing outgoing = message(bytes);
        if (random() % 30 == 0) outgoing.type = 1;
        channel->send(outgoing);
      }
    } catch (const EndOfFile&) {
      // What it deserves.
    }
  }
  expect_recovery();
}

/// A client that writes into the memory it shares with the server as it likes.
class Scribbler {
 public:
  explicit Scribbler(Fd greeted) : socket_(std::move(greeted)) {
    auto [one, other] = os::make_socket_pair();
    maker_ = ByteChannel::over_socket(std::move(one), true);
    transport::PacketHeader header{};
    os::Packet packet;
    const auto bytes = std::as_writable_bytes(std::span(&header, 1));
    EXPECT_EQ(os::recv_packet(other.get(), bytes, packet), os::Io::done);
    segment_ = shm::Segment::adopt(packet.descriptors[0].duplicate(), transport::kChannelBytes);
    EXPECT_EQ(os::send_packet(socket_.get(), bytes, packet.descriptors), os::Io::done);
  }
  template <class T>
  void write(std::size_t at, const T& value) {
    std::memcpy(segment_.data() + transport::kRingsOffset + at, &value, sizeof value);
  }
  void publish(std::uint64_t tail) {
    state().tail.store(tail);
    const transport::PacketHeader bell{transport::PacketKind::bell, 0};
    static_cast<void>(os::send_packet(socket_.get(), std::as_bytes(std::span(&bell, 1))));
  }
  /// Until the server has ended the connection.
  void await_end() const {
    while (!os::hung_up(socket_.get())) std::this_thread::yield();
  }
  [[nodiscard]] bool all_was_taken() { return state().head.load() == state().tail.load(); }

 private:
  shm::RingState& state() {
    return reinterpret_cast<transport::ChannelHeader*>(segment_.data())->rings[0];
  }

  Fd socket_;
  std::unique_ptr<ByteChannel> maker_;
  shm::Segment segment_;
};

TEST_F(ManagerHostileTest, AStreamThatNeverGoesOn) {
  for (const std::uint64_t size : {std::uint64_t{100}, std::uint64_t{30'000}}) {
    Scribbler client(connect_and_greet());
    client.write(
        0, shm::RecordHeader::make(shm::RecordKind::first, false, 16, protocol::kMessageType));
    client.write(8, size);
    client.publish(shm::Cursor().advanced(24, 0).with_streaming(true).raw());
    client.await_end();
    EXPECT_EQ(numbers_.at(0), 1);
  }
  expect_recovery();
}

TEST_F(ManagerHostileTest, PartsOfNothingThenAnImpossibleTail) {
  Scribbler client(connect_and_greet());
  client.write(0, shm::RecordHeader::make(shm::RecordKind::more, false, 8, protocol::kMessageType));
  client.publish(shm::Cursor().advanced(16, 0).raw());
  while (!client.all_was_taken()) std::this_thread::yield();
  client.publish(~std::uint64_t{0} >> 8);
  client.await_end();
  EXPECT_EQ(numbers_.at(0), 1);
  expect_recovery();
}

TEST_F(ManagerHostileTest, GarbageInTheSharedMemory) {
  std::mt19937_64 random(test::seed());
  for (int i = 0; i < 100; ++i) {
    Scribbler client(connect_and_greet());
    for (std::size_t at = 0; at < 512; at += 8) client.write(at, random() & random());
    std::uint64_t position = 0;
    for (int j = 0; j < 20; ++j) {
      const std::size_t size = random() % 64;
      client.write(position * 8 % transport::kRingBytes,
                   shm::RecordHeader::make(static_cast<shm::RecordKind>(random() % 6),
                                           random() % 8 == 0, size, protocol::kMessageType));
      position += shm::record_bytes(size) / 8;
      client.publish(random() % 20 == 0 ? random() : position | (random() % 2) << 32);
    }
    EXPECT_EQ(numbers_.at(0), 1);
  }
  expect_recovery();
}

TEST_F(ManagerHostileTest, AMessageLongerThanAPiece) {
  const auto channel = connect_channel();
  const std::vector<std::byte> bytes(std::size_t{8} << 20);
  EXPECT_THROW(
      {
        for (;;) channel->send(message(bytes));
      },
      EndOfFile);
  expect_recovery();
}

TEST_F(ManagerHostileTest, AClientThatDoesNotReadItsReplies) {
  const auto channel = connect_channel();
  detail::Buffer request;
  protocol::put(request, protocol::PieceHeader());
  protocol::put(request, protocol::RequestHeader{
                             .op = static_cast<std::uint16_t>(detail::ManagerOp::statistics)});
  EXPECT_THROW(
      {
        // A send takes in what has arrived when it waits, so it must not wait.
        for (;;) {
          if (!channel->try_send(message(request.bytes()))) std::this_thread::yield();
        }
      },
      EndOfFile);
  expect_recovery();
}

TEST_F(ManagerHostileTest, ARequestWhileTheOneBeforeWaits) {
  const auto channel = connect_channel();
  detail::Buffer create;
  protocol::put(create, protocol::PieceHeader{1, 0});
  protocol::put(
      create, protocol::RequestHeader{.op = static_cast<std::uint16_t>(detail::ManagerOp::create)});
  protocol::put(create, detail::ObjectKind::queue);
  protocol::put(create, std::uint32_t{1});
  protocol::put(create, std::uint64_t{0});  // no name
  protocol::put(create, std::uint64_t{0});  // no limit
  channel->send(message(create.bytes()));
  std::vector<std::byte> reply(1024);
  detail::Incoming into;
  into.storage = reply.data();
  into.capacity = reply.size();
  ASSERT_TRUE(channel->recv(into, Deadline::never()));
  protocol::Reader from(std::span<const std::byte>(reply).subspan(sizeof(protocol::PieceHeader) +
                                                                  sizeof(protocol::ReplyHeader)));
  const auto queue = from.raw<std::uint64_t>();

  detail::Buffer get;
  protocol::put(get, protocol::PieceHeader{2, 0});
  protocol::put(
      get, protocol::RequestHeader{.op = static_cast<std::uint16_t>(detail::ManagerOp::queue_get),
                                   .object = queue});
  protocol::put(get, std::int64_t{-1});
  protocol::put(get, std::uint64_t{1});
  EXPECT_THROW(
      {
        for (;;) channel->send(message(get.bytes()));
      },
      EndOfFile);
  expect_recovery();
}

TEST_F(ManagerHostileTest, NoDescriptorsLeft) {
  if (test::kAsan) GTEST_SKIP() << "UndefinedBehaviorSanitizer looks at memory through a pipe";
  rlimit before{};
  ASSERT_EQ(::prlimit(manager_.pid(), RLIMIT_NOFILE, nullptr, &before), 0);
  const rlimit few{descriptors_ + 8, before.rlim_max};
  ASSERT_EQ(::prlimit(manager_.pid(), RLIMIT_NOFILE, &few, nullptr), 0);
  std::vector<Fd> many;
  for (int i = 0; i < 60; ++i) many.push_back(connect_and_greet());
  EXPECT_EQ(numbers_.at(0), 1);
  many.clear();
  expect_recovery();
  EXPECT_EQ(::prlimit(manager_.pid(), RLIMIT_NOFILE, &before, nullptr), 0);
}

}  // namespace
}  // namespace tandem
