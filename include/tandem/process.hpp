/// \file
/// Processes that run a function of this program.
///
///     int main(int argc, char** argv) {
///       tandem::init(argc, argv);
///       tandem::Process greeter([](std::string name) { std::cout << "hello " << name << '\n'; },
///                               std::string("world"));
///       greeter.start();
///       greeter.join();
///     }
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/call.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/process_core.hpp"
#include "tandem/sendable.hpp"

namespace tandem {

/// Tags that choose the start method of one Process; each converts to StartMethod.
namespace start {
/// The type of a tag.
template <StartMethod method>
struct Tag {
  /// As what it chooses.
  constexpr operator StartMethod() const noexcept { return method; }
};
/// The program anew.
inline constexpr Tag<StartMethod::spawn> spawn{};
/// A copy of this process.
inline constexpr Tag<StartMethod::fork> fork{};
/// A copy of the fork server.
inline constexpr Tag<StartMethod::forkserver> forkserver{};
}  // namespace start

/// What a Process starts with unless it is told otherwise: spawn. Children inherit the choice.
[[nodiscard]] TANDEM_EXPORT StartMethod start_method() noexcept;
/// Chooses it, for this process and those it starts from now on. May be called again.
TANDEM_EXPORT void set_start_method(StartMethod method);
/// Those that work here, the default first.
[[nodiscard]] TANDEM_EXPORT std::vector<StartMethod> all_start_methods();

namespace detail {
TANDEM_EXPORT void set_preload(Call preload);
}

/// What the fork server does before it forks anything: f(args...), once. Whatever that leaves in
/// memory, every child of the server starts with, without a copy until one of them writes to it.
/// Its threads and connections stay behind; it had better start none.
///
/// Holds for servers that this process starts from now on: one that runs already is left, and its
/// processes with it. When f throws, a line on standard error says so and every start by forkserver
/// throws StartError.
template <class F, class... A>
void set_forkserver_preload(F&& f, A&&... args) {
  detail::set_preload(call(std::forward<F>(f), std::forward<A>(args)...));
}

namespace detail {
template <class T>
inline constexpr bool kProcessOption = false;
template <>
inline constexpr bool kProcessOption<ProcessOptions> = true;
template <StartMethod method>
inline constexpr bool kProcessOption<start::Tag<method>> = true;
}  // namespace detail

/// A callable and its arguments, to be run in a process of its own.
///
/// Both are stored decayed, and encoded at start(): the child works on copies, and what is
/// move-only (a Connection) is the child's from then on, this process's copy closed. The target's
/// return value is ignored. An exception that leaves it is printed on the child's standard error
/// and makes the exit code 1; std::exit(n) gives n. Children read standard input from /dev/null and
/// get no descriptor they were not handed, and have the working directory and environment of who
/// starts them; under forkserver, of the fork server, which has those of its starter when that first
/// needed it. A forked child writes out the standard streams at its
/// end; other FILEs that it opened are its own to close.
///
/// Move-only. Destruction joins; the process is terminated first, and killed after a second, if it
/// is a daemon or while an exception unwinds. A Process belongs to the process that made it:
/// elsewhere (in a forked child) its calls throw Error and its destructor does nothing. After
/// start(), all const members, the join family and the signals may be called by any thread; start,
/// close, moves and destruction need the object for themselves.
class Process {
 public:
  /// `target(args...)`, with the options a Process has by default.
  template <class F, class... A>
  requires(!detail::kProcessOption<std::decay_t<F>> &&
           !std::same_as<std::decay_t<F>, Process>) explicit Process(F&& target, A&&... args)
      : Process(ProcessOptions{}, std::forward<F>(target), std::forward<A>(args)...) {}

  /// `target(args...)`, under options.
  template <class F, class... A>
  Process(ProcessOptions options, F&& target, A&&... args)
      : core_(std::make_unique<detail::ProcessCore>(
            std::move(options),
            detail::make_sendable_target(std::forward<F>(target), std::forward<A>(args)...))) {}

  /// `target(args...)`, by that start method.
  template <StartMethod method, class F, class... A>
  Process(start::Tag<method> tag, F&& target, A&&... args)
      : Process(ProcessOptions{.start_method = tag}, std::forward<F>(target),
                std::forward<A>(args)...) {}

