#include "tandem/manager.hpp"

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "manager/client.hpp"
#include "manager/protocol.hpp"
#include "manager/server.hpp"
#include "os/random.hpp"
#include "os/self.hpp"
#include "os/signals.hpp"
#include "os/socket.hpp"
#include "os/socket_file.hpp"
#include "tandem/error.hpp"
#include "transport/reception.hpp"

namespace tandem {
namespace {

/// A listening socket on its way into the server process. It exists before the server does, so that
/// clients can connect from the start; they are answered once it runs.
class ListeningSocket {
 public:
  using TandemHandle = void;

  explicit ListeningSocket(detail::Fd fd) : fd_(std::move(fd)) {}

  void save(detail::Encoder& to) const { to.write_raw(to.attach(fd_.duplicate())); }
  [[nodiscard]] static ListeningSocket detail_decode(detail::Decoder& from) {
    return ListeningSocket(from.take_descriptor(from.read_raw<std::uint32_t>()));
  }
  [[nodiscard]] detail::Fd take() { return std::move(fd_); }

 private:
  detail::Fd fd_;
};

struct Serve {
  void operator()(ListeningSocket listener, const std::string& name, ListeningSocket door,
                  const Address& address, const AuthKey& key) const {
    os::ignore_interrupts();
    detail::ManagerClient::become_server();
    const auto self = detail::ManagerClient::to(name, os::process_id());
    detail::ManagerServer(listener.take(), name, self->name(),
                          std::make_unique<transport::Reception>(door.take(), address, key))
        .run();
  }
};

std::string server_name(std::string given) {
  static std::atomic<unsigned> count{0};
  if (!given.empty()) return given;
  return detail::concat("Manager-", std::to_string(count.fetch_add(1) + 1));
}

}  // namespace

struct Manager::State {
  std::mutex mutex;
  os::SocketFile file;  // of `address`, in the process that started the server
  Address address;
  AuthKey key;
  std::string name;
  std::optional<Process> process;  // nothing: it was joined
  int pid = 0;
  int owner = os::process_id();
  std::shared_ptr<detail::ManagerClient> client;  // null after shutdown
};

Manager::Manager() : Manager(ManagerOptions{}) {}

Manager::Manager(ManagerOptions options) {
  namespace protocol = detail::manager_protocol;
  auto state = std::make_unique<State>();
  state->address = std::move(options.address);
  state->key = options.authkey.empty() && !state->address.is_tcp() ? AuthKey::random()
                                                                   : std::move(options.authkey);
  ListeningSocket door(transport::listen_at(state->address, state->key, state->file));
  const std::string name =
      detail::concat(protocol::kAddressPrefix, os::random_digits(protocol::kAddressDigits));
  ListeningSocket listener(os::listen_abstract(name));
  state->name = server_name(std::move(options.name));
  state->process.emplace(
      ProcessOptions{.name = state->name, .daemon = true, .start_method = options.start_method},
      Serve{}, std::move(listener), name, std::move(door), state->address, state->key);
  state->process->start();
  state->pid = state->process->pid();
  state->client = detail::ManagerClient::to(name, state->pid);
  state_ = std::move(state);
}

Manager::Manager(std::unique_ptr<State> state) : state_(std::move(state)) {}

Manager Manager::connect(Address address, AuthKey authkey) {
  auto state = std::make_unique<State>();
  try {
    state->client = detail::ManagerClient::join(address, authkey);
  } catch (const DecodeError& error) {
    throw DecodeError(
        detail::concat("Manager::connect to ", address.to_string(), ": ", error.what()));
  }
  state->address = std::move(address);
  state->key = std::move(authkey);
  state->pid = state->client->server_pid();
  state->name = state->client->name();
  return Manager(std::move(state));
}

Manager::Manager(Manager&& other) noexcept = default;

Manager& Manager::operator=(Manager&& other) noexcept {
  if (this != &other) {
    Manager old(std::move(*this));
    state_ = std::move(other.state_);
  }
  return *this;
}

Manager::~Manager() {
  if (state_ == nullptr || !state_->process || state_->owner != os::process_id()) return;
  try {
    shutdown();
  } catch (const std::exception&) {
    // The Process's own destructor ends the server.
  }
}

int Manager::pid() const {
  if (state_ == nullptr) throw Closed("Manager::pid: moved from");
  return state_->pid;
}

const std::string& Manager::name() const {
  if (state_ == nullptr) throw Closed("Manager::name: moved from");
  return state_->name;
}

Address Manager::address() const {
  if (state_ == nullptr) throw Closed("Manager::address: moved from");
  return state_->address;
}

AuthKey Manager::authkey() const {
  if (state_ == nullptr) throw Closed("Manager::authkey: moved from");
  return state_->key;
}

void Manager::shutdown() {
  if (state_ == nullptr) throw Closed("Manager::shutdown: moved from");
  const std::lock_guard lock(state_->mutex);
  if (state_->client == nullptr) return;
  if (!state_->process || state_->owner != os::process_id()) {
    throw Error(detail::concat("Manager::shutdown on ", state_->client->name(),
                               ": only the process that made a manager can end it"));
  }
  const auto client = std::exchange(state_->client, nullptr);
  state_->file.remove();
  const auto deadline = detail::Deadline::after(std::chrono::seconds(1));
  if (!client->ask_to_end(deadline) || !state_->process->join_for(deadline.left())) {
    state_->process->kill();
    state_->process->join();
  }
  // Only now: a call of another thread may hold the connection, and has ended with the server.
  client->disconnect("the manager was shut down");
}

std::shared_ptr<detail::ManagerClient> Manager::client(std::string_view call) const {
  if (state_ == nullptr) throw Closed(detail::concat(call, ": moved from"));
  const std::lock_guard lock(state_->mutex);
  if (state_->client == nullptr) {
    throw Closed(detail::concat(call, " on ", state_->name, ": it was shut down"));
  }
  return state_->client;
}

ManagerStatistics Manager::statistics() const {
  auto reply = detail::ManagerRequest(client("Manager::statistics"), detail::ManagerOp::statistics,
                                      "Manager::statistics")
                   .send();
  ManagerStatistics statistics;
  statistics.objects = static_cast<std::size_t>(reply.raw<std::uint64_t>());
  statistics.connections = static_cast<std::size_t>(reply.raw<std::uint64_t>());
  return statistics;
}

}  // namespace tandem
