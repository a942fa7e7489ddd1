#include "transport/reception.hpp"

#include <exception>
#include <new>
#include <optional>
#include <utility>

#include "base/text.hpp"
#include "os/check.hpp"
#include "os/domain.hpp"
#include "os/poll.hpp"
#include "os/random.hpp"
#include "os/socket.hpp"
#include "os/stream.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/log.hpp"
#include "tandem/error.hpp"
#include "transport/live_channels.hpp"
#include "transport/socket_channel.hpp"

namespace tandem::transport {

using detail::ByteChannel;
using detail::Deadline;
using Next = ServerHandshake::Next;

namespace {

// So that a flood of newcomers does not keep those in the middle of their handshake waiting.
constexpr int kNewPerStep = 64;

bool out_of_room(const std::error_code& code) {
  return code == std::errc::too_many_files_open ||
         code == std::errc::too_many_files_open_in_system || code == std::errc::no_buffer_space ||
         code == std::errc::not_enough_memory;
}

void require_key(const Address& address, const AuthKey& key, std::string_view call) {
  if (address.is_tcp() && key.empty()) {
    throw AuthenticationError(detail::concat(call, " at ", address.to_string(),
                                             ": a network needs a key, or anybody could come in"));
  }
}

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

/// A few bytes into a socket that is empty: whoever is slow enough to leave no room is dropped.
void send_at_once(const detail::Fd& socket, std::span<const std::byte> head,
                  std::span<const std::byte> body = {},
                  std::span<const detail::Fd> descriptors = {}) {
  std::size_t sent = 0;
  if (os::send_some(socket.get(), head, body, sent, descriptors) != os::Io::done ||
      sent != head.size() + body.size()) {
    throw EndOfFile("it hung up");
  }
}

}  // namespace

Reception::Reception(detail::Fd socket, Address address, AuthKey key)
    : address_(std::move(address)), key_(std::move(key)), socket_(std::move(socket)) {
  listen(true);
}

void Reception::abandon() noexcept {
  socket_.reset();
  poller_.abandon();
  for (auto& [id, handshake] : handshakes_) handshake.socket.reset();
}

Deadline Reception::next() const {
  return handshakes_.empty() ? rest_until_ : rest_until_.earlier(handshakes_.begin()->second.until);
}

void Reception::hold(bool on) {
  held_ = on;
  listen(!held_ && rest_until_.is_never());
}

void Reception::listen(bool on) {
  if (on == listening_) return;
  if (on) {
    poller_.add(socket_.get(), kListenerKey);
  } else {
    poller_.remove(socket_.get());
  }
  listening_ = on;
}

void Reception::step(std::vector<Guest>& guests) {
  if (!rest_until_.is_never() && rest_until_.passed()) {
    rest_until_ = Deadline::never();
    listen(!held_);
  }
  bool knocks = false;
  for (const std::uint64_t key : poller_.wait(Deadline::now())) {
    if (key == kListenerKey) {
      knocks = true;
    } else {
      advance(key, guests);
    }
  }
  while (!handshakes_.empty() && handshakes_.begin()->second.until.passed()) {
    drop(handshakes_.begin(), "it did not finish its handshake in time");
  }
  if (knocks) accept_all();
}

void Reception::accept_all() {
  for (int i = 0; i < kNewPerStep; ++i) {
    try {
      if (!accept_one()) return;
    } catch (const SystemError& error) {
      if (!out_of_room(error.code())) throw;
      if (!make_room(error)) return;
    } catch (const std::bad_alloc& error) {
      if (!make_room(error)) return;
    }
  }
}

bool Reception::make_room(const std::exception& error) {
  if (!handshakes_.empty()) {
    drop(handshakes_.begin(), "there is no room for so many at once");
    return true;
  }
  detail::log(LogLevel::warning, "Listener at ", address_.to_string(),
              ": accepts nobody for a moment: ", error.what());
  listen(false);
  rest_until_ = Deadline::after(kRest);
  return false;
}

bool Reception::accept_one() {
  const std::uint64_t forks = fork_count();
  std::optional<detail::Fd> socket = os::accept_connection(socket_.get());
  if (!socket) return false;
  if (handshakes_.size() >= kMostHandshakes) {
    drop(handshakes_.begin(), "there are too many handshakes at once");
  }
  const std::uint64_t id = ++last_id_;
  const auto at =
      handshakes_.emplace_hint(handshakes_.end(), id,
                               Handshake{std::move(*socket), ServerHandshake(server_greeting()),
                                         Deadline::after(kPatience), forks});
  const detail::Fd& client = at->second.socket;
  try {
    if (address_.is_tcp()) {
      os::tune_tcp(client.get());
    } else if (os::peer_credentials(client.get()).uid != os::own_domain().user) {
      throw AuthenticationError("it belongs to another user");
    }
    poller_.add(client.get(), id);
  } catch (const std::exception& error) {  // whatever is wrong, it is this client's
    drop(at, error.what());
  }
  return true;
}

void Reception::advance(std::uint64_t id, std::vector<Guest>& guests) {
  const auto at = handshakes_.find(id);
  if (at == handshakes_.end()) return;
  Handshake& handshake = at->second;
  try {
    for (;;) {
      std::size_t got = 0;
      const os::Io io = os::recv_some(handshake.socket.get(), handshake.state.space(), got);
      if (io == os::Io::would_block) return;
      if (io == os::Io::hung_up) throw EndOfFile("it hung up");
      const Next next = handshake.state.arrived(got);
      if (next == Next::greet) send_at_once(handshake.socket, bytes_of(handshake.state.greeting()));
      if (next == Next::answer) break;
    }
    answer(handshake, guests);
    handshakes_.erase(at);
  } catch (const std::exception& error) {  // whatever is wrong, it is this client's
    drop(at, error.what());
  }
}

void Reception::answer(Handshake& handshake, std::vector<Guest>& guests) {
  if (!handshake.state.proven(key_)) {
    send_at_once(handshake.socket, bytes_of(handshake.state.answer(key_, false, 0)));
    throw AuthenticationError("it does not know the key");
  }
  guests.reserve(guests.size() + 1);
  guests.push_back(address_.is_tcp() ? admit_remote(handshake) : admit_local(handshake));
}

Reception::Guest Reception::admit_local(Handshake& handshake) {
  auto [here, there] = ByteChannel::pair();
  detail::Buffer bytes;
  std::vector<detail::Fd> descriptors;
  detail::Encoder to(bytes, detail::Route::connection, &descriptors);
  there->hand_over(to);
  const auto size = static_cast<std::uint32_t>(bytes.size());
  send_at_once(handshake.socket, bytes_of(handshake.state.answer(key_, true, size)), bytes.bytes(),
               descriptors);
  there->handed_over();
  poller_.remove(handshake.socket.get());
  return {std::move(here), address_};
}

Reception::Guest Reception::admit_remote(Handshake& handshake) {
  const std::string peer = os::peer_text(handshake.socket.get());
  Guest guest{nullptr, peer.empty() ? Address() : Address(detail::concat("tcp:", peer))};
  send_at_once(handshake.socket, bytes_of(handshake.state.answer(key_, true, 0)));
  poller_.remove(handshake.socket.get());
  guest.channel =
      std::make_unique<SocketChannel>(std::move(handshake.socket), peer, handshake.forks);
  return guest;
}

void Reception::drop(Handshakes::iterator at, std::string_view why) noexcept {
  Handshake& handshake = at->second;
  // Who says nothing was somebody who looked whether anybody listens here.
  const LogLevel level = handshake.state.begun() ? LogLevel::warning : LogLevel::debug;
  if (detail::log_enabled(level)) {
    try {
      std::string who = address_.is_tcp() ? os::peer_text(handshake.socket.get()) : std::string();
      if (!address_.is_tcp()) {
        who = detail::concat("pid ",
                             std::to_string(os::peer_credentials(handshake.socket.get()).pid));
      }
      detail::log(level, "Listener at ", address_.to_string(), ": refused a client (", who,
                  "): ", why);
    } catch (const std::exception&) {
      detail::log(level, "Listener at ", address_.to_string(), ": refused a client: ", why);
    }
  }
  poller_.remove(handshake.socket.get());
  // A process that was forked meanwhile may have a copy, and the client shall know at once.
  os::shut_both_ways(handshake.socket.get());
  handshakes_.erase(at);
}

detail::Fd listen_at(Address& address, const AuthKey& key, os::SocketFile& file) {
  require_key(address, key, "Listener");
  if (address.empty()) address = Address(detail::concat("unix:@tandem-", os::random_digits(32)));
  try {
    switch (address.scheme()) {
      case Address::Scheme::unix_path:
        return file.listen(address.place());
      case Address::Scheme::unix_abstract: {
        detail::Fd socket = os::bind_stream(os::unix_abstract(address.place()));
        os::start_listening(socket);
        return socket;
      }
      default:
        break;
    }
    std::exception_ptr refusal;
    for (const os::SocketName& name :
         os::tcp_names(address.place(), static_cast<std::uint16_t>(address.port()))) {
      try {
        detail::Fd socket = os::bind_stream(name);
        os::start_listening(socket);
        address = address.with_port(os::own_port(socket.get()));
        return socket;
      } catch (const SystemError&) {
        if (!refusal) refusal = std::current_exception();
      }
    }
    std::rethrow_exception(refusal);
  } catch (const SystemError& error) {
    throw SystemError(error.code(), detail::concat("Listener at ", address.to_string()));
  }
}

// --- the client's side ---

namespace {

/// What a client says and hears until it is admitted.
class Caller {
 public:
  Caller(detail::Fd socket, Deadline deadline) : socket_(std::move(socket)), deadline_(deadline) {}

