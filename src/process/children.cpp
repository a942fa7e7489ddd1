#include "process/children.hpp"

#include <mutex>
#include <utility>

#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/self.hpp"
#include "os/socket.hpp"
#include "process/fork_server.hpp"
#include "tandem/detail/log.hpp"

namespace tandem::detail {

namespace {
constexpr int kLastSignal = 64;
constexpr int kUnknown = 255;
}  // namespace

struct Children::State {
  std::mutex mutex;
  Node running;

  void forget(const Child& ended) {
    running.remove_if([&ended](const auto& child) { return child.get() == &ended; });
  }
};

constinit base::Lazy<Children::State> Children::state;

void Children::make_fork_safe() {
  os::at_fork([] { state->mutex.lock(); }, [] { state->mutex.unlock(); },
              [] {
                for (auto& child : state->running) {
                  child->pidfd_.reset();
                  child->report_.reset();
                }
                state->running.clear();
                state->mutex.unlock();
              });
}

namespace {
// While the library is loaded, before there is a second thread that could fork.
[[maybe_unused]] const bool fork_safe = (Children::make_fork_safe(), true);
}  // namespace

Child::Child(std::string name, bool daemon)
    : name_(std::move(name)), daemon_(daemon), owner_(os::process_id()) {}

bool Child::ended() {
  if (!report_) return status().has_value();
  if (!os::has_ended(pidfd_)) return false;
  Children::State& all = *Children::state;
  const std::lock_guard lock(all.mutex);
  all.forget(*this);
  return true;
}

std::optional<int> Child::status() {
  if (report_) {
    if (!ended()) return std::nullopt;
    // Not under the lock, which every fork takes.
    static_cast<void>(os::wait_readable(report_.get(), Deadline::never()));
  }
  Children::State& all = *Children::state;
  const std::lock_guard lock(all.mutex);
  if (!status_) {
    status_ = report_ ? reported_status() : os::reap(pidfd_);
    if (status_) all.forget(*this);
  }
  return status_;
}

// It has ended, and the server has said how or is gone.
int Child::reported_status() const {
  fork_server::Report report{};
  os::Packet packet;
  const os::Io io = os::recv_packet(report_.get(), fork_server::room_of(report), packet);
  if (io == os::Io::done && packet.size == sizeof report && !packet.truncated &&
      report.exit_code >= -kLastSignal && report.exit_code <= 255) {
    return report.exit_code;
  }
  log(LogLevel::warning, "Process ", name_, " (pid ", std::to_string(pid_),
      "): its fork server ended before it; how it ended may be unknown");
  // Not ours to reap: what the kernel remembers.
  return os::reap(pidfd_).value_or(kUnknown);
}

void Children::add(Node node, os::ChildProcess process, Fd report) noexcept {
  Child& child = *node.front();
  child.pid_ = process.pid;
  child.pidfd_ = std::move(process.pidfd);
  child.report_ = std::move(report);
  const std::lock_guard lock(state->mutex);
  state->running.splice(state->running.end(), node);
}

std::vector<std::shared_ptr<Child>> Children::running() {
  const std::lock_guard lock(state->mutex);
  state->running.remove_if([](const auto& child) {
    if (child->report_) return os::has_ended(child->pidfd_);
    child->status_ = os::reap(child->pidfd_);
    return child->status_.has_value();
  });
  return {state->running.begin(), state->running.end()};
}

}  // namespace tandem::detail
