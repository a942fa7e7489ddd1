#include "manager/server.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

#include "os/check.hpp"
#include "os/domain.hpp"
#include "os/event_fd.hpp"
#include "os/fence.hpp"
#include "os/futex.hpp"
#include "os/poll.hpp"
#include "os/self.hpp"
#include "os/socket.hpp"
#include "os/ticks.hpp"
#include "tandem/detail/log.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

using manager_protocol::GreetingHeader;
using manager_protocol::kContinue;
using manager_protocol::kIdsPerGreeting;
using manager_protocol::kMessageType;
using manager_protocol::kMorePieces;
using manager_protocol::kPieceBytes;
using manager_protocol::PieceHeader;
using manager_protocol::Reader;
using manager_protocol::RequestHeader;

namespace {

// A look costs tens of nanoseconds, the poller's system call hundreds.
constexpr unsigned kLooksPerPoll = 256;
// A client that was silent for this many polls, while others were not, is armed.
constexpr unsigned kQuietPolls = 16;
// A client that sleeps on the server's CPU runs in its place as soon as it is woken. While others
// keep the server busy it is woken a little later, at the end of the request after which that time
// has passed, with all who have come to that meanwhile. A compromise between what all clients get
// and what the slowest of them gets.
constexpr std::uint64_t kBellWaits = 7 * os::kTicksPerMicrosecond;
constexpr std::uint64_t kNobodySpeaks = 2 * os::kTicksPerMicrosecond;
// Buffers above this are given back between requests.
constexpr std::size_t kKeptBytes = std::size_t{64} << 10;

}  // namespace

ManagerServer::ManagerServer(Fd listener, const std::string& name, std::string where,
                             std::unique_ptr<transport::Reception> reception)
    : listener_(std::move(listener)),
      reception_(std::move(reception)),
      store_(std::move(where)),
      piece_(kPieceBytes),
      greeting_packet_(sizeof(GreetingHeader) + kIdsPerGreeting * sizeof(std::uint64_t)),
      leadership_([this] { return lead(); }),
      late_bell_(os::make_event_fd()) {
  identity_.pid = os::process_id();
  std::copy_n(name.begin(), std::min(name.size(), identity_.name.size()), identity_.name.begin());
  poller_.add(listener_.get(), kListenerKey);
  poller_.add(reception_->fd(), kReceptionKey);
  poller_.add(late_bell_.get(), kLateKey);
}

// --- the loop ---

void ManagerServer::run() { leadership_.run(); }

bool ManagerServer::lead() {
  while (!store_.shutting_down()) {
    while (Caller* const caller = store_.next_call()) {
      if (!run_user_code(*caller)) return false;
    }
    if (!spin_.spin([this] { return look(); })) sleep();
  }
  ring_all();
  return true;
}

bool ManagerServer::run_user_code(Caller& caller) {
  ring_all();
  const std::uint64_t turn = leadership_.begin_user_code();
  caller.run();
  if (leadership_.end_user_code(turn)) {
    finish(caller);
    answer_waiting();
    return true;
  }
  {
    const std::lock_guard lock(late_mutex_);
    late_.push_back(caller);
  }
  os::ring_bell(late_bell_);
  return false;
}

void ManagerServer::finish(Caller& caller) {
  if (!store_.finish(caller)) connections_.erase(static_cast<Connection&>(caller).key);
}

void ManagerServer::finish_late() {
  os::silence_bell(late_bell_);
  for (;;) {
    Caller* caller = nullptr;
    {
      const std::lock_guard lock(late_mutex_);
      caller = late_.pop_front();
    }
    if (caller == nullptr) return;
    finish(*caller);
  }
}

bool ManagerServer::look() {
  bool served = false;
  for (std::size_t i = 0; i < awake_.size();) {
    Connection& connection = *awake_[i];
    if (speaks(connection)) {
      served = true;
      connection.heard = true;
      serve(connection);
      if (!unrung_.empty()) ring_due(true);
    }
    if (i < awake_.size() && awake_[i] == &connection) ++i;  // else it was expelled
  }
  if (++looks_ % kLooksPerPoll == 0) {
    poll(Deadline::now());
    let_rest();
  }
  if (!unrung_.empty()) ring_due(false);
  if (!expelled_.empty()) bury();
  answer_waiting();
  return served || store_.has_call() || store_.shutting_down();
}

/// Also if it has made a mess of the memory that it shares with us: `serve` sees to that.
bool ManagerServer::speaks(const Connection& connection) {
  try {
    return connection.channel->ready();
  } catch (const std::exception&) {
    return true;
  }
}

void ManagerServer::ring_due(bool served) {
  const std::uint64_t now = os::ticks();
  if (served) last_served_ = now;
  if (now - unrung_since_ >= kBellWaits || now - last_served_ >= kNobodySpeaks) ring_all();
}

