// Addresses and keys as values.
#include "tandem/address.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/cross.hpp"
#include "tandem/auth_key.hpp"
#include "tandem/error.hpp"
#include "tandem/sendable.hpp"

namespace tandem::test {
namespace {

TEST(AddressTest, KeepsWhatWasWritten) {
  for (const char* text : {"unix:/run/jobs.sock", "unix:relative", "unix:@jobs", "tcp:localhost:0",
                           "tcp:127.0.0.1:65535", "tcp:[::1]:4711"}) {
    const Address address(text);
    EXPECT_EQ(address.to_string(), text);
    EXPECT_EQ(address, Address(std::string(text)));
    EXPECT_FALSE(address.empty());
  }
  EXPECT_EQ(Address("tcp:[::1]:4711").port(), 4711);
  EXPECT_EQ(Address("tcp:[::1]:4711").place(), "::1");
  EXPECT_EQ(Address("unix:@jobs").port(), 0);
  EXPECT_TRUE(Address().empty());
  EXPECT_EQ(Address("tcp:[::1]:0").with_port(99).to_string(), "tcp:[::1]:99");
}

TEST(AddressTest, RefusesWhatIsNone) {
  for (const std::string text : {"",
                                 "jobs",
                                 "udp:localhost:1",
                                 "unix:",
                                 "unix:@",
                                 "tcp:",
                                 "tcp:localhost",
                                 "tcp:localhost:",
                                 "tcp::1",
                                 "tcp:localhost:65536",
                                 "tcp:localhost:-1",
                                 "tcp:localhost:+1",
                                 "tcp:localhost:1x",
                                 "tcp:localhost: 1",
                                 "tcp:localhost:99999999999999999999",
                                 "tcp:::1:4711",
                                 "tcp:[]:1",
                                 "tcp:[localhost]:1",
                                 "tcp:[::1:1",
                                 "http://localhost:80",
                                 "unix:///tmp/x",
                                 "tcp://localhost:1"}) {
    EXPECT_THROW(Address{text}, Error) << text;
  }
  EXPECT_NO_THROW(Address("unix:/" + std::string(106, 'x')));
  EXPECT_THROW(Address("unix:/" + std::string(107, 'x')), Error);
  EXPECT_THROW(Address(std::string("unix:/a\0b", 9)), Error);
}

TEST(AddressTest, CrossesByEveryRoute) {
  static_assert(Sendable<Address>);
  for (const auto route : {detail::Route::process, detail::Route::connection, detail::Route::queue,
                           detail::Route::manager, detail::Route::socket}) {
    EXPECT_EQ(cross(Address("tcp:[::1]:4711"), route), Address("tcp:[::1]:4711"));
    EXPECT_EQ(cross(Address(), route), Address());
  }
  EXPECT_THROW((cross<std::string, Address>("nonsense", detail::Route::queue)), DecodeError);
}

TEST(AuthKeyTest, IsMadeOfTextOrBytes) {
  const std::vector<std::byte> bytes{std::byte{'k'}, std::byte{'e'}, std::byte{'y'}};
  EXPECT_EQ(AuthKey("key"), AuthKey(bytes));
  EXPECT_EQ(AuthKey(std::string("key")), AuthKey(std::span<const std::byte>(bytes)));
  EXPECT_FALSE(AuthKey("key") == AuthKey("kez"));
  EXPECT_FALSE(AuthKey("key") == AuthKey("key1"));
  EXPECT_TRUE(AuthKey().empty());
  EXPECT_EQ(AuthKey(), AuthKey(""));
  EXPECT_FALSE(AuthKey::random() == AuthKey::random());
}

TEST(AuthKeyTest, IsAValue) {
  AuthKey a("one");
  AuthKey b = a;
  b = AuthKey("two");
  EXPECT_EQ(a, AuthKey("one"));
  a = b;
  EXPECT_EQ(a, AuthKey("two"));
  a = std::move(b);
  EXPECT_EQ(a, AuthKey("two"));
}

TEST(AuthKeyTest, DoesNotLeaveTheMachine) {
  static_assert(Sendable<AuthKey>);
  EXPECT_EQ(cross(AuthKey("key"), detail::Route::process), AuthKey("key"));
  EXPECT_EQ(cross(AuthKey("key"), detail::Route::queue), AuthKey("key"));
  EXPECT_THROW(cross(AuthKey("key"), detail::Route::socket), NotSendable);
}

}  // namespace
}  // namespace tandem::test
