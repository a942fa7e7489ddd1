// Where clients come in: accepts them and drives all their handshakes at once, without a thread and
// without ever waiting.
//
// 1. A client has kPatience for its handshake, whatever it sends; the number of handshakes is
//    limited, and one more client takes the place of the oldest. So nobody blocks anybody, and
//    descriptors and memory stay bounded.
// 2. Where descriptors run out, the oldest handshake goes; without one, nobody is accepted for
//    kRest. Clients wait in the kernel's backlog meanwhile.
// 3. Who fails costs a line in the log.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "os/poller.hpp"
#include "os/socket_file.hpp"
#include "tandem/address.hpp"
#include "tandem/auth_key.hpp"
#include "tandem/detail/byte_channel.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/fd.hpp"
#include "transport/handshake.hpp"

namespace tandem::transport {

class Reception {
 public:
  struct Guest {
    std::unique_ptr<detail::ByteChannel> channel;
    Address from;
  };
  static constexpr std::size_t kMostHandshakes = 256;
  static constexpr auto kPatience = std::chrono::seconds(5);
  static constexpr auto kRest = std::chrono::milliseconds(100);

  /// \param socket listens at `address`
  Reception(detail::Fd socket, Address address, AuthKey key);

  [[nodiscard]] const Address& address() const noexcept { return address_; }
  /// Readable when `step` has something to do.
  [[nodiscard]] int fd() const noexcept { return poller_.fd(); }
  /// When `step` has something to do even so.
  [[nodiscard]] detail::Deadline next() const;
  /// Does all that can be done now, and adds the clients that have proven themselves to `guests`.
  void step(std::vector<Guest>& guests);
  /// Whether new clients are to wait in the backlog.
  void hold(bool on);
  [[nodiscard]] std::size_t handshakes() const noexcept { return handshakes_.size(); }
  /// For a forked child: closes the descriptors and touches nothing else.
  void abandon() noexcept;

 private:
  struct Handshake {
    detail::Fd socket;
    ServerHandshake state;
    detail::Deadline until;
    std::uint64_t forks;
  };
  using Handshakes = std::map<std::uint64_t, Handshake>;  // the oldest first

  void accept_all();
  /// \returns false when there is nobody else
  bool accept_one();
  /// When descriptors or memory have run out. \returns false when there is nothing to give up
  bool make_room(const std::exception& error);
  void advance(std::uint64_t id, std::vector<Guest>& guests);
  void answer(Handshake& handshake, std::vector<Guest>& guests);
  [[nodiscard]] Guest admit_local(Handshake& handshake);
  [[nodiscard]] Guest admit_remote(Handshake& handshake);
  void drop(Handshakes::iterator at, std::string_view why) noexcept;
  void listen(bool on);

  static constexpr std::uint64_t kListenerKey = 0;

  const Address address_;
  const AuthKey key_;
  detail::Fd socket_;
  os::Poller poller_;
  Handshakes handshakes_;
  std::uint64_t last_id_ = kListenerKey;
  bool listening_ = false;  // the socket is in the poller
  bool held_ = false;
  detail::Deadline rest_until_ = detail::Deadline::never();
};

/// Binds a socket and listens there.
/// \param address what to do for the empty one and for port 0 is filled in
/// \param file has the file of a unix socket
/// \throws AuthenticationError for tcp without a key; SystemError EADDRINUSE, ...
[[nodiscard]] detail::Fd listen_at(Address& address, const AuthKey& key, os::SocketFile& file);

/// Connects and proves itself. \throws AuthenticationError; TimedOut; EndOfFile when the listener
/// hung up; SystemError ECONNREFUSED, ENOENT, ...; DecodeError when it is no listener of tandem's
[[nodiscard]] std::unique_ptr<detail::ByteChannel> connect_to(const Address& address,
                                                              const AuthKey& key);

}  // namespace tandem::transport
