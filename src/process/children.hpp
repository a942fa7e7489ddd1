// The children this process has started: who runs, who has ended and how.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/lazy.hpp"
#include "os/exec.hpp"

namespace tandem::detail {

/// A child, shared by its Process, the list of children and every ProcessInfo. Any thread.
class Child {
 public:
  Child(std::string name, bool daemon);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] bool daemon() const noexcept { return daemon_; }
  [[nodiscard]] int pid() const noexcept { return pid_; }
  [[nodiscard]] int owner() const noexcept { return owner_; }
  /// Closed in a forked child of the owner.
  [[nodiscard]] const Fd& pidfd() const noexcept { return pidfd_; }
  /// Without waiting for anything.
  [[nodiscard]] bool ended();
  /// How it ended; nothing while it runs. The first to ask reaps it. Where the fork server does that,
  /// waits for its word, which comes at once unless the server is gone.
  [[nodiscard]] std::optional<int> status();

 private:
  friend class Children;
  [[nodiscard]] int reported_status() const;

  std::string name_;
  bool daemon_;
  int owner_;
  int pid_ = 0;
  Fd pidfd_;
  Fd report_;                  // of a child that the fork server reaps
  std::optional<int> status_;  // under the lock of Children
};

/// Those of this process. A forked child begins with none and closes its copies of the pidfds.
class Children {
 public:
  using Node = std::list<std::shared_ptr<Child>>;

  /// \param node one child, allocated before there was a process to lose
  /// \param report from the fork server, if it reaps the child
  static void add(Node node, os::ChildProcess process, Fd report = {}) noexcept;
  /// Those that run.
  [[nodiscard]] static std::vector<std::shared_ptr<Child>> running();
  /// Once, when the library is loaded.
  static void make_fork_safe();

 private:
  friend class Child;
  struct State;
  static base::Lazy<State> state;
};

}  // namespace tandem::detail