  void send(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      std::size_t sent = 0;
      switch (os::send_some(socket_.get(), bytes, {}, sent)) {
        case os::Io::hung_up:
          // It may have said why before.
          return;
        case os::Io::would_block:
          if (!os::wait_writable(socket_.get(), deadline_)) throw_timed_out();
          break;
        case os::Io::done:
          bytes = bytes.subspan(sent);
      }
    }
  }
  void recv(std::span<std::byte> into) {
    while (!into.empty()) {
      std::size_t got = 0;
      switch (os::recv_some(socket_.get(), into, got, &descriptors_)) {
        case os::Io::hung_up:
          throw EndOfFile("the listener hung up");
        case os::Io::would_block:
          if (!os::wait_readable(socket_.get(), deadline_)) throw_timed_out();
          break;
        case os::Io::done:
          into = into.subspan(got);
      }
    }
  }
  template <class T>
  T recv() {
    T value;
    recv(std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  [[nodiscard]] detail::Fd& socket() { return socket_; }
  [[nodiscard]] std::vector<detail::Fd>& descriptors() { return descriptors_; }

 private:
  [[noreturn]] static void throw_timed_out() { throw TimedOut("the listener does not answer"); }

  detail::Fd socket_;
  Deadline deadline_;
  std::vector<detail::Fd> descriptors_;
};

detail::Fd call(const Address& address, Deadline deadline) {
  switch (address.scheme()) {
    case Address::Scheme::none:
      throw Error("the address is empty");
    case Address::Scheme::unix_path:
      return os::connect_stream(os::unix_path(address.place()), deadline);
    case Address::Scheme::unix_abstract:
      return os::connect_stream(os::unix_abstract(address.place()), deadline);
    case Address::Scheme::tcp:
      break;
  }
  std::exception_ptr refusal;
  for (const os::SocketName& name :
       os::tcp_names(address.place(), static_cast<std::uint16_t>(address.port()))) {
    try {
      detail::Fd socket = os::connect_stream(name, deadline);
      os::tune_tcp(socket.get());
      return socket;
    } catch (const SystemError&) {
      if (!refusal) refusal = std::current_exception();
    }
  }
  std::rethrow_exception(refusal);
}

std::unique_ptr<ByteChannel> introduce(const Address& address, const AuthKey& key) {
  const std::uint64_t forks = fork_count();
  const Deadline deadline = Deadline::after(2 * Reception::kPatience);
  Caller caller(call(address, deadline), deadline);
  if (!address.is_tcp() &&
      os::peer_credentials(caller.socket().get()).uid != os::own_domain().user) {
    throw AuthenticationError("the listener belongs to another user");
  }
  ClientHandshake handshake(client_greeting());
  caller.send(bytes_of(handshake.greeting()));
  caller.send(bytes_of(handshake.take(caller.recv<Greeting>(), key)));
  std::vector<std::byte> bytes(handshake.take(caller.recv<Answer>(), key));
  caller.recv(bytes);
  if (address.is_tcp()) {
    if (!bytes.empty()) throw DecodeError("the listener has sent what no listener sends");
    return std::make_unique<SocketChannel>(std::move(caller.socket()),
                                           address.to_string().substr(4), forks);
  }
  detail::Decoder from(bytes, detail::Route::connection, &caller.descriptors());
  auto channel = ByteChannel::adopt(from);
  from.expect_end();
  return channel;
}

}  // namespace

std::unique_ptr<ByteChannel> connect_to(const Address& address, const AuthKey& key) {
  require_key(address, key, "connect");
  const auto what = [&](const std::exception& error) {
    return detail::concat("connect to ", address.to_string(), ": ", error.what());
  };
  try {
    return introduce(address, key);
  } catch (const AuthenticationError& error) {
    throw AuthenticationError(what(error));
  } catch (const TimedOut& error) {
    throw TimedOut(what(error));
  } catch (const EndOfFile& error) {
    throw EndOfFile(what(error));
  } catch (const DecodeError& error) {
    throw DecodeError(what(error));
  } catch (const SystemError& error) {
    throw SystemError(error.code(), detail::concat("connect to ", address.to_string()));
  }
}

}  // namespace tandem::transport