void ManagerServer::ring_all() {
  while (!unrung_.empty()) {
    Connection& connection = *unrung_.back();
    unrung_.pop_back();
    connection.unrung = false;
    flush(connection);
  }
}

void ManagerServer::sleep() {
  ring_all();
  if (!expelled_.empty()) return;  // the next look buries them
  for (Connection* const connection : awake_) connection->channel->arm();
  const bool fenced = os::heavy_fence();
  const bool quiet = std::none_of(awake_.begin(), awake_.end(),
                                  [](const Connection* connection) { return speaks(*connection); });
  if (!quiet || !fenced) {
    // Without the fence a bell can be missed, so nobody stays armed and sleep is short.
    if (quiet) poll(Deadline::after(os::kSlice).earlier(store_.next_deadline()));
    for (Connection* const connection : awake_) connection->channel->disarm();
    return;
  }
  for (Connection* const connection : awake_) connection->awake = false;
  awake_.clear();
  const long long start = os::SpinBudget::now_ns();
  poll(reception_->next().earlier(store_.next_deadline()));
  spin_.slept(os::SpinBudget::now_ns() - start);
}

void ManagerServer::poll(Deadline deadline) {
  for (const std::uint64_t key : poller_.wait(deadline)) {
    if (key == kListenerKey) {
      accept_all();
      continue;
    }
    if (key == kReceptionKey) {
      receive_guests();
      continue;
    }
    if (key == kLateKey) {
      finish_late();
      continue;
    }
    const auto at = connections_.find(key);
    if (at == connections_.end()) continue;
    Connection& connection = *at->second;
    if (connection.channel) {
      if (connection.unflushed) flush(connection);
      if (connection.channel) wake(connection);
    } else if (connection.socket) {
      greet(connection);
    }
  }
  if (reception_->next().passed()) receive_guests();
  if (store_.next_deadline().passed()) store_.expire();
  if (!expelled_.empty()) bury();
  answer_waiting();
}

void ManagerServer::wake(Connection& connection) {
  if (!connection.awake) {
    connection.channel->disarm();
    connection.awake = true;
    connection.quiet = 0;
    awake_.push_back(&connection);
  }
  try {
    if (!connection.channel->ready_after_doorbell()) return;
  } catch (const Error&) {  // its socket has something that no client sends
    return expel(connection);
  }
  serve(connection);
}

void ManagerServer::let_rest() {
  if (awake_.size() < 2) return;
  bool any = false;
  for (Connection* const connection : awake_) {
    connection->quiet = std::exchange(connection->heard, false) ? 0 : connection->quiet + 1;
    if (connection->quiet < kQuietPolls) continue;
    connection->channel->arm();
    any = true;
  }
  if (!any) return;
  const bool fenced = os::heavy_fence();
  std::erase_if(awake_, [fenced](Connection* connection) {
    if (connection->quiet < kQuietPolls) return false;
    connection->quiet = 0;
    if (!fenced || speaks(*connection)) {
      connection->channel->disarm();
      return false;
    }
    connection->awake = false;
    return true;
  });
}

// --- coming and going ---

void ManagerServer::accept_all() {
  while (listening_) {
    try {
      std::optional<Fd> socket = os::accept_connection(listener_.get());
      if (!socket) return;
      if (os::peer_credentials(socket->get()).uid != os::own_domain().user) continue;
      auto made = std::make_unique<Connection>();
      Connection& connection = *made;
      connection.key = ++last_key_;
      connection.socket = std::move(*socket);
      make_room_for_one_more();
      connections_.emplace(connection.key, std::move(made));
      ++strangers_;
      greeting_.push_back(&connection);
      poller_.add(connection.socket.get(), connection.key);
    } catch (const std::exception&) {
      // No descriptors or no memory: who waits is accepted when somebody has left.
      poller_.remove(listener_.get());
      listening_ = false;
    }
  }
}

void ManagerServer::make_room_for_one_more() {
  greeting_.reserve(greeting_.size() + 1);
  expelled_.reserve(connections_.size() + 1);
  awake_.reserve(connections_.size() + 1);
  unrung_.reserve(connections_.size() + 1);
}

void ManagerServer::receive_guests() {
  std::vector<transport::Reception::Guest> guests;
  try {
    reception_->step(guests);
  } catch (const Error& error) {
    log(LogLevel::error, "Manager at ", reception_->address().to_string(),
        ": nobody new is let in any more: ", error.what());
    poller_.remove(reception_->fd());
  }
  for (auto& guest : guests) {
    try {
      admit(guest);
    } catch (const std::exception& error) {  // whatever is wrong, it is this client's
      log(LogLevel::warning, "Manager at ", reception_->address().to_string(),
          ": lost a client that had come in: ", error.what());
    }
  }
}

