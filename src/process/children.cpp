#include "process/children.hpp"

#include <mutex>
#include <utility>

#include "os/pidfd.hpp"
#include "os/self.hpp"

namespace tandem::detail {

struct Children::State {
  std::mutex mutex;
  Node running;
};

Children::State& Children::state() {
  // Read at the end of the process too: never destroyed.
  static State& it = *new State;
  return it;
}

void Children::make_fork_safe() {
  os::at_fork([] { state().mutex.lock(); }, [] { state().mutex.unlock(); },
              [] {
                for (auto& child : state().running) child->pidfd_.reset();
                state().running.clear();
                state().mutex.unlock();
              });
}

namespace {
// While the library is loaded, before there is a second thread that could fork.
[[maybe_unused]] const bool fork_safe = (Children::make_fork_safe(), true);
}  // namespace

Child::Child(std::string name, bool daemon)
    : name_(std::move(name)), daemon_(daemon), owner_(os::process_id()) {}

std::optional<int> Child::status() {
  Children::State& all = Children::state();
  const std::lock_guard lock(all.mutex);
  if (!status_) {
    status_ = os::reap(pidfd_);
    if (status_) all.running.remove_if([this](const auto& child) { return child.get() == this; });
  }
  return status_;
}

void Children::add(Node node, os::ChildProcess process) noexcept {
  Child& child = *node.front();
  child.pid_ = process.pid;
  child.pidfd_ = std::move(process.pidfd);
  const std::lock_guard lock(state().mutex);
  state().running.splice(state().running.end(), node);
}

std::vector<std::shared_ptr<Child>> Children::running() {
  const std::lock_guard lock(state().mutex);
  state().running.remove_if([](const auto& child) {
    child->status_ = os::reap(child->pidfd_);
    return child->status_.has_value();
  });
  return {state().running.begin(), state().running.end()};
}

}  // namespace tandem::detail
