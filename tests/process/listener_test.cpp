// Strangers that find each other by an address.
#include "tandem/listener.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/bare_client.hpp"
#include "support/forked.hpp"
#include "support/leak_check.hpp"
#include "support/proc.hpp"
#include "support/start_methods.hpp"
#include "tandem/lock.hpp"
#include "tandem/log.hpp"
#include "tandem/pipe.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"
#include "tandem/wait.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;

const char kKey[] = "a key";

/// A socket's path that is not there yet.
std::string fresh_path(const std::string& stem) {
  return (std::filesystem::temp_directory_path() / unique_name(stem)).string();
}
Address fresh_file(const std::string& stem) { return Address("unix:" + fresh_path(stem)); }

/// Somewhere to listen, of every kind.
std::vector<Address> all_kinds() {
  return {fresh_file("listener"), Address("unix:@" + unique_name("listener")),
          Address("tcp:127.0.0.1:0"), Address()};
}

using ListenerProcessTest = ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(ListenerProcessTest);

void call_and_echo(Address address, AuthKey key) {
  auto connection = connect<std::string>(address, key);
  try {
    for (;;) connection.send(connection.recv());
  } catch (const EndOfFile&) {
  }
}

TEST_P(ListenerProcessTest, StrangersTalk) {
  for (const Address& address : all_kinds()) {
    Listener<std::string> listener(address, kKey);
    Process child(call_and_echo, listener.address(), AuthKey(kKey));
    child.start();
    auto connection = listener.accept();
    connection.send("hello");
    EXPECT_EQ(connection.recv(), "hello") << listener.address().to_string();
    connection.close();
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
  }
}

void call_send_and_leave(Address address, AuthKey key) {
  auto connection = connect<int, int>(address, key);
  for (int i = 0; i < 100; ++i) connection.send(i);
}

TEST_P(ListenerProcessTest, WhoSendsAndLeavesBeforeAcceptLosesNothing) {
  for (const Address& address : all_kinds()) {
    Listener<int> listener(address, kKey);
    Process child(call_send_and_leave, listener.address(), AuthKey(kKey));
    child.start();
    child.join();
    ASSERT_EQ(child.exitcode(), 0);
    auto connection = listener.accept();
    for (int i = 0; i < 100; ++i) ASSERT_EQ(connection.recv(), i);
    EXPECT_THROW(static_cast<void>(connection.recv()), EndOfFile);
  }
}

void call_and_expect_refusal(Address address, AuthKey key) {
  try {
    static_cast<void>(connect<int>(address, key));
  } catch (const AuthenticationError&) {
    return;
  }
  throw std::logic_error("was not refused");
}

TEST_P(ListenerProcessTest, AWrongKeyIsRefusedOnBothSides) {
  for (const Address& address : all_kinds()) {
    Listener<int> listener(address, kKey);
    for (const char* wrong : {"another key", "a keY", "a key "}) {
      Process child(call_and_expect_refusal, listener.address(), AuthKey(wrong));
      child.start();
      child.join();
      EXPECT_EQ(child.exitcode(), 0);
    }
    EXPECT_EQ(listener.accept_for(0ms).has_value(), false);
    // It goes on waiting for one who knows it.
    Process child(call_send_and_leave, listener.address(), AuthKey(kKey));
    child.start();
    auto connection = listener.accept();
    for (int i = 0; i < 100; ++i) ASSERT_EQ(connection.recv(), i);
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
  }
}

void send_handles(Address address, AuthKey key) {
  auto connections = connect<Connection<int>, int>(address, key);
  auto [here, there] = Pipe<int>();
  connections.send(std::move(there));
  here.send(1);
  static_cast<void>(connections.recv());
}

TEST_P(ListenerProcessTest, AConnectionIsSentOverAnAcceptedOne) {
  Listener<int, Connection<int>> listener(fresh_file("listener"), kKey);
  Process child(send_handles, listener.address(), AuthKey(kKey));
  child.start();
  auto connections = listener.accept();
  Connection<int> received = connections.recv();
  EXPECT_EQ(received.recv(), 1);
  connections.send(0);
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

struct Handles {
  Queue<int> queue;
  Lock lock;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(queue, lock);
  }
};