void ManagerServer::admit(transport::Reception::Guest& guest) {
  Outgoing message;
  message.type = manager_protocol::kIdentityType;
  message.bytes = std::as_bytes(std::span(&identity_, 1));
  if (!guest.channel->try_send(message)) throw EndOfFile("it takes nothing");
  if (!guest.from.is_tcp()) return;  // it comes again by the door for processes of this machine
  auto made = std::make_unique<Connection>();
  Connection& connection = *made;
  connection.key = ++last_key_;
  connection.channel = std::move(guest.channel);
  make_room_for_one_more();
  connections_.emplace(connection.key, std::move(made));
  ++strangers_;
  try {
    poller_.add(connection.channel->doorbell(), connection.key);
  } catch (...) {
    connections_.erase(connection.key);
    --strangers_;
    throw;
  }
  flush(connection);
}

void ManagerServer::flush(Connection& connection) {
  try {
    const bool unflushed = !connection.channel->flush();
    if (unflushed == connection.unflushed) return;
    poller_.watch_room(connection.channel->doorbell(), connection.key, unflushed);
    connection.unflushed = unflushed;
  } catch (const std::exception&) {  // it is gone, or there is no memory for it
    expel(connection);
  }
}

void ManagerServer::greet_all() {
  for (std::size_t i = 0; i < greeting_.size();) {
    Connection* const connection = greeting_[i];
    greet(*connection);
    if (i < greeting_.size() && greeting_[i] == connection) ++i;
  }
}

void ManagerServer::greet(Connection& connection) {
  try {
    while (!connection.greeted) {
      if (!read_greeting(connection)) return;
    }
    if (!os::wait_readable(connection.socket.get(), Deadline::now())) return;
    connection.channel = ByteChannel::over_socket(std::move(connection.socket), false);
    connection.awake = true;
    awake_.push_back(&connection);
  } catch (const std::exception&) {  // whatever is wrong, it is this client's
    expel(connection);
  }
}

/// \returns false when there is nothing to read yet
bool ManagerServer::read_greeting(Connection& connection) {
  os::Packet packet;
  switch (os::recv_packet(connection.socket.get(), greeting_packet_, packet)) {
    case os::Io::would_block:
      return false;
    case os::Io::hung_up:
      throw EndOfFile("Manager: a client hung up");
    case os::Io::done:
      break;
  }
  if (packet.truncated || !packet.descriptors.empty()) {
    throw DecodeError("Manager: not a client's greeting");
  }
  take_greeting(connection, std::span<const std::byte>(greeting_packet_).first(packet.size));
  if (connection.greeted) std::erase(greeting_, &connection);
  return true;
}

void ManagerServer::take_greeting(Connection& connection, std::span<const std::byte> bytes) {
  Reader from(bytes);
  const auto header = from.raw<GreetingHeader>();
  if (header.magic != GreetingHeader().magic || header.version != manager_protocol::kVersion) {
    throw DecodeError("Manager: not a client's greeting");
  }
  if (connection.session == nullptr) join_session(connection, header);
  while (from.left() > 0) store_.greet(connection.session->references, from.raw<ObjectId>());
  connection.greeted = header.last != 0;
}

void ManagerServer::join_session(Connection& connection, const GreetingHeader& header) {
  manager_protocol::SessionId id = header.session;
  if (id == manager_protocol::SessionId()) {
    id.words[1] = ++nameless_sessions_;
  } else if (id.words[0] == 0) {  // those are ours
    throw DecodeError("Manager: not a client's greeting");
  }
  auto [at, made] = sessions_.try_emplace(id);
  if (made) {
    try {
      at->second = std::make_unique<Session>();
    } catch (...) {
      sessions_.erase(at);
      throw;
    }
    at->second->id = id;
    at->second->references.pid = header.pid;
  }
  connection.session = at->second.get();
  connection.client = &connection.session->references;
  ++connection.session->connections;
  --strangers_;
}

void ManagerServer::leave_session(Connection& connection) noexcept {
  if (connection.session == nullptr) {
    --strangers_;
    return;
  }
  Session& session = *std::exchange(connection.session, nullptr);
  if (--session.connections > 0) return;
  store_.forget(session.references);
  sessions_.erase(session.id);
}

/// Closes it; `bury` does the rest when nobody walks over the lists.
void ManagerServer::expel(Connection& connection) noexcept {
  poller_.remove(connection.channel ? connection.channel->doorbell() : connection.socket.get());
  connection.channel.reset();
  connection.socket.reset();
  std::erase(awake_, &connection);
  std::erase(greeting_, &connection);
  std::erase(unrung_, &connection);
  expelled_.push_back(&connection);  // has room: accept_all saw to it
}

