// The client's side of the fork server.
#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/lazy.hpp"
#include "base/text.hpp"
#include "os/exec.hpp"
#include "os/liveness.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/self.hpp"
#include "os/socket.hpp"
#include "process/fork_server.hpp"
#include "process/payload.hpp"
#include "process/start.hpp"
#include "tandem/detail/log.hpp"
#include "tandem/process.hpp"

namespace tandem::detail {
namespace fork_server {
namespace {

// A server this process may ask.
struct Known {
  Fd clients;
  int pid = 0;
  std::shared_ptr<const Fd> pidfd = {};  // null where another process started it
};

struct State {
  std::mutex starting;  // held while a server is started; taken before the start gate
  std::mutex mutex;     // for what follows; nothing else is taken under it
  std::shared_ptr<const Known> server;
  Call preload;
  std::vector<std::shared_ptr<const Fd>> left;  // servers this process started and let go of
};

constinit base::Lazy<State> state;

// While the library is loaded, before there is a second thread that could fork. Who starts a server
// is a thread that the child does not have.
[[maybe_unused]] const bool fork_safe = [] {
  os::at_fork([] { state->mutex.lock(); }, [] { state->mutex.unlock(); },
              [] {
                state->mutex.unlock();
                new (&state->starting) std::mutex;
                state->left.clear();
              });
  return true;
}();

// Where standard streams are closed, their numbers are given to others, which are closed in turn by
// who opens the streams again: no place for what is kept.
Fd clear_of_streams(Fd fd) { return fd.get() > 2 ? std::move(fd) : fd.duplicate(); }

std::shared_ptr<const Known> known() {
  const std::lock_guard lock(state->mutex);
  return state->server;
}

std::string how_it_ended(int exit_code) {
  return exit_code < 0 ? concat("was ended by signal ", std::to_string(-exit_code))
                       : concat("exited with code ", std::to_string(exit_code));
}

void reap_left() {
  const std::lock_guard lock(state->mutex);
  std::erase_if(state->left, [](const auto& pidfd) { return os::reap(*pidfd).has_value(); });
}

// From now on this process asks another one. Under the lock.
void let_go() {
  const auto server = std::exchange(state->server, nullptr);
  if (server != nullptr && server->pidfd != nullptr) state->left.push_back(server->pidfd);
}

void forget(const std::shared_ptr<const Known>& server) {
  const std::lock_guard lock(state->mutex);
  if (state->server == server) let_go();
}

// \returns when the server has said that it is prepared
void await_hello(const Fd& clients, const os::ChildProcess& server, const std::string& child) {
  pollfd either[] = {{clients.get(), POLLIN, 0}, {server.pidfd.get(), POLLIN, 0}};
  os::poll_until(either, Deadline::never());
  Hello hello{};
  os::Packet packet;
  const os::Io io = os::recv_packet(clients.get(), room_of(hello), packet);
  if (io == os::Io::done && packet.size == sizeof hello && hello.magic == Hello::kMagic) return;
  static_cast<void>(os::wait_readable(server.pidfd.get(), Deadline::never()));
  throw StartError(concat("Process::start on ", child, " (forkserver): the fork server (pid ",
                          std::to_string(server.pid), ") ",
                          how_it_ended(os::reap(server.pidfd).value_or(0)),
                          " before it was prepared; if its preload threw, that is on stderr"));
}

// \param fresh set when the server was started for this call
std::shared_ptr<const Known> running_server(const std::string& child, bool& fresh) {
  const std::lock_guard starting(state->starting);
  if (auto server = known()) return server;
  reap_left();
  Call preload;
  {
    const std::lock_guard lock(state->mutex);
    preload = state->preload;
  }
  auto [ours, theirs] = os::make_socket_pair();
  ours = clear_of_streams(std::move(ours));
  os::ChildProcess process;
  {
    ServerTarget target(std::move(theirs), std::move(preload));
    const Identity& self = identity();
    const std::shared_lock gate(start_gate());
    process = exec_child(target, {.name = "ForkServer",
                                  .path = "ForkServer",
                                  .parent_pid = os::process_id(),
                                  .parent_name = self.name,
                                  .parent_daemon = self.daemon});
  }
  try {
    process.pidfd = clear_of_streams(std::move(process.pidfd));
  } catch (const SystemError&) {
    os::kill_and_reap(process.pid);
    throw;
  }
  await_hello(ours, process, child);
  log(LogLevel::debug, "fork server started, pid ", std::to_string(process.pid));
  auto server = std::make_shared<const Known>(
      Known{std::move(ours), process.pid, std::make_shared<const Fd>(std::move(process.pidfd))});
  const std::lock_guard lock(state->mutex);
  state->server = server;
  fresh = true;
  return server;
}

// \returns false when the server is gone
bool send(const Fd& socket, std::span<const std::byte> bytes, std::span<const Fd> descriptors) {
  for (;;) {
    switch (os::send_packet(socket.get(), bytes, descriptors)) {
      case os::Io::done:
        return true;
      case os::Io::hung_up:
        return false;
      case os::Io::would_block:
        static_cast<void>(os::wait_writable(socket.get(), Deadline::never()));
    }
  }
}

// What a child of the server gets beside the payload's own descriptors, in the Request's order.
std::vector<Fd> fixed_descriptors(const Known& server, Fd payload, Request& request) {
  std::vector<Fd> fixed;
  fixed.push_back(std::move(payload));
  fixed.push_back(server.clients.duplicate());
  constexpr std::pair<int, std::uint32_t> kStreams[] = {{1, Request::kOutput},
                                                        {2, Request::kError}};
  for (const auto& [stream, flag] : kStreams) {
    Fd copy = os::copy_of_stream(stream);
    if (!copy) continue;
    fixed.push_back(std::move(copy));
    request.streams |= flag;
  }
  return fixed;
}

// \returns false when the server is gone, or has hung up because it refuses
bool send_request(const Fd& socket, const Request& request, std::span<const Fd> fixed,
                  std::span<const Fd> more) {
  if (!send(socket, bytes_of(request), fixed)) return false;
  while (!more.empty()) {
    const std::span<const Fd> some = more.first(std::min(more.size(), os::kMaxDescriptors));
    if (!send(socket, bytes_of(std::uint8_t{0}), some)) return false;
    more = more.subspan(some.size());
  }
  return true;
}

const char* text_of(Stage stage) {
  switch (stage) {
    case Stage::take_request:
      return "fork server: take the request";
    case Stage::understand_request:
      return "fork server: understand the request";
    case Stage::fork:
      return "fork server: fork";
    case Stage::open_child:
      return "fork server: open the child";
    case Stage::none:
      break;
  }
  return "fork server";
}

// \returns nothing when the server is gone
std::optional<os::ChildProcess> await_reply(const Fd& socket, const Known& server) {
  // The child that was forked holds the other end of `socket`, too: only the server's own socket
  // tells of its death.
  pollfd either[] = {{socket.get(), POLLIN, 0}, {server.clients.get(), POLLRDHUP, 0}};
  os::poll_until(either, Deadline::never());
  Reply reply{};
  os::Packet packet;
  if (os::recv_packet(socket.get(), room_of(reply), packet) != os::Io::done) return std::nullopt;
  if (packet.size == sizeof reply && !packet.truncated) {
    if (reply.error != 0) {
      throw SystemError({reply.error, std::system_category()}, text_of(reply.stage));
    }
    if (reply.pid > 0 && packet.descriptors.size() == 1) {
      return os::ChildProcess{reply.pid, clear_of_streams(std::move(packet.descriptors.front()))};
    }
  }
  throw StartError("fork server: its answer is not one");
}

// \returns nothing when the server was gone before it had answered: then nothing runs
std::optional<ServedProcess> ask(const Known& server, Target& target, const Identity& child) {
  const std::shared_lock gate(start_gate());
  Buffer payload;
  std::vector<Fd> descriptors;
  Encoder encoder(payload, Route::process, &descriptors);
  write_payload(encoder, descriptors, target, child);

  Request request;
  const std::vector<Fd> fixed = fixed_descriptors(server, payload_file(payload), request);
  request.descriptors = static_cast<std::uint32_t>(fixed.size() + descriptors.size());

  auto [ours, theirs] = os::make_socket_pair();
  ours = clear_of_streams(std::move(ours));
  if (!send(server.clients, bytes_of(Hello{}), {&theirs, 1})) return std::nullopt;
  theirs.reset();
  static_cast<void>(send_request(ours, request, fixed, descriptors));
  std::optional<os::ChildProcess> process = await_reply(ours, server);
  if (!process) return std::nullopt;
  // If nobody is left to hear it, the child has been killed since.
  static_cast<void>(os::send_packet(ours.get(), bytes_of(Go{0})));
  encoder.shipped();
  return ServedProcess{std::move(*process), std::move(ours)};
}

}  // namespace

void join_server(Fd clients) {
  auto server =
      std::make_shared<const Known>(Known{std::move(clients), os::parent_process_id(), nullptr});
  const std::lock_guard lock(state->mutex);
  state->server = std::move(server);
}

std::vector<std::shared_ptr<const Fd>> leave_server() {
  const std::lock_guard lock(state->mutex);
  let_go();
  return std::exchange(state->left, {});
}

}  // namespace fork_server

ServedProcess start_forkserver(Target& target, const Identity& child) {
  require_init(child.name);
  Identity told = child;
  told.parent_birth = os::birth_of(child.parent_pid);
  for (;;) {
    bool fresh = false;
    const auto server = fork_server::running_server(child.name, fresh);
    if (auto served = fork_server::ask(*server, target, told)) return std::move(*served);
    fork_server::forget(server);
    // It may have been dead since long ago, but not one that was started just now.
    if (fresh) {
      throw StartError(concat("Process::start on ", child.name,
                              " (forkserver): the fork server (pid ", std::to_string(server->pid),
                              ") ended while it made the process"));
    }
    log(LogLevel::warning, "the fork server (pid ", std::to_string(server->pid),
        ") has ended; another is started");
  }
}

void set_preload(Call preload) {
  const std::lock_guard lock(fork_server::state->mutex);
  fork_server::state->preload = std::move(preload);
  fork_server::let_go();  // it was prepared otherwise
}

}  // namespace tandem::detail
