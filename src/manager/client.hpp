// A process's connections to a manager's server, shared by all its proxies and threads.
//
// 1. A call has a link, which is one connection, for itself: one that lies idle, else a new one. So
//    a call that waits in the server keeps nobody waiting here. All links greet with one session,
//    to which the server gives the references; they all end together.
// 2. The table says, per object, how many handles this process has (`handles`) and how many
//    references the server counts for its session (`granted`). When the last handle goes, exactly
//    `granted` are given back; what the server grants meanwhile is counted anew.
// 3. `table_mutex_` is held for moments, and while a link is made, so that a fork finds it made or
//    not begun.
// 4. A fork copies none of this: before it, the parent opens a connection in a session of the
//    child's and says in its greeting what the child will refer to; the child gets that socket, and
//    leaves the old links, which other threads may have been using, undestroyed. The server reads
//    greetings before it takes any reference back, so the child's objects outlive whatever the
//    parent does next. Over tcp there is no such connection, since to make one takes an answer of
//    the server: the child connects at its first call, and finds what lives then.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "manager/protocol.hpp"
#include "tandem/address.hpp"
#include "tandem/auth_key.hpp"
#include "tandem/detail/byte_channel.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/fd.hpp"
#include "tandem/detail/manager_client.hpp"

namespace tandem::detail {

class ManagerClient : public std::enable_shared_from_this<ManagerClient> {
 public:
  /// The process's client for this server, made on first use. Does not connect yet.
  [[nodiscard]] static std::shared_ptr<ManagerClient> to(const std::string& address,
                                                         int server_pid);
  /// Goes to where a manager's server lets strangers in. What is learned there (the way over tcp,
  /// with the key) is this process's, and its children's, way to that server from now on.
  /// \throws AuthenticationError, SystemError, EndOfFile, TimedOut
  [[nodiscard]] static std::shared_ptr<ManagerClient> join(const Address& address,
                                                           const AuthKey& key);
  /// From now on this process is the server at `address`: proxies have names here, but no calls.
  static void become_server();
  [[nodiscard]] static bool inside_server();

  /// The way to a server that is reached over tcp.
  struct Door {
    Address address;
    AuthKey key;
  };

  ManagerClient(std::string address, int server_pid, std::optional<Door> door);
  ManagerClient(const ManagerClient&) = delete;
  ManagerClient& operator=(const ManagerClient&) = delete;
  ~ManagerClient();

  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] int server_pid() const { return server_pid_; }
  /// "tandem-manager-7f3a (server pid 77)"
  [[nodiscard]] std::string name() const;

  /// \throws EndOfFile, or what the server's step threw
  [[nodiscard]] ManagerReply exchange(Buffer& request, std::string_view call,
                                      const ManagerObject::Held* object);
  /// A handle of this process; with it comes a reference if the process has none.
  [[nodiscard]] ManagerObject reference(std::uint64_t id, std::uint64_t token, ObjectKind kind,
                                        std::uint32_t type);
  [[nodiscard]] std::uint64_t pin(std::uint64_t id);
  /// Counts a handle, and gets a reference if this process has none. Never fails because of the
  /// server.
  void acquire(std::uint64_t id, std::uint64_t token);
  void release(std::uint64_t id) noexcept;
  /// Counts another handle of an object of which this process has one.
  void hold(std::uint64_t id);
  /// Counts references that came with a reply, and a handle for each while the reply lives.
  void take_grants(const std::vector<std::uint64_t>& ids);
  /// Asks the server to end, over a connection of its own, so that no call in progress is in the
  /// way. \returns false when it has not said until the deadline that it will
  [[nodiscard]] bool ask_to_end(Deadline deadline) const noexcept;
  /// Ends the connection for good: every call throws EndOfFile.
  void disconnect(const char* reason) noexcept;

 private:
  struct Count {
    std::uint64_t handles = 0;
    std::uint64_t granted = 0;
  };
  struct Link {
    std::unique_ptr<ByteChannel> channel;
    std::uint32_t sequence = 0;
  };
  /// A link for the time of a call.
  class Lease;
  struct ForkHandlers;

  [[nodiscard]] Link* take_idle() noexcept;
  [[nodiscard]] std::unique_ptr<Link> open();
  void put_back(Link* link) noexcept;
  void close(Link* link) noexcept;
  void close_idle() noexcept;
  [[nodiscard]] Fd connect_and_greet(const manager_protocol::SessionId& session,
                                     const std::vector<std::uint64_t>& ids) const;
  [[nodiscard]] std::unique_ptr<ByteChannel> enter_and_greet(
      const std::vector<std::uint64_t>& ids) const;
  void send(Link& link, std::span<std::byte> request);
  void receive(Link& link, std::uint32_t sequence, Buffer& reply);
  void send_releases(Link& link);
  void flush_releases() noexcept;
  /// Every call throws EndOfFile from now on.
  void die(const char* reason) noexcept;
  [[nodiscard]] std::string place(std::string_view call, const ManagerObject::Held* object) const;

  const std::string address_;
  const int server_pid_;
  const std::optional<Door> door_;
  std::atomic<const char*> dead_{nullptr};  // why, once it is
  std::atomic<Link*> idle_{nullptr};        // the link of who calls from one thread at a time
  std::atomic<bool> unsaid_{false};         // whether there are releases
  std::mutex table_mutex_;
  std::unordered_map<std::uint64_t, Count> table_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> releases_;  // not said yet
  manager_protocol::SessionId session_;
  std::vector<Link*> links_;      // all of them
  std::vector<Link*> more_idle_;  // with room for all
  Fd greeted_;                    // a connection not used yet: what a forked child starts with
  Fd fork_socket_;                // what the next one will start with
  manager_protocol::SessionId fork_session_;
  std::vector<std::uint64_t> fork_ids_;
};

struct ManagerObject::Held {
  Held(std::shared_ptr<ManagerClient> of, std::uint64_t object, ObjectKind k, std::uint32_t t)
      : client(std::move(of)), id(object), kind(k), type(t) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() { client->release(id); }
  [[nodiscard]] std::string description() const;

  const std::shared_ptr<ManagerClient> client;
  const std::uint64_t id;
  const ObjectKind kind;
  const std::uint32_t type;
};

}  // namespace tandem::detail
