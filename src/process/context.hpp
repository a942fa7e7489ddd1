// What this process knows about itself: its place in the family, and what it does at its end.
#pragma once

#include <cstdint>
#include <optional>
#include <shared_mutex>
#include <string>

#include "tandem/detail/context.hpp"

namespace tandem::detail {

/// What a child is told about itself.
struct Identity {
  std::string name = {};
  std::string path = {};  // "1:2" for the second child of the first; empty in the first process
  bool daemon = false;
  int parent_pid = 0;                              // 0: was not started by a Process
  std::optional<std::uint32_t> parent_birth = {};  // where the parent is not the system's parent
  std::string parent_name = {};
  bool parent_daemon = false;
};

[[nodiscard]] const Identity& identity();
/// In a new child, while it has one thread.
void become(Identity identity);
/// The path of the next child to be made here.
[[nodiscard]] std::string next_child_path();

void set_initialised(const char* program);
/// The program's argv[0]; null when `init` has not been called.
[[nodiscard]] const char* initialised_program();

void run_process_end_hooks();
/// Runs the hooks at std::exit, before anything registered so far.
void run_hooks_at_exit();

/// Held shared while a child is started by exec, alone while one is forked: a fork must not happen
/// while another thread has descriptors in hand that are meant for its own child only. Free in a
/// forked child.
[[nodiscard]] std::shared_mutex& start_gate();

}  // namespace tandem::detail
