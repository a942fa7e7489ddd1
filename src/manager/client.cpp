#include "manager/client.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <new>
#include <stdexcept>

#include "base/lazy.hpp"
#include "base/text.hpp"
#include "manager/protocol.hpp"
#include "os/check.hpp"
#include "os/domain.hpp"
#include "os/exec.hpp"
#include "os/poll.hpp"
#include "os/random.hpp"
#include "os/self.hpp"
#include "os/socket.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/byte_listener.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/detail/context.hpp"
#include "tandem/detail/exception.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

using manager_protocol::GreetingHeader;
using manager_protocol::kContinue;
using manager_protocol::kMorePieces;
using manager_protocol::kPieceBytes;
using manager_protocol::PieceHeader;
using manager_protocol::ReplyHeader;
using manager_protocol::ReplyStatus;
using manager_protocol::RequestHeader;

namespace {

// Proxies in static storage outlive everything: never destroyed.
struct Clients {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<ManagerClient>, std::less<>> by_address;
  std::map<std::string, ManagerClient::Door, std::less<>> doors;
  std::atomic<pid_t> server_process{0};
};
constinit base::Lazy<Clients> clients;

// Children that do not inherit memory get the doors, keys included, as an inherited state.
[[maybe_unused]] const bool doors_inherited =
    (register_inherited_state(
         kInheritedManagerKeys,
         [](Encoder& to) {
           Clients& all = *clients;
           const std::lock_guard lock(all.mutex);
           to.write_size(all.doors.size());
           for (const auto& [name, door] : all.doors) {
             encode(to, name);
             encode(to, door.address);
             encode(to, door.key);
           }
         },
         [](Decoder& from) {
           Clients& all = *clients;
           const std::lock_guard lock(all.mutex);
           for (std::size_t left = from.read_size(1); left != 0; --left) {
             auto name = decode<std::string>(from);
             auto address = decode<Address>(from);
             auto key = decode<AuthKey>(from);
             all.doors.insert_or_assign(std::move(name),
                                        ManagerClient::Door{std::move(address), std::move(key)});
           }
         }),
     true);

/// Receives one message of a known type into `into`, which has its exact size.
void recv_exactly(ByteChannel& from, std::uint32_t type, std::span<std::byte> bytes,
                  Deadline deadline) {
  Incoming into;
  into.storage = bytes.data();
  into.capacity = bytes.size();
  if (!from.recv(into, deadline)) throw TimedOut("the server does not answer");
  if (into.type != type || into.size != bytes.size()) {
    throw DecodeError("it is no manager of this version");
  }
}

manager_protocol::Identity enter(const Address& address, const AuthKey& key,
                                 std::unique_ptr<ByteChannel>& channel) {
  channel = connect_channel(address, key);
  manager_protocol::Identity identity;
  recv_exactly(*channel, manager_protocol::kIdentityType,
               std::as_writable_bytes(std::span(&identity, 1)),
               Deadline::after(std::chrono::seconds(10)));
  if (identity.version != manager_protocol::kVersion ||
      !manager_protocol::is_address({identity.name.data(), identity.name.size()})) {
    throw DecodeError("it is no manager of this version");
  }
  return identity;
}

constexpr const char* kGone = "the server is gone";
constexpr const char* kNonsense = "the server has sent what no server sends";
constexpr const char* kServer = "this process is a server of another manager";

// Idle links beyond these are closed.
constexpr std::size_t kMostIdle = 8;

manager_protocol::SessionId new_session() {
  manager_protocol::SessionId id;
  os::fill_random(std::as_writable_bytes(std::span(id.words)));
  id.words[0] |= 1;  // never zero, which is the server's
  return id;
}

Outgoing outgoing(std::span<const std::byte> bytes) {
  Outgoing message;
  message.type = manager_protocol::kMessageType;
  message.bytes = bytes;
  message.peer_is_watched = true;  // by the wait for its reply
  message.tells_cpu = true;
  return message;
}

/// Receives the pieces of one reply behind each other. A piece's header lies over the last bytes of
/// the piece before, which are then put back.
class PieceReceiver {
 public:
  explicit PieceReceiver(Buffer& into) : buffer_(into) {
    incoming_.context = this;
    incoming_.grow = [](Incoming& self, std::size_t n) {
      return static_cast<PieceReceiver*>(self.context)->place(n);
    };
  }
  PieceReceiver(const PieceReceiver&) = delete;
  PieceReceiver& operator=(const PieceReceiver&) = delete;