  /// Runs any callable with any movable arguments where they lie. If callable and arguments are
  /// Sendable the child keeps only the Connections it was passed, else all of this process.
  template <class F, class... A>
  Process(start::Tag<StartMethod::fork> tag, F&& target, A&&... args)
      : core_(std::make_unique<detail::ProcessCore>(
            ProcessOptions{.start_method = tag},
            detail::make_target(std::forward<F>(target), std::forward<A>(args)...))) {}

  Process(Process&&) noexcept = default;
  Process& operator=(Process&&) noexcept = default;
  ~Process() = default;

  /// Starts it, once. Returns when the child exists.
  /// \throws StartError saying at which step and why; nothing has changed and it may be tried
  ///   again. NotSendable, and what the arguments' own functions throw: likewise
  void start() { core("Process::start").start(); }

  /// Waits until it has ended. May be called again. \throws Error when it was not started
  void join() { static_cast<void>(core("Process::join").join(detail::Deadline::never())); }
  /// \returns whether it has ended
  template <class Rep, class Period>
  [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> d) {
    return core("Process::join_for").join(detail::Deadline::after(d));
  }
  /// \returns whether it has ended
  template <class Duration>
  [[nodiscard]] bool join_until(std::chrono::time_point<std::chrono::steady_clock, Duration> tp) {
    return core("Process::join_until").join(detail::Deadline::at(tp));
  }

  /// Whether it was started and has not ended.
  [[nodiscard]] bool is_alive() const { return core("Process::is_alive").is_alive(); }
  /// 0 before start().
  [[nodiscard]] int pid() const { return core("Process::pid").pid(); }
  /// As messages call it.
  [[nodiscard]] const std::string& name() const { return core("Process::name").name(); }
  /// Whether it ends with the process that started it.
  [[nodiscard]] bool daemon() const { return core("Process::daemon").daemon(); }
  /// \returns nothing before the end; 0..255; -S if signal S ended it; 255 when a stranger's wait
  ///   took the status, or its fork server ended before it, and the kernel does not remember it
  [[nodiscard]] std::optional<int> exitcode() const { return core("Process::exitcode").exitcode(); }
  /// A descriptor for poll, readable once the process has ended, whatever its own children do.
  /// Valid until close() or destruction. \throws Error when it was not started
  [[nodiscard]] int sentinel() const { return core("Process::sentinel").sentinel(); }

  /// SIGTERM. No effect once it has ended. \throws Error when it was not started
  void terminate() { core("Process::terminate").terminate(); }
  /// SIGKILL. No effect once it has ended. \throws Error when it was not started
  void kill() { core("Process::kill").kill(); }
  /// SIGINT. No effect once it has ended. \throws Error when it was not started
  void interrupt() { core("Process::interrupt").interrupt(); }

  /// Lets go of the ended process; every later call throws Closed. \throws Error while it runs
  void close() { core("Process::close").close(); }

 private:
  [[nodiscard]] detail::ProcessCore& core(const char* call) const {
    if (core_ == nullptr) detail::ProcessCore::throw_moved_from(call);
    return *core_;
  }

  std::unique_ptr<detail::ProcessCore> core_;
};

/// What is known about a process of this family. A copy is cheap and may outlive it.
class TANDEM_EXPORT ProcessInfo {
 public:
  // For the library.
  ProcessInfo(std::string name, int pid, bool daemon, std::shared_ptr<detail::Child> child);

  /// As messages call it.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// Its number in the system.
  [[nodiscard]] int pid() const noexcept { return pid_; }
  /// Whether it ends with the process that started it.
  [[nodiscard]] bool daemon() const noexcept { return daemon_; }
  /// Whether it has not ended.
  [[nodiscard]] bool is_alive() const;

 private:
  std::string name_;
  int pid_;
  bool daemon_;
  std::shared_ptr<detail::Child> child_;  // null for this process and its parent
};

/// This process.
[[nodiscard]] TANDEM_EXPORT ProcessInfo current_process();
/// Who started this process; nothing in one that no Process started.
[[nodiscard]] TANDEM_EXPORT std::optional<ProcessInfo> parent_process();
/// The running children of this process, those of pools and managers included.
[[nodiscard]] TANDEM_EXPORT std::vector<ProcessInfo> active_children();

/// CPUs this process may use now: those its affinity allows, and no more than its cgroup's quota is
/// worth, rounded up.
[[nodiscard]] TANDEM_EXPORT unsigned cpu_count();

}  // namespace tandem
