#include "process/bootstrap.hpp"

#include <cxxabi.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <typeinfo>
#include <utility>

#include "base/text.hpp"
#include "os/exec.hpp"
#include "os/poll.hpp"
#include "os/self.hpp"
#include "process/context.hpp"
#include "tandem/detail/deadline.hpp"

namespace tandem::detail {
namespace {

// Nobody is left to read it: the owner is dead.
constexpr int kOwnerGone = 1;

// The parent's exit handlers, and its globals, are not ours. Registered last, this runs before
// them.
void finish_forked_child(int status, void*) {
  run_process_end_hooks();
  flush_standard_streams();
  os::exit_now(status);
}

std::string current_exception_type() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "unknown";
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), &std::free);
  return name != nullptr ? name.get() : type->name();
}

}  // namespace

void end_with(Fd owner) {
  if (os::wait_readable(owner.get(), Deadline::now())) os::exit_now(kOwnerGone);
  const os::SignalsBlocked blocked;  // the program's handlers run in the program's threads
  std::thread([owner = std::move(owner)] {
    if (os::wait_readable(owner.get(), Deadline::never())) os::exit_now(kOwnerGone);
  }).detach();
}

void run_to_the_end(const std::function<void()>& body) {
  int code = 0;
  try {
    body();
  } catch (...) {
    report_uncaught();
    code = 1;
  }
  std::exit(code);
}

void end_as_forked_child() {
  if (::on_exit(finish_forked_child, nullptr) != 0) os::exit_now(1);
}

const char* command_name(const char* path) {
  const char* const slash = std::strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

void report_uncaught() noexcept {
  std::string what;
  try {
    throw;
  } catch (const std::exception& error) {
    what = concat(": ", error.what());
  } catch (...) {
  }
  const std::string line =
      concat("Process ", process_name(), " (pid ", std::to_string(os::process_id()),
             "): ", current_exception_type(), what, "\n");
  os::write_to_stderr(line);  // past stdio, so that it comes whole
}

void flush_standard_streams() {
  std::cout.flush();
  std::clog.flush();
  std::wcout.flush();
  std::wclog.flush();
  // Not fflush(nullptr): it waits for a thread that sits in a read from stdin.
  std::fflush(stdout);
  std::fflush(stderr);
}

}  // namespace tandem::detail
