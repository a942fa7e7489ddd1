#include "tandem/process.hpp"

#include <atomic>
#include <csignal>
#include <exception>
#include <utility>

#include "base/text.hpp"
#include "os/cpus.hpp"
#include "os/liveness.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/self.hpp"
#include "process/bootstrap.hpp"
#include "process/children.hpp"
#include "process/context.hpp"
#include "process/start.hpp"

namespace tandem {
namespace {

std::atomic<StartMethod> default_start_method{StartMethod::spawn};

const char* name_of(StartMethod method) {
  switch (method) {
    case StartMethod::spawn:
      return "spawn";
    case StartMethod::fork:
      return "fork";
    case StartMethod::forkserver:
      return "forkserver";
  }
  return "unknown start method";
}

constexpr auto kTerminationGrace = std::chrono::seconds(1);

}  // namespace

StartMethod start_method() noexcept { return default_start_method.load(std::memory_order_relaxed); }

void set_start_method(StartMethod method) {
  default_start_method.store(method, std::memory_order_relaxed);
}

std::vector<StartMethod> all_start_methods() {
  return {StartMethod::spawn, StartMethod::fork, StartMethod::forkserver};
}

namespace detail {

ProcessCore::ProcessCore(ProcessOptions options, std::unique_ptr<Target> target)
    : options_(std::move(options)),
      path_(next_child_path()),
      maker_(os::process_id()),
      exceptions_(std::uncaught_exceptions()),
      target_(std::move(target)) {
  if (options_.name.empty()) options_.name = concat("Process-", path_);
}

ProcessCore::~ProcessCore() {
  if (child_ == nullptr || maker_ != os::process_id()) return;
  if (options_.daemon || std::uncaught_exceptions() > exceptions_) {
    if (!child_->ended() && os::send_signal(child_->pidfd(), SIGTERM) &&
        !join(Deadline::after(kTerminationGrace))) {
      os::send_signal(child_->pidfd(), SIGKILL);
    }
  }
  static_cast<void>(join(Deadline::never()));
}

void ProcessCore::throw_moved_from(const char* call) {
  throw Closed(concat(call, ": this Process was moved from"));
}

void ProcessCore::check_usable(const char* call) const {
  if (closed_) throw Closed(concat(call, " on ", options_.name, ": it was closed"));
  if (maker_ != os::process_id()) {
    throw Error(concat(call, " on ", options_.name, ": it belongs to the process with pid ",
                       std::to_string(maker_), "; only that one can use it"));
  }
}

Child& ProcessCore::started(const char* call) const {
  check_usable(call);
  if (child_ == nullptr) {
    throw Error(concat(call, " on ", options_.name, ": not started; call start() first"));
  }
  return *child_;
}

void ProcessCore::start() {
  check_usable("Process::start");
  if (child_ != nullptr) {
    throw Error(concat("Process::start on ", options_.name,
                       ": it was started before; make another Process for another run"));
  }
  const StartMethod method = options_.start_method.value_or(start_method());
  const Identity self{.name = options_.name,
                      .path = path_,
                      .daemon = options_.daemon,
                      .parent_pid = maker_,
                      .parent_name = identity().name,
                      .parent_daemon = identity().daemon};
  // Allocated before there is a process that an exception could lose.
  auto child = std::make_shared<Child>(options_.name, options_.daemon);
  Children::Node node{child};
  os::ChildProcess process;
  Fd report;
  flush_standard_streams();  // what was written before comes first, and only once
  try {
    switch (method) {
      case StartMethod::spawn:
        process = start_spawn(*target_, self);
        break;
      case StartMethod::fork:
        process = start_fork(*target_, self);
        break;
      case StartMethod::forkserver: {
        ServedProcess served = start_forkserver(*target_, self);
        process = std::move(served.process);
        report = std::move(served.report);
        break;
      }
    }
  } catch (const SystemError& error) {
    throw StartError(
        concat("Process::start on ", options_.name, " (", name_of(method), "): ", error.what()));
  }
  Children::add(std::move(node), std::move(process), std::move(report));
  child_ = std::move(child);
  target_.reset();
}

bool ProcessCore::join(Deadline deadline) {
  Child& child = started("Process::join");
  while (!child.ended()) {
    if (!os::wait_readable(child.pidfd().get(), deadline)) return false;
  }
  return true;
}

bool ProcessCore::is_alive() const {
  check_usable("Process::is_alive");
  return child_ != nullptr && !child_->ended();
}

int ProcessCore::pid() const {
  if (closed_) check_usable("Process::pid");
  return child_ == nullptr ? 0 : child_->pid();
}

const std::string& ProcessCore::name() const {
  if (closed_) check_usable("Process::name");
  return options_.name;
}

bool ProcessCore::daemon() const {
  if (closed_) check_usable("Process::daemon");
  return options_.daemon;
}

std::optional<int> ProcessCore::exitcode() const {
  check_usable("Process::exitcode");
  return child_ == nullptr ? std::nullopt : child_->status();
}

int ProcessCore::sentinel() const { return started("Process::sentinel").pidfd().get(); }

void ProcessCore::send(int signal, const char* call) {
  Child& child = started(call);
  if (!child.ended()) os::send_signal(child.pidfd(), signal);
}

void ProcessCore::terminate() { send(SIGTERM, "Process::terminate"); }
void ProcessCore::kill() { send(SIGKILL, "Process::kill"); }
void ProcessCore::interrupt() { send(SIGINT, "Process::interrupt"); }

void ProcessCore::close() {
  check_usable("Process::close");
  if (child_ != nullptr && !child_->ended()) {
    throw Error(concat("Process::close on ", options_.name,
                       ": it is still running; join() or terminate() it first"));
  }
  closed_ = true;
  target_.reset();
  child_.reset();
}

}  // namespace detail

ProcessInfo::ProcessInfo(std::string name, int pid, bool daemon,
                         std::shared_ptr<detail::Child> child)
    : name_(std::move(name)), pid_(pid), daemon_(daemon), child_(std::move(child)) {}

bool ProcessInfo::is_alive() const {
  if (child_ == nullptr) {
    if (pid_ == os::process_id()) return true;
    // A parent that ended would have left us to another; the fork server's child is not its own.
    const auto birth = detail::identity().parent_birth;
    return birth ? os::birth_of(pid_) == birth : pid_ == os::parent_process_id();
  }
  if (child_->owner() == os::process_id()) return !child_->ended();
  try {  // in a fork of the process that started it
    return !os::wait_readable(os::open_pidfd(pid_).get(), detail::Deadline::now());
  } catch (const SystemError&) {
    return false;
  }
}

ProcessInfo current_process() {
  const detail::Identity& self = detail::identity();
  return {self.name, os::process_id(), self.daemon, nullptr};
}

std::optional<ProcessInfo> parent_process() {
  const detail::Identity& self = detail::identity();
  if (self.parent_pid == 0) return std::nullopt;
  return ProcessInfo(self.parent_name, self.parent_pid, self.parent_daemon, nullptr);
}

std::vector<ProcessInfo> active_children() {
  std::vector<ProcessInfo> all;
  for (auto& child : detail::Children::running()) {
    all.emplace_back(child->name(), child->pid(), child->daemon(), child);
  }
  return all;
}

unsigned cpu_count() { return os::count_usable_cpus(); }

}  // namespace tandem