  /// \throws DecodeError when it is not a piece
  [[nodiscard]] PieceHeader receive(ByteChannel& from) {
    before_ = buffer_.size();
    overlaid_ = before_ == 0 ? 0 : sizeof(PieceHeader);
    std::memcpy(&saved_, buffer_.data() + before_ - overlaid_, overlaid_);
    static_cast<void>(from.recv(incoming_, Deadline::never()));
    if (incoming_.type != manager_protocol::kMessageType) {
      throw DecodeError("a reply of an unknown type");
    }
    PieceHeader header;
    std::memcpy(&header, buffer_.data() + before_ - overlaid_, sizeof header);
    std::memcpy(buffer_.data() + before_ - overlaid_, &saved_, overlaid_);
    return header;
  }
  void drop_last() { buffer_.truncate(before_); }

 private:
  [[nodiscard]] std::byte* place(std::size_t n) {
    if (n < sizeof(PieceHeader)) return nullptr;
    return buffer_.extend(n - overlaid_) - overlaid_;
  }

  Buffer& buffer_;
  Incoming incoming_;
  PieceHeader saved_;
  std::size_t before_ = 0;
  std::size_t overlaid_ = 0;
};

}  // namespace

// --- registry ---

std::shared_ptr<ManagerClient> ManagerClient::to(const std::string& address, int server_pid) {
  std::vector<std::shared_ptr<ManagerClient>> unused;  // destroyed after the lock
  Clients& all = *clients;
  const std::lock_guard lock(all.mutex);
  if (const auto at = all.by_address.find(address); at != all.by_address.end()) return at->second;
  // A connection outlives the last proxy, since the next one may come at once; but not for ever.
  for (auto at = all.by_address.begin(); at != all.by_address.end();) {
    if (at->second.use_count() == 1) {
      unused.push_back(std::move(at->second));
      at = all.by_address.erase(at);
    } else {
      ++at;
    }
  }
  const auto door = all.doors.find(address);
  auto made = std::make_shared<ManagerClient>(
      address, server_pid, door == all.doors.end() ? std::nullopt : std::optional(door->second));
  all.by_address.emplace(address, made);
  return made;
}

std::shared_ptr<ManagerClient> ManagerClient::join(const Address& address, const AuthKey& key) {
  std::unique_ptr<ByteChannel> channel;
  const manager_protocol::Identity identity = enter(address, key, channel);
  const std::string name(identity.name.data(), identity.name.size());
  if (address.is_tcp()) {
    Clients& all = *clients;
    const std::lock_guard lock(all.mutex);
    all.doors.insert_or_assign(name, Door{address, key});
  }
  return to(name, identity.pid);
}

void ManagerClient::become_server() {
  Clients& all = *clients;
  const std::lock_guard lock(all.mutex);
  all.server_process = os::process_id();
  // What a fork brought along holds references at other servers for proxies that nobody here will
  // use.
  for (const auto& [address, client] : all.by_address) client->die(kServer);
}

bool ManagerClient::inside_server() {
  const pid_t server = clients->server_process.load(std::memory_order_relaxed);
  return server != 0 && server == os::process_id();
}

