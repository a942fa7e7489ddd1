// Invariants of the server:
//
//  1. It has one thread, so that what a child inherits is whole. It never waits for one client: all
//     sockets are non-blocking, all waiting is in one place.
//  2. A client's socket is read until its request is complete and not once more: what follows is the
//     child's.
//  3. A child holds no descriptor of the server's but the socket of who asked for it, and that one
//     until it is told to go. It runs nothing of the user's before: whoever did not hear of it, or could
//     not take its pidfd, closes the socket, and the child ends.
//  4. The server reaps every child it forked, and tells who asked for it once. Nobody else can reap
//     them, so a pid is what it was until then.
//  5. `reserve_` is open whenever `clients_` may be read, so that a request for which there are no
//     descriptors left is answered, not lost.
#include "process/fork_server.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <iterator>
#include <optional>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "os/exec.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/poller.hpp"
#include "os/self.hpp"
#include "os/signals.hpp"
#include "os/socket.hpp"
#include "process/bootstrap.hpp"
#include "process/payload.hpp"
#include "tandem/detail/byte_channel.hpp"
#include "tandem/detail/call.hpp"

namespace tandem::detail::fork_server {
namespace {

// More than a process can have open; a number beyond it is garbage.
constexpr std::uint32_t kMostDescriptors = 1U << 20;

bool plausible(const Request& request) {
  constexpr std::uint32_t kStreams = Request::kOutput | Request::kError;
  const auto streams = static_cast<std::uint32_t>(std::popcount(request.streams));
  return request.magic == Request::kMagic && (request.streams & ~kStreams) == 0 &&
         request.descriptors >= Request::kFixed + streams &&
         request.descriptors <= kMostDescriptors;
}

// One whose descriptors the system had no room for is as good as empty: its sender sees that
// the socket it sent is closed.
os::Io receive_hello(const Fd& clients, Hello& hello, os::Packet& packet) {
  try {
    return os::recv_packet(clients.get(), room_of(hello), packet);
  } catch (const SystemError& error) {
    if (error.code().value() != EMFILE) throw;
    return os::Io::done;
  }
}

// A request as far as it has come.
struct Asked {
  Fd client;
  std::optional<Request> request = {};
  std::vector<Fd> descriptors = {};
};

struct Running {
  Fd pidfd;
  Fd client;
};

class Server {
 public:
  Server(Fd clients, const os::SignalDispositions& initial)
      : initial_(initial), clients_(std::move(clients)), reserve_(os::open_null()) {
    poller_.add(clients_.get(), kClients);
  }

  /// Serves until the last client is gone, and nobody waits to hear how a child ends; then returns
  /// nothing. Returns in every child, too, with
  /// what it was asked for; the Server must be destroyed there before anything else.
  [[nodiscard]] std::optional<Asked> serve();

 private:
  static constexpr std::uint64_t kClients = 0;

  [[nodiscard]] bool welcome();
  [[nodiscard]] std::optional<Asked> hear(std::uint64_t key);
  [[nodiscard]] bool receive(Asked& asked);
  [[nodiscard]] std::optional<Asked> fork(std::uint64_t key, Asked asked);
  void bury(std::uint64_t key);
  [[nodiscard]] bool anybody_wants_to_know() const;
  static void refuse(const Fd& client, Stage stage, int error);

