// Managers that others find by an address.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "manager/protocol.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"
#include "os/stream.hpp"
#include "support/bare_client.hpp"
#include "support/leak_check.hpp"
#include "support/start_methods.hpp"
#include "tandem/detail/manager_protocol.hpp"
#include "tandem/listener.hpp"
#include "tandem/manager.hpp"
#include "tandem/pipe.hpp"
#include "tandem/process.hpp"
#include "transport/handshake.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;
namespace protocol = detail::manager_protocol;
using detail::Fd;
using Words = DictProxy<std::string, std::string>;

const char kKey[] = "a key";
const char kAnyTcp[] = "tcp:127.0.0.1:0";

void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

std::vector<Address> all_kinds() {
  const std::string path =
      (std::filesystem::temp_directory_path() / unique_name("manager")).string();
  return {Address("unix:" + path), Address("unix:@" + unique_name("manager")), Address(kAnyTcp)};
}

void join_and_work(Address address, AuthKey key) {
  Manager manager = Manager::connect(address, key);
  auto counts = manager.dict<std::string, int>({}, "counts");
  counts.fetch_add("joined", 1);
  auto words = manager.dict<std::string, std::string>();
  words["long"] = std::string(1'000'000, 'x');
  require(words.at("long").size() == 1'000'000, "a long value is damaged");
  try {
    static_cast<void>(words.at("nothing"));
    require(false, "a missing key was found");
  } catch (const std::out_of_range&) {
  }
  try {
    manager.shutdown();
    require(false, "a stranger ended the manager");
  } catch (const Error&) {
  }
}

// A spawned child has nothing of its parent's but what it is passed.
TEST(ManagerAddressTest, StrangersJoin) {
  for (const Address& address : all_kinds()) {
    Manager manager({.address = address, .authkey = kKey});
    auto counts = manager.dict<std::string, int>({{"joined", 0}}, "counts");
    for (int i = 0; i < 3; ++i) {
      Process child(start::spawn, join_and_work, manager.address(), manager.authkey());
      child.start();
      child.join();
      EXPECT_EQ(child.exitcode(), 0) << address.to_string();
    }
    EXPECT_EQ(counts.at("joined"), 3);
    while (manager.statistics().connections != 1) std::this_thread::yield();
    EXPECT_EQ(manager.statistics().objects, 1u);
  }
}

TEST(ManagerAddressTest, HasAnAddressAndAKeyInAnyCase) {
  Manager manager;
  auto counts = manager.dict<std::string, int>({{"joined", 0}}, "counts");
  EXPECT_FALSE(manager.address().empty());
  EXPECT_FALSE(manager.authkey().empty());
  Process child(start::spawn, join_and_work, manager.address(), manager.authkey());
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
  EXPECT_EQ(counts.at("joined"), 1);
  // Its own process may join as well.
  EXPECT_EQ((Manager::connect(manager.address(), manager.authkey())
                 .dict<std::string, int>({}, "counts")
                 .at("joined")),
            1);
}

TEST(ManagerAddressTest, TheKeyIsNeeded) {
  EXPECT_THROW(Manager(ManagerOptions{.address = kAnyTcp}), AuthenticationError);
  for (const Address& address : all_kinds()) {
    Manager manager({.address = address, .authkey = kKey});
    EXPECT_THROW(static_cast<void>(Manager::connect(manager.address(), "another")),
                 AuthenticationError);
    EXPECT_THROW(static_cast<void>(Manager::connect(manager.address(), {})), AuthenticationError);
    EXPECT_EQ(manager.statistics().connections, 1u);
  }
}

// Over tcp the server would take requests from the same stream.
TEST(ManagerAddressTest, NothingOfAClientWithAnotherKeyIsLookedAt) {
  Manager manager({.address = kAnyTcp, .authkey = kKey});
  const auto numbers = manager.list<int>({1});
  const auto send_all = [&](const AuthKey& key) {
    BareClient client(manager.address());
    try {
      transport::ClientHandshake handshake(transport::client_greeting());
      client.send_raw(handshake.greeting());
      client.send_raw(handshake.take(client.recv_raw<transport::Greeting>(), key));
      // Without waiting for the answer: who I am, and then the request that the server end.
      client.send_header(sizeof(protocol::GreetingHeader), protocol::kGreetingType);
      client.send_raw(protocol::GreetingHeader());
      client.send_header(sizeof(protocol::PieceHeader) + sizeof(protocol::RequestHeader),
                         protocol::kMessageType);
      client.send_raw(protocol::PieceHeader());
      client.send_raw(
          protocol::RequestHeader{.op = static_cast<std::uint16_t>(detail::ManagerOp::shutdown)});
    } catch (const EndOfFile&) {
    }
    client.await_end();
  };
  for (int i = 0; i < 20; ++i) send_all("another key");
  EXPECT_EQ(numbers.at(0), 1);
  while (manager.statistics().connections != 1) std::this_thread::yield();
  send_all(kKey);
  EXPECT_THROW(
      {
        for (;;) static_cast<void>(numbers.at(0));
      },
      EndOfFile);
}