// Around a fork all tables are locked, so the child finds them whole.
struct ManagerClient::ForkHandlers {
  static void prepare() {
    Clients& all = *clients;
    all.mutex.lock();
    for (const auto& [address, client] : all.by_address) {
      client->table_mutex_.lock();
      client->fork_ids_.clear();
      for (const auto& [id, count] : client->table_) {
        if (count.handles > 0) client->fork_ids_.push_back(id);
      }
      if (client->fork_ids_.empty() || client->dead_ != nullptr || inside_server() ||
          client->door_) {
        continue;
      }
      try {
        client->fork_session_ = new_session();
        client->fork_socket_ = client->connect_and_greet(client->fork_session_, client->fork_ids_);
      } catch (const Error&) {
        // The child connects itself when it needs to, and finds what still lives then.
      }
    }
  }
  static void parent() {
    Clients& all = *clients;
    for (const auto& [address, client] : all.by_address) {
      client->fork_socket_.reset();
      client->table_mutex_.unlock();
    }
    all.mutex.unlock();
  }
  static void child() {
    Clients& all = *clients;
    for (const auto& [address, client] : all.by_address) {
      ManagerClient& c = *client;
      for (Link* const link : c.links_) link->channel->abandon();
      c.links_.clear();
      c.more_idle_.clear();
      c.idle_ = nullptr;
      c.greeted_ = std::move(c.fork_socket_);
      const bool greeted = static_cast<bool>(c.greeted_);
      c.session_ = greeted ? c.fork_session_ : manager_protocol::SessionId();
      c.releases_.clear();
      c.unsaid_ = false;
      std::erase_if(c.table_, [](const auto& entry) { return entry.second.handles == 0; });
      for (auto& [id, count] : c.table_) count.granted = greeted ? 1 : 0;
      c.table_mutex_.unlock();
    }
    all.mutex.unlock();
  }
  // When the library is loaded, before there is a second thread that could fork.
  static inline const bool registered =
      (os::at_fork(&ForkHandlers::prepare, &ForkHandlers::parent, &ForkHandlers::child), true);
};

ManagerClient::ManagerClient(std::string address, int server_pid, std::optional<Door> door)
    : address_(std::move(address)), server_pid_(server_pid), door_(std::move(door)) {}

ManagerClient::~ManagerClient() {
  for (Link* const link : links_) delete link;
}

std::string ManagerClient::name() const {
  // The address ends in 32 random digits; four tell managers apart well enough for a reader.
  return concat(std::string_view(address_).substr(0, address_.size() - 28), " (server pid ",
                std::to_string(server_pid_), ")");
}

std::string ManagerClient::place(std::string_view call, const ManagerObject::Held* object) const {
  if (object == nullptr) return concat(call, " on ", name(), ": ");
  return concat(call, " on ", object->description(), ": ");
}

// --- connection ---

Fd ManagerClient::connect_and_greet(const manager_protocol::SessionId& session,
                                    const std::vector<std::uint64_t>& ids) const {
  Fd socket = os::connect_abstract(address_);
  if (os::peer_credentials(socket.get()).uid != os::own_domain().user) {
    throw AuthenticationError(concat(name(), ": the server belongs to another user"));
  }
  const auto deadline = Deadline::after(std::chrono::seconds(1));
  std::size_t at = 0;
  do {
    const std::size_t n = std::min(ids.size() - at, manager_protocol::kIdsPerGreeting);
    GreetingHeader header;
    header.last = at + n == ids.size() ? 1 : 0;
    header.session = session;
    header.pid = os::process_id();
    Buffer packet;
    manager_protocol::put(packet, header);
    packet.append(ids.data() + at, n * sizeof(std::uint64_t));
    os::Io io = os::send_packet(socket.get(), packet.bytes());
    while (io == os::Io::would_block) {
      if (!os::wait_writable(socket.get(), deadline)) {
        throw TimedOut(concat(name(), ": the server does not take what is sent to it"));
      }
      io = os::send_packet(socket.get(), packet.bytes());
    }
    if (io == os::Io::hung_up) throw EndOfFile(concat(name(), ": ", kGone));
    at += n;
  } while (at < ids.size());
  return socket;
}

