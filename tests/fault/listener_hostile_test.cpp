// What anybody can do to a listener that a network reaches: it must harm nobody but the one who does
// it. TANDEM_FULL=1 runs it with as many attackers as the comments say.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "os/resources.hpp"
#include "support/bare_client.hpp"
#include "support/leak_check.hpp"
#include "support/proc.hpp"
#include "support/random.hpp"
#include "support/supervisor.hpp"
#include "tandem/listener.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;

const char kKey[] = "a key";

class ListenerHostileTest : public testing::TestWithParam<const char*> {
 protected:
  void expect_service() {
    auto client = connect<int>(listener_.address(), kKey);
    client.send(1);
    // Those who were let in by a test and left come first.
    EXPECT_EQ(listener_.accept().recv(), 1);
  }
  /// Nothing is left of those who are gone.
  void expect_recovery(std::size_t descriptors) {
    expect_service();
    while (open_descriptors().size() > descriptors) std::this_thread::yield();
  }

  Listener<int> listener_{
      Address(GetParam() == std::string("tcp") ? "tcp:127.0.0.1:0"
                                               : "unix:@" + unique_name("hostile")),
      kKey};
};
INSTANTIATE_TEST_SUITE_P(, ListenerHostileTest, testing::Values("tcp", "unix"),
                         [](const auto& parameter) {
                           return std::string(parameter.param).substr(0, 3) == "tcp" ? "tcp"
                                                                                     : "unix";
                         });

// Ten thousand in full.
TEST_P(ListenerHostileTest, ConnectionsOfGarbage) {
  std::mt19937_64 random(seed());
  expect_service();
  const std::size_t descriptors = open_descriptors().size();
  const std::size_t memory = os::resident_bytes();
  const auto greeting = transport::client_greeting();
  const int count = test::full_form() ? 10'000 : 500;
  for (int i = 0; i < count; ++i) {
    try {
      BareClient client(listener_.address());
      std::vector<std::byte> bytes(1 + random() % 200);
      for (std::byte& b : bytes) b = static_cast<std::byte>(random());
      // Some begin well, for some bytes.
      const std::size_t good = random() % 2 == 0 ? random() % (sizeof greeting + 1) : 0;
      std::memcpy(bytes.data(), &greeting, std::min(good, bytes.size()));
      client.send(bytes);
    } catch (const EndOfFile&) {
      // It was thrown out before it had said everything.
    }
    if (i % 100 == 0) expect_service();
  }
  expect_recovery(descriptors);
  if (!kAsan && !kTsan) {
    EXPECT_LT(os::resident_bytes(), memory + (std::size_t{8} << 20));
  }
}

// A thousand in full.
TEST_P(ListenerHostileTest, HalfOpenHandshakes) {
  expect_service();
  const std::size_t descriptors = open_descriptors().size();
  const int count = test::full_form() ? 1000 : 300;
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit before = limit;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  {
    std::vector<BareClient> half;
    for (int i = 0; i < count; ++i) {
      half.emplace_back(listener_.address());
      if (i % 3 == 1) half.back().greet();
      if (i % 3 == 2) half.back().send(std::vector<std::byte>(3, std::byte{'t'}));
      if (i % 100 == 0) expect_service();
    }
    expect_service();
  }
  expect_recovery(descriptors);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_P(ListenerHostileTest, WhoStallsIsLeftBehind) {
  BareClient silent(listener_.address());
  BareClient slow(listener_.address());
  slow.greet();
  expect_service();
  expect_service();
}

TEST_P(ListenerHostileTest, WhoSendsAWrongProofIsTold) {
  BareClient client(listener_.address());
  client.greet();
  static_cast<void>(client.recv_raw<transport::Greeting>());
  client.send_raw(transport::Proof{});
  EXPECT_EQ(client.recv_raw<transport::Answer>().verdict, transport::Verdict::refused);
  client.await_end();
  expect_service();
}

TEST_P(ListenerHostileTest, NoDescriptorsLeft) {
  if (kAsan) GTEST_SKIP() << "UndefinedBehaviorSanitizer looks at memory through a pipe";
  expect_service();
  const std::size_t descriptors = open_descriptors().size();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  std::vector<BareClient> clients;
  for (int i = 0; i < 20; ++i) clients.emplace_back(listener_.address());
  const rlimit few{20, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  // They are accepted, dropped for those who come after them, or wait; this process has no
  // descriptor for another one.
  for (BareClient& client : clients) {
    try {
      client.greet();
    } catch (const EndOfFile&) {
    }
  }
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  clients.clear();
  expect_recovery(descriptors);
}

}  // namespace
}  // namespace tandem::test