TEST(ManagerAddressTest, NothingOfAServerWithAnotherKeyIsLookedAt) {
  for (const char* const key : {"another key", kKey}) {
    const Fd listener = os::bind_stream(os::tcp_names("127.0.0.1", 0).at(0));
    os::start_listening(listener);
    const Address address("tcp:127.0.0.1:" + std::to_string(os::own_port(listener.get())));
    std::thread server([&] {
      static_cast<void>(os::wait_readable(listener.get(), detail::Deadline::never()));
      BareClient client(os::accept_connection(listener.get()).value());
      transport::ServerHandshake handshake(transport::server_greeting());
      for (auto next = transport::ServerHandshake::Next::receive;
           next != transport::ServerHandshake::Next::answer;) {
        handshake.space()[0] = client.recv_raw<std::byte>();
        next = handshake.arrived(1);
        if (next == transport::ServerHandshake::Next::greet) client.send_raw(handshake.greeting());
      }
      try {
        client.send_raw(handshake.answer(key, true, 0));
        // What no manager says.
        client.send_header(sizeof(int), protocol::kIdentityType);
        client.send_raw(0);
      } catch (const EndOfFile&) {
      }
      client.await_end();
    });
    if (key == kKey) {
      EXPECT_THROW(static_cast<void>(Manager::connect(address, kKey)), DecodeError);
    } else {
      EXPECT_THROW(static_cast<void>(Manager::connect(address, kKey)), AuthenticationError);
    }
    server.join();
  }
}

void use(Words words) { words["grandchild"] = "was here"; }

void join_and_start(Address address, AuthKey key, StartMethod method) {
  Manager manager = Manager::connect(address, key);
  Words words = manager.dict<std::string, std::string>({}, "words");
  Process child(ProcessOptions{.start_method = method}, use, words);
  child.start();
  child.join();
  require(child.exitcode() == 0, "the grandchild failed");
  require(words.at("grandchild") == "was here", "the grandchild was elsewhere");
}

using ManagerAddressProcessTest = StartMethodTest;
TANDEM_OVER_START_METHODS(ManagerAddressProcessTest);

TEST_P(ManagerAddressProcessTest, ChildrenOfWhoJoinedNeedNotJoin) {
  for (const Address& address : all_kinds()) {
    Manager manager({.address = address, .authkey = kKey});
    Words words = manager.dict<std::string, std::string>({}, "words");
    Process child(start::spawn, join_and_start, manager.address(), manager.authkey(), GetParam());
    child.start();
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
    EXPECT_EQ(words.at("grandchild"), "was here");
  }
}

void work_until_the_end(Address address, AuthKey key, Connection<int> parent) {
  Manager manager = Manager::connect(address, key);
  auto counts = manager.dict<std::string, int>({}, "counts");
  counts["n"] = 1;
  parent.send(0);
  try {
    for (;;) counts.fetch_add("n", 1);
  } catch (const EndOfFile&) {
  }
}

TEST_P(ManagerAddressProcessTest, TheServersDeathIsAnEndOfFile) {
  for (const Address& address : all_kinds()) {
    Manager manager({.address = address, .authkey = kKey});
    auto [mine, theirs] = Pipe<int>();
    Process child(start::spawn, work_until_the_end, manager.address(), manager.authkey(),
                  std::move(theirs));
    child.start();
    EXPECT_EQ(mine.recv(), 0);
    ::kill(manager.pid(), SIGKILL);
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
  }
}

TEST_P(ManagerAddressProcessTest, AClientsDeathLeavesNothing) {
  for (const Address& address : all_kinds()) {
    Manager manager({.address = address, .authkey = kKey});
    auto [mine, theirs] = Pipe<int>();
    Process child(start::spawn, work_until_the_end, manager.address(), manager.authkey(),
                  std::move(theirs));
    child.start();
    EXPECT_EQ(mine.recv(), 0);
    EXPECT_EQ(manager.statistics().connections, 2u);
    child.kill();
    child.join();
    while (manager.statistics().connections != 1) std::this_thread::yield();
  }
}

TEST(ManagerAddressTest, StartsAgainAtTheSameAddressAtOnce) {
  for (const Address& address : all_kinds()) {
    Address where = address;
    for (int i = 0; i < 3; ++i) {
      Manager manager({.address = where, .authkey = kKey});
      where = manager.address();
      EXPECT_THROW(Manager(ManagerOptions{.address = where, .authkey = kKey}), SystemError);
      auto [mine, theirs] = Pipe<int>();
      Process child(start::spawn, work_until_the_end, where, AuthKey(kKey), std::move(theirs));
      child.start();
      EXPECT_EQ(mine.recv(), 0);
      manager.shutdown();
      child.join();
      EXPECT_EQ(child.exitcode(), 0);
    }
    EXPECT_THROW(static_cast<void>(Manager::connect(where, kKey)), SystemError);
  }
}

TEST(ManagerAddressTest, AListenerIsNoManager) {
  Listener<int> listener(Address{}, kKey);
  std::thread other([&] { listener.accept().send(1); });
  EXPECT_THROW(static_cast<void>(Manager::connect(listener.address(), kKey)), DecodeError);
  other.join();
}

TEST(ManagerAddressTest, GarbageHarmsNobody) {
  Manager manager({.address = kAnyTcp, .authkey = kKey});
  auto numbers = manager.list<int>({1});
  for (int i = 0; i < 1000; ++i) {
    try {
      BareClient client(manager.address());
      if (i % 3 == 0) client.greet();
      client.send(std::vector<std::byte>(static_cast<std::size_t>(i % 200), std::byte{'t'}));
    } catch (const EndOfFile&) {
    }
    ASSERT_EQ(numbers.at(0), 1);
  }
  // Of one that knows the key, too.
  for (int i = 0; i < 20; ++i) {
    BareClient client(manager.address());
    client.enter(kKey);
    client.send_header(static_cast<std::uint64_t>(i), i % 2 == 0 ? 0x6d677231 : 0x6d676732);
    client.send(std::vector<std::byte>(static_cast<std::size_t>(i)));
    ASSERT_EQ(numbers.at(0), 1);
  }
  while (manager.statistics().connections != 1) std::this_thread::yield();
}

}  // namespace
}  // namespace tandem::test