std::unique_ptr<ByteChannel> ManagerClient::enter_and_greet(
    const std::vector<std::uint64_t>& ids) const {
  std::unique_ptr<ByteChannel> channel;
  const manager_protocol::Identity identity = enter(door_->address, door_->key, channel);
  if (std::string_view(identity.name.data(), identity.name.size()) != address_) {
    throw EndOfFile("another manager has taken its place");
  }
  std::size_t at = 0;
  do {
    const std::size_t n = std::min(ids.size() - at, manager_protocol::kIdsPerGreeting);
    GreetingHeader header;
    header.last = at + n == ids.size() ? 1 : 0;
    header.session = session_;
    header.pid = os::process_id();
    Buffer packet;
    manager_protocol::put(packet, header);
    packet.append(ids.data() + at, n * sizeof(std::uint64_t));
    Outgoing message;
    message.type = manager_protocol::kGreetingType;
    message.bytes = packet.bytes();
    channel->send(message);
    at += n;
  } while (at < ids.size());
  return channel;
}

/// The first link of a session greets with all that this process refers to.
std::unique_ptr<ManagerClient::Link> ManagerClient::open() {
  auto link = std::make_unique<Link>();
  const std::lock_guard lock(table_mutex_);
  if (const char* const dead = dead_) throw EndOfFile(dead);
  links_.reserve(links_.size() + 1);
  more_idle_.reserve(links_.size() + 1);
  if (greeted_) {
    link->channel = ByteChannel::over_socket(std::move(greeted_), true);
    Buffer message;  // the parent did not know who would use the connection
    manager_protocol::put(message, PieceHeader{++link->sequence, 0});
    manager_protocol::put(message,
                          RequestHeader{.op = static_cast<std::uint16_t>(ManagerOp::introduce)});
    manager_protocol::put(message, std::int32_t{os::process_id()});
    link->channel->send(outgoing(message.bytes()));
  } else {
    const bool first = session_ == manager_protocol::SessionId();
    std::vector<std::uint64_t> ids;
    if (first) {
      session_ = new_session();
      for (const auto& [id, count] : table_) {
        if (count.handles > 0) ids.push_back(id);
      }
    }
    try {
      link->channel = door_ ? enter_and_greet(ids)
                            : ByteChannel::over_socket(connect_and_greet(session_, ids), true);
    } catch (...) {
      if (first) session_ = {};
      throw;
    }
    for (const std::uint64_t id : ids) ++table_.find(id)->second.granted;
  }
  links_.push_back(link.get());
  return link;
}

ManagerClient::Link* ManagerClient::take_idle() noexcept {
  Link* link = idle_.exchange(nullptr, std::memory_order_acquire);
  if (link != nullptr) return link;
  const std::lock_guard lock(table_mutex_);
  if (more_idle_.empty()) return nullptr;
  link = more_idle_.back();
  more_idle_.pop_back();
  return link;
}

void ManagerClient::put_back(Link* link) noexcept {
  Link* none = nullptr;
  if (dead_.load(std::memory_order_relaxed) == nullptr) {
    if (idle_.compare_exchange_strong(none, link)) {
      if (dead_.load() != nullptr) close_idle();
      return;
    }
    const std::lock_guard lock(table_mutex_);
    if (dead_.load() == nullptr && more_idle_.size() < kMostIdle) {
      more_idle_.push_back(link);
      return;
    }
  }
  close(link);
}

void ManagerClient::close(Link* link) noexcept {
  {
    const std::lock_guard lock(table_mutex_);
    std::erase(links_, link);
  }
  delete link;
}

void ManagerClient::close_idle() noexcept {
  while (Link* const link = take_idle()) close(link);
}

void ManagerClient::die(const char* reason) noexcept {
  const char* alive = nullptr;
  dead_.compare_exchange_strong(alive, reason);
  {
    const std::lock_guard lock(table_mutex_);
    greeted_.reset();
  }
  close_idle();
}

/// A link for the time of a call.
class ManagerClient::Lease {
 public:
  explicit Lease(ManagerClient& client) : client_(client), link_(client.take_idle()) {
    if (link_ == nullptr) link_ = client.open().release();
  }
  /// Takes one only if it lies idle.
  Lease(ManagerClient& client, std::nothrow_t) noexcept
      : client_(client), link_(client.take_idle()) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    if (link_ != nullptr) client_.put_back(link_);
  }
  [[nodiscard]] explicit operator bool() const noexcept { return link_ != nullptr; }
  [[nodiscard]] Link& operator*() const noexcept { return *link_; }

 private:
  ManagerClient& client_;
  Link* link_;
};

