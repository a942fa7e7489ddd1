#include "os/socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "os/memfd.hpp"
#include "os/poll.hpp"
#include "support/forked.hpp"
#include "tandem/error.hpp"

namespace tandem::os {
namespace {

using detail::Deadline;
using detail::Fd;
using test::Forked;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class SocketTest : public testing::Test {
 protected:
  Io receive() { return recv_packet(ends_.second.get(), buffer_, packet_); }
  std::string text() const { return {reinterpret_cast<const char*>(buffer_.data()), packet_.size}; }
  int sender() const { return ends_.first.get(); }
  int receiver() const { return ends_.second.get(); }

  std::pair<Fd, Fd> ends_ = make_socket_pair();
  std::array<std::byte, 64> buffer_{};
  Packet packet_;
};

TEST_F(SocketTest, PacketsArriveWholeAndInOrder) {
  EXPECT_EQ(send_packet(sender(), bytes_of("one")), Io::done);
  EXPECT_EQ(send_packet(sender(), bytes_of("three")), Io::done);
  EXPECT_EQ(receive(), Io::done);
  EXPECT_EQ(text(), "one");
  EXPECT_EQ(receive(), Io::done);
  EXPECT_EQ(text(), "three");
  EXPECT_EQ(receive(), Io::would_block);
}

TEST_F(SocketTest, WhoAwaitsAPacketSleepsUntilItComes) {
  make_blocking(receiver());
  Forked child([&] {
    ends_.second.reset();
    return send_packet(sender(), bytes_of("one")) == Io::done ? 0 : 1;
  });
  ends_.first.reset();
  EXPECT_EQ(await_packet(receiver(), buffer_, packet_), Io::done);
  EXPECT_EQ(text(), "one");
  EXPECT_EQ(await_packet(receiver(), buffer_, packet_), Io::hung_up);
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(SocketTest, NothingElseWaitsOnABlockingSocket) {
  make_blocking(sender());
  make_blocking(receiver());
  EXPECT_EQ(receive(), Io::would_block);
  Io sent = Io::done;
  while (sent == Io::done) sent = send_packet(sender(), bytes_of("x"));
  EXPECT_EQ(sent, Io::would_block);
}

TEST_F(SocketTest, AnEmptyPacketIsRefused) {
  EXPECT_THROW((void)send_packet(sender(), {}), SystemError);
}

TEST_F(SocketTest, ALongPacketIsCutAndSaysSo) {
  EXPECT_EQ(send_packet(sender(), bytes_of(std::string(100, 'x'))), Io::done);
  EXPECT_EQ(receive(), Io::done);
  EXPECT_EQ(packet_.size, buffer_.size());
  EXPECT_TRUE(packet_.truncated);
}

TEST_F(SocketTest, AFullSocketWouldBlock) {
  const std::string text(1000, 'x');
  Io sent = Io::done;
  while (sent == Io::done) sent = send_packet(sender(), bytes_of(text));
  EXPECT_EQ(sent, Io::would_block);
}

TEST_F(SocketTest, DescriptorsArriveOpenAndCloseOnExec) {
  Fd memory = make_memfd("socket_test", 123);
  const auto expected = identity(memory);
  std::array<Fd, 1> sent{std::move(memory)};
  EXPECT_EQ(send_packet(sender(), bytes_of("x"), sent), Io::done);
  sent[0].reset();
  ASSERT_EQ(receive(), Io::done);
  ASSERT_EQ(packet_.descriptors.size(), 1U);
  EXPECT_EQ(identity(packet_.descriptors[0]), expected);
  EXPECT_NE(::fcntl(packet_.descriptors[0].get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(SocketTest, AsManyDescriptorsAsTheKernelTakes) {
  std::vector<Fd> sent;
  for (std::size_t i = 0; i < kMaxDescriptors; ++i) sent.push_back(ends_.first.duplicate());
  EXPECT_EQ(send_packet(sender(), bytes_of("x"), sent), Io::done);
  ASSERT_EQ(receive(), Io::done);
  EXPECT_EQ(packet_.descriptors.size(), kMaxDescriptors);
  sent.push_back(ends_.first.duplicate());
  EXPECT_THROW((void)send_packet(sender(), bytes_of("x"), sent), SystemError);
}

// In a child, whose limit may be lowered.
TEST_F(SocketTest, DescriptorsThatDoNotFitAreClosedAndReported) {
  Forked child([&] {
    std::vector<Fd> sent;
    for (int i = 0; i < 4; ++i) sent.push_back(ends_.first.duplicate());
    if (send_packet(sender(), bytes_of("x"), sent) != Io::done) return 1;
    const int next_free = Fd(::dup(sender())).get();
    const rlimit limit{static_cast<rlim_t>(next_free) + 2, static_cast<rlim_t>(next_free) + 2};
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
    try {
      (void)receive();
      return 3;
    } catch (const SystemError& error) {
      if (error.code().value() != EMFILE) return 4;
    }
    return ::dup(sender()) == next_free && packet_.descriptors.empty() ? 0 : 5;
  });
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(SocketTest, AClosedPeerIsSeenAfterWhatItSent) {
  EXPECT_EQ(send_packet(sender(), bytes_of("last")), Io::done);
  EXPECT_FALSE(hung_up(receiver()));
  ends_.first.reset();
  EXPECT_TRUE(hung_up(receiver()));
  EXPECT_EQ(receive(), Io::done);
  EXPECT_EQ(text(), "last");
  EXPECT_EQ(receive(), Io::hung_up);
  EXPECT_EQ(send_packet(receiver(), bytes_of("x")), Io::hung_up);
}

// The kernel says ECONNRESET first when the dead peer had not read everything.
TEST_F(SocketTest, APeerThatDiedWithUnreadDataLosesNothingItSent) {
  EXPECT_EQ(send_packet(receiver(), bytes_of("never read")), Io::done);
  std::array<Fd, 1> sent{make_memfd("socket_test", 1)};
  EXPECT_EQ(send_packet(sender(), bytes_of("with a descriptor"), sent), Io::done);
  ends_.first.reset();
  EXPECT_EQ(receive(), Io::done);
  EXPECT_EQ(text(), "with a descriptor");
  EXPECT_EQ(packet_.descriptors.size(), 1U);
  EXPECT_EQ(receive(), Io::hung_up);
}

TEST_F(SocketTest, TheDeathOfTheLastHolderWakesAWaiter) {
  test::Step ready;
  Forked peer([&]() -> int {
    ready.done();
    for (;;) ::pause();
  });
  ends_.first.reset();
  ready.await();
  EXPECT_FALSE(hung_up(receiver()));
  peer.kill();
  EXPECT_TRUE(wait_readable(receiver(), Deadline::never()));
  EXPECT_EQ(receive(), Io::hung_up);
}

TEST(AbstractSocketTest, ConnectsAndTellsWhoIsThere) {
  const std::string name = "tandem-socket-test-" + std::to_string(::getpid());
  const Fd listener = listen_abstract(name);
  EXPECT_FALSE(accept_connection(listener.get()));
  const Fd client = connect_abstract(name);
  const auto server = accept_connection(listener.get());
  ASSERT_TRUE(server);
  EXPECT_EQ(peer_credentials(server->get()).pid, ::getpid());
  EXPECT_EQ(peer_credentials(server->get()).uid, ::geteuid());
  EXPECT_EQ(send_packet(client.get(), bytes_of("x")), Io::done);
}

TEST(AbstractSocketTest, NobodyListensAndNameTakenAreErrors) {
  const std::string name = "tandem-socket-test-" + std::to_string(::getpid());
  EXPECT_THROW((void)connect_abstract(name), SystemError);
  const Fd listener = listen_abstract(name);
  EXPECT_THROW((void)listen_abstract(name), SystemError);
  EXPECT_THROW((void)listen_abstract(std::string(200, 'x')), SystemError);
}

}  // namespace
}  // namespace tandem::os