void use_handles(Address address) {
  auto connection = connect<int, Handles>(address);
  Handles handles = connection.recv();
  const std::scoped_lock lock(handles.lock);
  handles.queue.put(5);
}

TEST_P(ListenerProcessTest, AQueueAndALockAreSentOverAnAcceptedOne) {
  Listener<Handles, int> listener(Address{});
  Process child(use_handles, listener.address());
  child.start();
  auto connection = listener.accept();
  Handles handles;
  connection.send(handles);
  EXPECT_EQ(handles.queue.get(), 5);
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

void call_and_die(Address address, AuthKey key) {
  auto connection = connect<int>(address, key);
  connection.send(1);
  ::raise(SIGKILL);
}

TEST_P(ListenerProcessTest, ADeadClientIsAnEndOfFile) {
  for (const Address& address : all_kinds()) {
    Listener<int> listener(address, kKey);
    Process child(call_and_die, listener.address(), AuthKey(kKey));
    child.start();
    auto connection = listener.accept();
    EXPECT_EQ(connection.recv(), 1);
    EXPECT_THROW(static_cast<void>(connection.recv()), EndOfFile);
    child.join();
    EXPECT_EQ(child.exitcode(), -SIGKILL);
  }
}

void serve_one(Connection<std::string> connection) { connection.send(connection.recv() + "!"); }

TEST_P(ListenerProcessTest, AnAcceptedConnectionIsPassedToAProcess) {
  for (const Address& address : all_kinds()) {
    Listener<std::string> listener(address, kKey);
    auto client = connect<std::string>(listener.address(), kKey);
    Process child(serve_one, listener.accept());
    child.start();
    client.send("hello");
    EXPECT_EQ(client.recv(), "hello!");
    child.join();
    EXPECT_THROW(static_cast<void>(client.recv()), EndOfFile);
  }
}

int number_of_descriptors() { return static_cast<int>(open_descriptors().size()); }

void report_descriptors(Connection<int> connection) { connection.send(number_of_descriptors()); }

TEST_P(ListenerProcessTest, ChildrenGetNoDescriptorOfIt) {
  const auto count = [] {
    auto [mine, theirs] = Pipe<int>();
    Process child(report_descriptors, std::move(theirs));
    child.start();
    return mine.recv();
  };
  const int before = count();
  Listener<int> listener(Address{}, kKey);
  BareClient half_open(listener.address());
  half_open.greet();
  static_cast<void>(half_open.recv_raw<transport::Greeting>());
  auto client = connect<int>(listener.address(), kKey);
  EXPECT_EQ(count(), before + (GetParam() == StartMethod::fork ? 1 : 0));  // the test's own client
}

TEST(ListenerTest, TcpWithoutAKeyIsRefused) {
  EXPECT_THROW(Listener<int>(Address("tcp:127.0.0.1:0")), AuthenticationError);
  EXPECT_THROW(Listener<int>(Address("tcp:127.0.0.1:0"), ""), AuthenticationError);
  EXPECT_THROW(static_cast<void>(connect<int>("tcp:127.0.0.1:1")), AuthenticationError);
}

TEST(ListenerTest, AKeyOnOneSideOnlyIsAWrongKey) {
  Listener<int> open(Address{});
  EXPECT_THROW(static_cast<void>(connect<int>(open.address(), kKey)), AuthenticationError);
  auto client = connect<int>(open.address());
  client.send(3);
  EXPECT_EQ(open.accept().recv(), 3);
  Listener<int> locked(Address{}, kKey);
  EXPECT_THROW(static_cast<void>(connect<int>(locked.address())), AuthenticationError);
}

TEST(ListenerTest, TheAddressSaysWhatWasChosen) {
  Listener<int> tcp("tcp:localhost:0", kKey);
  EXPECT_NE(tcp.address().port(), 0);
  EXPECT_EQ(tcp.address(), Address("tcp:localhost:" + std::to_string(tcp.address().port())));
  Listener<int> a(Address{}), b(Address{});
  EXPECT_FALSE(a.address() == b.address());
  EXPECT_TRUE(tcp.last_accepted().empty());
  auto client = connect<int>(tcp.address(), kKey);
  auto server = tcp.accept();
  EXPECT_TRUE(tcp.last_accepted().is_tcp());
  EXPECT_NE(tcp.last_accepted().port(), tcp.address().port());
}

TEST(ListenerTest, IPv6) {
  std::unique_ptr<Listener<int>> listener;
  try {
    listener = std::make_unique<Listener<int>>("tcp:[::1]:0", kKey);
  } catch (const SystemError& error) {
    GTEST_SKIP() << "no IPv6 here: " << error.what();
  }
  auto client = connect<int>(listener->address(), kKey);
  client.send(1);
  EXPECT_EQ(listener->accept().recv(), 1);
}

TEST(ListenerTest, NobodyListens) {
  EXPECT_THROW(static_cast<void>(connect<int>(fresh_file("nobody"))), SystemError);
  EXPECT_THROW(static_cast<void>(connect<int>("unix:@" + unique_name("nobody"))), SystemError);
  Address address;
  {
    Listener<int> listener("tcp:127.0.0.1:0", kKey);
    address = listener.address();
  }
  EXPECT_THROW(static_cast<void>(connect<int>(address, kKey)), SystemError);
  EXPECT_THROW(static_cast<void>(connect<int>(Address())), Error);
}

TEST(ListenerTest, TwoAtOneAddressAreOneTooMany) {
  for (const Address& address : all_kinds()) {
    Listener<int> first(address, kKey);
    try {
      Listener<int> second(first.address(), kKey);
      ADD_FAILURE() << "two listen at " << first.address().to_string();
    } catch (const SystemError& error) {
      EXPECT_EQ(error.code(), std::errc::address_in_use);
    }
    // The first was not harmed.
    auto client = connect<int>(first.address(), kKey);
    client.send(1);
    EXPECT_EQ(first.accept().recv(), 1);
    const Address again = first.address();
    first.close();
    Listener<int> third(again, kKey);
  }
}

TEST(ListenerTest, ManyWantOnePathAndOneGetsIt) {
  const Address address = fresh_file("listener");
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> got{0};
    std::vector<std::unique_ptr<Listener<int>>> listeners(4);
    std::vector<std::thread> threads;
    for (auto& listener : listeners) {
      threads.emplace_back([&] {
        try {
          listener = std::make_unique<Listener<int>>(address);
          ++got;
        } catch (const SystemError& error) {
          EXPECT_EQ(error.code(), std::errc::address_in_use);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(got, 1);
  }
}

TEST(ListenerTest, AStaleSocketFileIsReplaced) {
  const std::string path = fresh_path("listener");
  const Address address("unix:" + path);
  Step listens;
  Forked dead([&] {
    Listener<int> listener(address);
    listens.done();
    ::pause();
    return 0;
  });
  listens.await();
  dead.kill();
  ASSERT_TRUE(std::filesystem::is_socket(path));
  EXPECT_THROW(static_cast<void>(connect<int>(address)), SystemError);
  Listener<int> listener(address);
  auto client = connect<int>(address);
  client.send(1);
  EXPECT_EQ(listener.accept().recv(), 1);
  listener.close();
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".lock"));
}

TEST(ListenerTest, WhatIsNoSocketIsNotReplaced) {
  const std::string path = fresh_path("listener");
  std::ofstream(path) << "precious";
  EXPECT_THROW(Listener<int>("unix:" + path), SystemError);
  EXPECT_EQ(first_line(path), "precious");
  std::filesystem::remove(path);
}

TEST(ListenerTest, OnlyItsMakerTakesTheFileAway) {
  const std::string path = fresh_path("listener");
  auto listener = std::make_unique<Listener<int>>("unix:" + path);
  struct stat file;
  ASSERT_EQ(::stat(path.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, static_cast<mode_t>(0600));
  Forked child([&] {
    try {
      static_cast<void>(listener->accept_for(0ms));
      return 1;
    } catch (const Error&) {
    }
    listener.reset();
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(std::filesystem::exists(path));
  auto client = connect<int>(listener->address());
  listener.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_THROW(static_cast<void>(client.recv()), EndOfFile);
}

TEST(ListenerTest, AcceptGivesUp) {
  Listener<int> listener(Address{});
  EXPECT_FALSE(listener.try_accept().has_value());
  EXPECT_FALSE(listener.accept_for(1ms).has_value());
  EXPECT_FALSE(listener.accept_until(std::chrono::steady_clock::now()).has_value());
}

TEST(ListenerTest, WhoReturnsFromConnectIsAccepted) {
  Listener<int> listener(Address{}, kKey);
  for (int i = 0; i < 100; ++i) {
    auto client = connect<int>(listener.address(), kKey);
    EXPECT_TRUE(listener.try_accept().has_value());
  }
}

TEST(ListenerTest, CloseEndsAWaitingAccept) {
  Listener<int> listener(Address{});
  std::thread waiter([&] { EXPECT_THROW(static_cast<void>(listener.accept()), Closed); });
  listener.close();
  waiter.join();
  EXPECT_TRUE(listener.closed());
  EXPECT_THROW(static_cast<void>(listener.accept()), Closed);
  EXPECT_THROW(static_cast<void>(listener.address()), Closed);
  listener.close();
}

TEST(ListenerTest, MovesWithItsClients) {
  Listener<int> a(Address{});
  auto client = connect<int>(a.address());
  Listener<int> b = std::move(a);
  EXPECT_TRUE(a.closed());  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_TRUE(b.try_accept().has_value());
}

TEST(ListenerTest, WaitAnyOverAListenerAndItsConnections) {
  Listener<int> listener(Address{}, kKey);
  EXPECT_TRUE(wait_any({listener}, 0ms).empty());
  auto first = connect<int>(listener.address(), kKey);
  ASSERT_EQ(wait_any({listener}), std::vector<std::size_t>{0});
  auto server = listener.accept();
  EXPECT_TRUE(wait_any({listener, server}, 0ms).empty());
  first.send(1);
  EXPECT_EQ(wait_any({listener, server}), std::vector<std::size_t>{1});
  auto second = connect<int>(listener.address(), kKey);
  while (wait_any({listener, server}) != std::vector<std::size_t>{0, 1}) {
  }
  EXPECT_EQ(server.recv(), 1);
  EXPECT_TRUE(listener.try_accept().has_value());
  first.close();
  EXPECT_EQ(wait_any({listener, server}), std::vector<std::size_t>{1});
}

TEST(ListenerTest, MoreThanWaitInsideWaitOutside) {
  Listener<int> listener(Address{}, kKey);
  constexpr int kClients = 200;
  std::thread clients([&] {
    for (int i = 0; i < kClients; ++i) {
      auto client = connect<int>(listener.address(), kKey);
      client.send(i);
    }
  });
  for (int i = 0; i < kClients; ++i) EXPECT_EQ(listener.accept().recv(), i);
  clients.join();
}

std::vector<std::string> lines;
std::mutex lines_mutex;
void keep_line(LogLevel, std::string_view line) {
  const std::lock_guard lock(lines_mutex);
  lines.emplace_back(line);
}

TEST(ListenerTest, ARefusedClientIsALineInTheLogAndTheKeyIsNot) {
  Listener<int> listener("tcp:127.0.0.1:0", "the secret of the listener");
  lines.clear();
  set_log_handler(keep_line);
  EXPECT_THROW(static_cast<void>(connect<int>(listener.address(), "the guess of the client")),
               AuthenticationError);
  listener.close();
  set_log_handler(nullptr);
  const std::lock_guard lock(lines_mutex);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("refused a client (127.0.0.1:"), std::string::npos) << lines[0];
  EXPECT_EQ(lines[0].find("secret"), std::string::npos);
  EXPECT_EQ(lines[0].find("guess"), std::string::npos);
}

}  // namespace
}  // namespace tandem::test