bool ManagerClient::ask_to_end(Deadline deadline) const noexcept {
  try {
    const auto channel = ByteChannel::over_socket(connect_and_greet({}, {}), true);
    Buffer request;
    manager_protocol::put(request, PieceHeader());
    manager_protocol::put(request,
                          RequestHeader{.op = static_cast<std::uint16_t>(ManagerOp::shutdown)});
    channel->send(outgoing(request.bytes()));
    Buffer reply;
    Incoming into;
    into.context = &reply;
    into.grow = [](Incoming& self, std::size_t n) {
      return static_cast<Buffer*>(self.context)->assign(n);
    };
    return channel->recv(into, deadline);
  } catch (const std::exception&) {
    return false;  // it is gone, or cannot be reached: its process is ended by other means
  }
}

void ManagerClient::disconnect(const char* reason) noexcept {
  std::shared_ptr<ManagerClient> registered;
  {
    Clients& all = *clients;
    const std::lock_guard lock(all.mutex);
    if (const auto at = all.by_address.find(address_); at != all.by_address.end()) {
      registered = std::move(at->second);
      all.by_address.erase(at);
    }
  }
  die(reason);
}

// --- exchange ---

ManagerReply ManagerClient::exchange(Buffer& request, std::string_view call,
                                     const ManagerObject::Held* object) {
  if (inside_server()) {
    throw Error(concat(
        place(call, object),
        "called inside a manager's server, where apply and sort run; a server that waits for "
        "a server could wait for itself"));
  }
  Buffer reply;
  try {
    if (const char* const dead = dead_.load(std::memory_order_acquire)) throw EndOfFile(dead);
    const Lease lease(*this);
    Link& link = *lease;
    if (unsaid_.load(std::memory_order_relaxed)) send_releases(link);
    const std::uint32_t sequence = ++link.sequence;
    const PieceHeader header{sequence, 0};
    std::memcpy(request.data(), &header, sizeof header);
    try {
      send(link, {request.data(), request.size()});
      receive(link, sequence, reply);
    } catch (const EndOfFile&) {
      die(kGone);
      throw;
    } catch (const DecodeError&) {
      die(kNonsense);
      throw;
    }
  } catch (const EndOfFile&) {
    const char* const dead = dead_;
    throw EndOfFile(concat(place(call, object), dead != nullptr ? dead : kGone));
  } catch (const SystemError& error) {
    if (error.code() != std::errc::connection_refused) throw;
    die(kGone);
    throw EndOfFile(concat(place(call, object), kGone));
  } catch (const DecodeError& error) {
    throw DecodeError(concat(place(call, object), error.what()));
  }
  if (unsaid_.load(std::memory_order_relaxed)) flush_releases();
  ManagerReply result(shared_from_this(), std::move(reply));
  result.rethrow();
  return result;
}

void ManagerClient::send(Link& link, std::span<std::byte> request) {
  // Pieces after the first get their header in the place of bytes that were sent before.
  PieceHeader header;
  std::memcpy(&header, request.data(), sizeof header);
  while (request.size() > kPieceBytes) {
    header.flags = kMorePieces;
    std::memcpy(request.data(), &header, sizeof header);
    link.channel->send(outgoing(request.first(kPieceBytes)));
    request = request.subspan(kPieceBytes - sizeof header);
  }
  header.flags = 0;
  std::memcpy(request.data(), &header, sizeof header);
  link.channel->send(outgoing(request));
}

void ManagerClient::receive(Link& link, std::uint32_t sequence, Buffer& reply) {
  PieceReceiver pieces(reply);
  for (;;) {
    const PieceHeader header = pieces.receive(*link.channel);
    if (header.sequence != sequence) {  // of a call that ran out of memory
      pieces.drop_last();
      continue;
    }
    if ((header.flags & kMorePieces) == 0) return;
    const PieceHeader more{sequence, kContinue};
    link.channel->send(outgoing(std::as_bytes(std::span(&more, 1))));
  }
}

