// The process that holds a manager's objects: one loop over all clients, in one thread at a time.
//
// 1. A connection that speaks gets one step, then the next that speaks: nobody is starved.
// 2. The server never waits for one client. Requests and replies come in pieces that fit into an
//    idle channel, and the next piece of a reply goes when the client asks for it; a client that
//    does not read is dropped.
// 3. A client that was heard lately is `awake`: looked at in shared memory. The others are armed,
//    and their doorbell is in the poller, as all sockets are.
// 4. References are taken back only after every greeting that can be read has been read, as
//    client.hpp explains.
// 5. Nothing a client sends harms more than that client: what does not decode is its error or its
//    end.
// 6. A client process is a session: it may have many connections, and ends with the last of them.
//    A connection whose request waits says nothing until that is answered.
// 7. User code is run with nothing of the loop on the stack, since the lead may have passed to
//    another thread when it returns (leadership.hpp). What it has made then goes to the leader
//    through `late_`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "manager/leadership.hpp"
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
  struct Session {
    manager_protocol::SessionId id;
    ClientReferences references;
    std::size_t connections = 0;
  };
  struct Connection : Caller {
    std::uint64_t key = 0;
    Session* session = nullptr;  // since its first greeting
    Fd socket;                   // until the channel takes it over
    bool greeted = false;
    std::unique_ptr<ByteChannel> channel;
    bool awake = false;
    bool unflushed = false;  // the poller tells when the channel takes more
    bool unrung = false;     // sleeps beside its reply
    bool heard = false;      // since the last time that was asked
    unsigned quiet = 0;
    std::uint32_t request_sequence = 0;
    std::size_t replied = 0;
    std::uint32_t reply_sequence = 0;
  };

  // The loop. \returns false when the lead was lost
  [[nodiscard]] bool lead();
  [[nodiscard]] bool run_user_code(Caller& caller);
  void finish(Caller& caller);
  void finish_late();
  [[nodiscard]] bool look();
  [[nodiscard]] static bool speaks(const Connection& connection);
  void ring_due(bool served);
  void ring_all();
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
  void join_session(Connection& connection, const manager_protocol::GreetingHeader& header);
  void leave_session(Connection& connection) noexcept;

  // Requests. False: the client is to be expelled.
  void serve(Connection& connection);
  [[nodiscard]] bool take_piece(Connection& connection, std::span<const std::byte> piece);
  [[nodiscard]] bool answer(Connection& connection, std::uint32_t sequence,
                            std::span<const std::byte> request);
  [[nodiscard]] bool send_piece(Connection& connection);
  void answer_waiting();
  static void clear(Buffer& buffer) noexcept;
  void flush(Connection& connection);

  static constexpr std::uint64_t kListenerKey = 0;
  static constexpr std::uint64_t kReceptionKey = 1;
  static constexpr std::uint64_t kLateKey = 2;

  Fd listener_;
  bool listening_ = true;  // false while this process has no descriptors left
  manager_protocol::Identity identity_;
  std::unique_ptr<transport::Reception> reception_;
  Store store_;
  os::Poller poller_;
  os::SpinBudget spin_;
  std::uint64_t last_key_ = kLateKey;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::map<manager_protocol::SessionId, std::unique_ptr<Session>> sessions_;
  std::uint64_t nameless_sessions_ = 0;
  std::size_t strangers_ = 0;  // connections without a session
  std::vector<Connection*> awake_;
  std::vector<Connection*> greeting_;  // who has not said everything of it
  std::vector<Connection*> unrung_;
  std::uint64_t unrung_since_ = 0;     // os::ticks() at the first of them
  std::uint64_t last_served_ = 0;      // since then
  std::vector<Connection*> expelled_;  // closed, their references not yet taken back
  unsigned looks_ = 0;
  // Two, as greetings are read while a piece is being worked on.
  std::vector<std::byte> piece_;
  std::vector<std::byte> greeting_packet_;
  Leadership leadership_;
  Fd late_bell_;
  std::mutex late_mutex_;
  CallerQueue late_;  // whose user code has run in a thread that does not lead any more
};

}  // namespace tandem::detail