void ManagerServer::bury() {
  while (!expelled_.empty()) {
    const std::vector<Connection*> gone = std::exchange(expelled_, {});
    expelled_.reserve(connections_.size());
    accept_all();
    greet_all();
    for (Connection* const connection : gone) {
      const bool idle = store_.abandon(*connection);
      leave_session(*connection);
      if (idle) connections_.erase(connection->key);  // else when its user code has run
    }
  }
  if (!listening_) {
    poller_.add(listener_.get(), kListenerKey);
    listening_ = true;
  }
}

// --- requests ---

void ManagerServer::serve(Connection& connection) {
  try {
    Incoming into;
    into.storage = piece_.data();
    into.capacity = piece_.size();
    if (!connection.channel->recv(into, Deadline::now())) return;
    const auto bytes = std::span<const std::byte>(piece_).first(into.size);
    if (!connection.greeted && into.type == manager_protocol::kGreetingType) {
      return take_greeting(connection, bytes);
    }
    if (connection.greeted && into.type == kMessageType && into.descriptors.empty() &&
        take_piece(connection, bytes)) {
      return;
    }
  } catch (const std::exception&) {
    // It died, it sent what cannot be decoded, or there is no memory for what it sends.
  }
  expel(connection);
}

bool ManagerServer::take_piece(Connection& connection, std::span<const std::byte> piece) {
  if (connection.busy()) return false;  // it is to wait for the answer
  Reader from(piece);
  const auto header = from.raw<PieceHeader>();
  if (header.flags == kContinue) {
    return header.sequence == connection.reply_sequence && connection.reply.size() > 0 &&
           send_piece(connection);
  }
  if (connection.request_sequence != header.sequence) {  // the client gave up the one before
    connection.request.clear();
    connection.request_sequence = header.sequence;
  }
  const auto body = from.rest();
  if ((header.flags & kMorePieces) != 0) {
    connection.request.append(body.data(), body.size());
    return true;
  }
  if (connection.request.size() == 0) return answer(connection, header.sequence, body);
  connection.request.append(body.data(), body.size());
  return answer(connection, header.sequence, connection.request.bytes());
}

bool ManagerServer::answer(Connection& connection, std::uint32_t sequence,
                           std::span<const std::byte> request) {
  const auto op = static_cast<ManagerOp>(Reader(request).raw<RequestHeader>().op);
  if (op == ManagerOp::release) {
    accept_all();
    greet_all();
  }
  store_.count_connections(sessions_.size() + strangers_);
  connection.replied = 0;
  connection.reply_sequence = sequence;
  if (!store_.perform(connection, request)) return true;
  clear(connection.request);
  if (op != ManagerOp::release && op != ManagerOp::introduce) return send_piece(connection);
  connection.reply.clear();
  return true;
}

/// Sends what has come for those who had to wait.
void ManagerServer::answer_waiting() {
  while (Caller* const caller = store_.next_answered()) {
    auto& connection = static_cast<Connection&>(*caller);
    clear(connection.request);
    if (!connection.channel) continue;  // it is expelled, and buried in a moment
    try {
      if (!connection.awake) {
        connection.channel->disarm();
        connection.awake = true;
        connection.quiet = 0;
        awake_.push_back(&connection);
      }
      if (connection.reply.size() > 0 && send_piece(connection)) continue;
    } catch (const std::exception&) {
      // It is gone.
    }
    expel(connection);
  }
}

void ManagerServer::clear(Buffer& buffer) noexcept {
  buffer.clear();
  if (buffer.capacity() > kKeptBytes) buffer = Buffer();
}

bool ManagerServer::send_piece(Connection& connection) {
  // Pieces after the first get their header in the place of bytes that were sent before.
  Buffer& reply = connection.reply;
  const std::size_t start = connection.replied == 0 ? 0 : connection.replied - sizeof(PieceHeader);
  const std::size_t size = std::min(reply.size() - start, kPieceBytes);
  const bool last = start + size == reply.size();
  const PieceHeader header{connection.reply_sequence, last ? 0 : kMorePieces};
  std::memcpy(reply.data() + start, &header, sizeof header);
  Outgoing message;
  message.type = kMessageType;
  message.peer_is_watched = true;  // by the poller
  message.tells_cpu = true;
  message.bell_may_wait = awake_.size() > 1;
  message.bytes = reply.bytes().subspan(start, size);
  if (!connection.channel->try_send(message)) return false;  // it does not read its replies
  if (connection.channel->bell_waits()) {
    if (unrung_.empty()) unrung_since_ = last_served_ = os::ticks();
    if (!std::exchange(connection.unrung, true)) unrung_.push_back(&connection);
  } else if (!connection.channel->flush() && !connection.unflushed) {
    poller_.watch_room(connection.channel->doorbell(), connection.key, true);
    connection.unflushed = true;
  }
  connection.replied = start + size;
  if (last) clear(reply);
  return true;
}

}  // namespace tandem::detail