// --- references ---

ManagerObject ManagerClient::reference(std::uint64_t id, std::uint64_t token, ObjectKind kind,
                                       std::uint32_t type) {
  acquire(id, token);
  try {
    return ManagerObject(
        std::make_shared<const ManagerObject::Held>(shared_from_this(), id, kind, type));
  } catch (const std::bad_alloc&) {
    release(id);
    throw;
  }
}

void ManagerClient::acquire(std::uint64_t id, std::uint64_t token) {
  {
    const std::lock_guard lock(table_mutex_);
    Count& count = table_[id];
    ++count.handles;
    if ((count.granted > 0 && token == 0) || inside_server()) return;
  }
  try {
    ManagerRequest request(shared_from_this(), ManagerOp::attach, "attach");
    request.raw(id).raw(token).run();
  } catch (const EndOfFile&) {
    // Every call on the object will say so. To say it here would look like the end of whatever the
    // proxy came through.
  } catch (...) {
    release(id);
    throw;
  }
}

void ManagerClient::hold(std::uint64_t id) {
  const std::lock_guard lock(table_mutex_);
  ++table_[id].handles;
}

void ManagerClient::release(std::uint64_t id) noexcept {
  {
    const std::lock_guard lock(table_mutex_);
    const auto at = table_.find(id);
    if (--at->second.handles > 0) return;
    const std::uint64_t granted = at->second.granted;
    table_.erase(at);
    if (granted == 0) return;
    try {
      releases_.emplace_back(id, granted);
      unsaid_ = true;
    } catch (const std::bad_alloc&) {
      return;  // kept by the server until this process ends, which is the lesser evil in a
               // destructor
    }
  }
  flush_releases();
}

void ManagerClient::take_grants(const std::vector<std::uint64_t>& ids) {
  const std::lock_guard lock(table_mutex_);
  table_.reserve(table_.size() + ids.size());
  for (const std::uint64_t id : ids) {
    Count& count = table_[id];
    ++count.granted;
    ++count.handles;
  }
}

std::uint64_t ManagerClient::pin(std::uint64_t id) {
  ManagerRequest request(shared_from_this(), ManagerOp::pin, "pin");
  return request.raw(id).send().raw<std::uint64_t>();
}

// Never waits: what does not fit stays for the next call.
void ManagerClient::send_releases(Link& link) {
  const std::lock_guard lock(table_mutex_);
  while (!releases_.empty()) {
    constexpr std::size_t kMost = 1024;
    const std::size_t n = std::min(releases_.size(), kMost);
    Buffer message;
    manager_protocol::put(message, PieceHeader{++link.sequence, 0});
    manager_protocol::put(message,
                          RequestHeader{.op = static_cast<std::uint16_t>(ManagerOp::release)});
    for (std::size_t i = releases_.size() - n; i < releases_.size(); ++i) {
      manager_protocol::put(message, releases_[i].first);
      manager_protocol::put(message, releases_[i].second);
    }
    Outgoing release = outgoing(message.bytes());
    release.peer_is_watched = false;  // it gets no reply
    if (!link.channel->try_send(release)) return;
    releases_.resize(releases_.size() - n);
  }
  unsaid_ = false;
}

// When all links are in use one more is made, since a call may wait for long; not over tcp, where
// making one waits for the server: then the next call says them.
void ManagerClient::flush_releases() noexcept {
  try {
    if (dead_ != nullptr) {  // all references went with the session
      const std::lock_guard lock(table_mutex_);
      releases_.clear();
      unsaid_ = false;
      return;
    }
    const Lease idle(*this, std::nothrow);
    if (idle) return send_releases(*idle);
    {
      const std::lock_guard lock(table_mutex_);
      if (links_.empty() || door_) return;  // nothing is open yet
    }
    const Lease lease(*this);
    send_releases(*lease);
  } catch (const EndOfFile&) {
    die(kGone);
  } catch (const std::exception&) {
    // No memory, no descriptors: the next call says them.
  }
}

}  // namespace tandem::detail
