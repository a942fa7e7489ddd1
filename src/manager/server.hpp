// The process that holds a manager's objects: one thread, one loop over all clients.
//
// 1. A client that speaks gets one step, then the next client that speaks: nobody is starved.
// 2. The server never waits for one client. Requests and replies come in pieces that fit into an
//    idle channel, and the next piece of a reply goes when the client asks for it; a client that
//    does not read is dropped.
// 3. A client that was heard lately is `awake`: looked at in shared memory. The others are armed,
//    and their doorbell is in the poller, as all sockets are.
// 4. References are taken back only after every greeting that can be read has been read, as
//    client.hpp explains.
// 5. Nothing a client sends harms more than that client: what does not decode is its error or its
// end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "manager/protocol.hpp"
#include "manager/store.hpp"
#include "os/poller.hpp"
#include "os/spin.hpp"
#include "tandem/detail/buffer.hpp"
#include "tandem/detail/byte_channel.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/fd.hpp"
#include "transport/reception.hpp"

namespace tandem::detail {

class ManagerServer {
 public:
  /// \param listener not blocking
  /// \param name the abstract address it listens at
  /// \param reception where those come in who have only an address and the key
  ManagerServer(Fd listener, const std::string& name, std::string where,
                std::unique_ptr<transport::Reception> reception);
  ManagerServer(const ManagerServer&) = delete;
  ManagerServer& operator=(const ManagerServer&) = delete;

  /// Serves until a client asks for the end.
  void run();

 private:
  struct Connection {
    std::uint64_t key = 0;
    Fd socket;  // until the channel takes it over
    bool greeted = false;
    std::unique_ptr<ByteChannel> channel;
    bool awake = false;
    bool unflushed = false;  // the poller tells when the channel takes more
    bool heard = false;      // since the last time that was asked
    unsigned quiet = 0;
    ClientReferences references;
    Buffer request;  // the pieces so far; empty between requests
    std::uint32_t request_sequence = 0;
    Buffer reply;  // what is left of a long one
    std::size_t replied = 0;
    std::uint32_t reply_sequence = 0;
  };

  // The loop.
  [[nodiscard]] bool look();
  void sleep();
  void poll(Deadline deadline);
  void wake(Connection& connection);
  void let_rest();

  // Coming and going.
  void accept_all();
  void receive_guests();
  void admit(transport::Reception::Guest& guest);
  void make_room_for_one_more();
  void greet_all();
  void greet(Connection& connection);
  [[nodiscard]] bool read_greeting(Connection& connection);
  void take_greeting(Connection& connection, std::span<const std::byte> bytes);
  void expel(Connection& connection) noexcept;
  void bury();

  // Requests. False: the client is to be expelled.
  void serve(Connection& connection);
  [[nodiscard]] bool take_piece(Connection& connection, std::span<const std::byte> piece);
  [[nodiscard]] bool answer(Connection& connection, std::uint32_t sequence,
                            std::span<const std::byte> request);
  [[nodiscard]] bool send_piece(Connection& connection);
  void flush(Connection& connection);

  static constexpr std::uint64_t kListenerKey = 0;
  static constexpr std::uint64_t kReceptionKey = 1;

  Fd listener_;
  bool listening_ = true;  // false while this process has no descriptors left
  manager_protocol::Identity identity_;
  std::unique_ptr<transport::Reception> reception_;
  Store store_;
  os::Poller poller_;
  os::SpinBudget spin_;
  std::uint64_t last_key_ = kReceptionKey;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> awake_;
  std::vector<Connection*> greeting_;  // who has not said everything of it
  std::vector<Connection*> expelled_;  // closed, their references not yet taken back
  unsigned looks_ = 0;
  // Two, as greetings are read while a piece is being worked on.
  std::vector<std::byte> piece_;
  std::vector<std::byte> greeting_packet_;
};

}  // namespace tandem::detail