  const os::SignalDispositions& initial_;
  Fd clients_;
  Fd reserve_;
  os::Poller poller_;
  std::uint64_t last_key_ = kClients;
  std::unordered_map<std::uint64_t, Asked> asked_;
  std::unordered_map<std::uint64_t, Running> running_;
};

std::optional<Asked> Server::serve() {
  for (;;) {
    if (!clients_ && !anybody_wants_to_know()) return std::nullopt;
    for (const std::uint64_t key : poller_.wait(Deadline::never())) {
      if (key == kClients) {
        if (!welcome()) poller_.remove(std::exchange(clients_, {}).get());
      } else if (running_.contains(key)) {
        bury(key);
      } else if (auto child = hear(key)) {
        return child;
      }
    }
  }
}

/// Takes in those who want to ask. \returns false when there is no client any more
bool Server::welcome() {
  for (;;) {
    Hello hello{};
    os::Packet packet;
    reserve_.reset();
    const os::Io io = receive_hello(clients_, hello, packet);
    const bool valid = io == os::Io::done && packet.size == sizeof hello && !packet.truncated &&
                       hello.magic == Hello::kMagic && packet.descriptors.size() == 1;
    Fd client = valid ? std::move(packet.descriptors.front()) : Fd();
    packet.descriptors.clear();
    try {
      reserve_ = os::open_null();
    } catch (const SystemError& error) {
      if (!client) throw;
      refuse(client, Stage::take_request, error.code().value());
      client.reset();
      reserve_ = os::open_null();
    }
    if (io == os::Io::hung_up) return false;
    if (io == os::Io::would_block) return true;
    if (!client) continue;
    try {
      poller_.add(client.get(), ++last_key_);
      asked_.emplace(last_key_, Asked{.client = std::move(client)});
    } catch (const SystemError& error) {
      refuse(client, Stage::take_request, error.code().value());
    }
  }
}

/// \returns what to do, in the child that was asked for
std::optional<Asked> Server::hear(std::uint64_t key) {
  const auto found = asked_.find(key);
  if (found == asked_.end()) return std::nullopt;
  Asked& asked = found->second;
  bool complete = false;
  try {
    if (!receive(asked)) return std::nullopt;
    complete = true;
  } catch (const SystemError& error) {
    refuse(asked.client, Stage::take_request, error.code().value());
  } catch (const DecodeError&) {
    refuse(asked.client, Stage::understand_request, EBADMSG);
  } catch (const EndOfFile&) {
  }
  poller_.remove(asked.client.get());
  Asked taken = std::move(asked);
  asked_.erase(found);
  return complete ? fork(key, std::move(taken)) : std::nullopt;
}

/// \returns whether it is complete
bool Server::receive(Asked& asked) {
  for (;;) {
    Request part{};
    os::Packet packet;
    switch (os::recv_packet(asked.client.get(), room_of(part), packet)) {
      case os::Io::would_block:
        return false;
      case os::Io::hung_up:
        throw EndOfFile("fork server: a client went before it had asked");
      case os::Io::done:
        break;
    }
    if (!asked.request) {
      if (packet.size != sizeof part || packet.truncated || !plausible(part)) {
        throw DecodeError("fork server: not a request");
      }
      asked.request = part;
    }
    for (Fd& fd : packet.descriptors) asked.descriptors.push_back(std::move(fd));
    if (packet.descriptors.empty() || asked.descriptors.size() > asked.request->descriptors) {
      throw DecodeError("fork server: not the descriptors that were announced");
    }
    if (asked.descriptors.size() == asked.request->descriptors) return true;
  }
}

std::optional<Asked> Server::fork(std::uint64_t key, Asked asked) {
  pid_t pid = 0;
  try {
    // A signal meets the server's handlers or the child's, never the server's in the child.
    const os::SignalsBlocked blocked;
    pid = os::fork_process();
    if (pid == 0) initial_.restore();
  } catch (const SystemError& error) {
    refuse(asked.client, Stage::fork, error.code().value());
    return std::nullopt;
  }
  if (pid == 0) return asked;
  // Before anybody hears of the child, or an end of file that it should cause would wait for us.
  asked.descriptors.clear();
  try {
    Fd pidfd = os::open_pidfd(pid);
    poller_.add(pidfd.get(), key);
    const Reply reply{.pid = pid};
    // A client that cannot take it, or is gone, does not let the child go.
    static_cast<void>(os::send_packet(asked.client.get(), bytes_of(reply), {&pidfd, 1}));
    running_.emplace(key, Running{std::move(pidfd), std::move(asked.client)});
  } catch (const SystemError& error) {
    os::kill_and_reap(pid);
    refuse(asked.client, Stage::open_child, error.code().value());
  }
  return std::nullopt;
}

void Server::bury(std::uint64_t key) {
  const auto found = running_.find(key);
  const std::optional<int> status = os::reap(found->second.pidfd);
  if (!status) return;
  const Report report{.exit_code = *status};
  static_cast<void>(os::send_packet(found->second.client.get(), bytes_of(report)));
  poller_.remove(found->second.pidfd.get());
  running_.erase(found);
}

/// Whoever asked for a child that runs may have left for another server and still wait for its end;
/// and a client's own end, after which there is none, is a child's to report.
bool Server::anybody_wants_to_know() const {
  return std::any_of(running_.begin(), running_.end(),
                     [](const auto& entry) { return !os::hung_up(entry.second.client.get()); });
}

void Server::refuse(const Fd& client, Stage stage, int error) {
  const Reply reply{.error = error, .stage = stage};
  static_cast<void>(os::send_packet(client.get(), bytes_of(reply)));
}

void await_go(Fd client) {
  for (;;) {
    Go go{};
    os::Packet packet;
    switch (os::recv_packet(client.get(), room_of(go), packet)) {
      case os::Io::done:
        return;
      case os::Io::hung_up:
        os::exit_now(1);  // nobody knows of us
      case os::Io::would_block:
        static_cast<void>(os::wait_readable(client.get(), Deadline::never()));
    }
  }
}

[[noreturn]] void run_child(Asked asked) {
  run_to_the_end([&] {
    end_as_forked_child();
    os::unblock_all_signals();
    os::set_command_name(command_name(initialised_program()));
    auto next = asked.descriptors.begin();
    const Fd file = std::move(*next++);
    Fd clients = std::move(*next++);
    if ((asked.request->streams & Request::kOutput) != 0) os::replace_output(std::move(*next++));
    if ((asked.request->streams & Request::kError) != 0) os::replace_error(std::move(*next++));
    std::vector<Fd> descriptors(std::make_move_iterator(next),
                                std::make_move_iterator(asked.descriptors.end()));
    await_go(std::move(asked.client));
    join_server(std::move(clients));
    // Else end of file would wait for us on what the preload was passed.
    abandon_all_channels();
    auto payload = ReceivedPayload::read(file, descriptors.size());
    if (!payload) throw DecodeError("fork server: the request's payload is none");
    payload->run(std::move(descriptors));
  });
}

void run_server(Decoder& from, Encoder*) {
  Fd clients = from.take_descriptor(from.read_raw<std::uint32_t>());
  const bool preload = from.read_raw<bool>();
  os::set_command_name("tandem-forkserv");
  const os::SignalDispositions initial;
  os::ignore_interrupts();
  if (preload) run_call(from);
  // Whoever waits for the end of our starter's output must not wait for us. Children are given
  // that of who asks for them.
  flush_standard_streams();
  os::silence_output();
  if (os::send_packet(clients.get(), bytes_of(Hello{})) != os::Io::done) return;
  std::optional<Asked> child = Server(std::move(clients), initial).serve();
  if (child) run_child(std::move(*child));
}

}  // namespace

ServerTarget::ServerTarget(Fd clients, Call preload)
    : clients_(std::move(clients)), preload_(std::move(preload)) {}

void ServerTarget::encode(Encoder& to) const {
  to.write_raw(thunk_key<CallThunk, &run_server>().place);
  to.write_raw(to.attach(clients_.duplicate()));
  to.write_raw(static_cast<bool>(preload_));
  if (preload_) preload_.encode(to);
}

void ServerTarget::run_in_place(Decoder& from) { run_call(from); }

}  // namespace tandem::detail::fork_server
