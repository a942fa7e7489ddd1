#include "support/step_kill.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <system_error>

#include "tandem/event.hpp"

namespace tandem::test {

namespace {

// \returns the wait status
int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, __WALL) == -1) {
    if (errno != EINTR) throw std::system_error(errno, std::system_category(), "waitpid");
  }
  return status;
}

long trace(__ptrace_request request, pid_t pid, std::uintptr_t address, std::uintptr_t data) {
  errno = 0;
  const long got =
      ::ptrace(request, pid, reinterpret_cast<void*>(address), reinterpret_cast<void*>(data));
  if (got == -1 && errno != 0) throw std::system_error(errno, std::system_category(), "ptrace");
  return got;
}

#if defined(__x86_64__)
constexpr std::uintptr_t kInstruction = offsetof(user, regs.rip);

// The bytes of the repeated string instruction at the start of a word of code; 0 when it is none.
std::size_t repeated_size(std::uint64_t code) {
  const auto byte = [code](unsigned i) { return code >> (8 * i) & 0xff; };
  if (byte(0) != 0xf3) return 0;
  const unsigned opcode = (byte(1) & 0xf0) == 0x40 ? 2 : 1;  // behind a REX prefix
  const bool moves = byte(opcode) == 0xa4 || byte(opcode) == 0xa5;
  const bool stores = byte(opcode) == 0xaa || byte(opcode) == 0xab;
  return moves || stores ? opcode + 1 : 0;
}
#endif

}  // namespace

SteppedChild::SteppedChild(const std::function<void()>& operation) : pid_(::fork()) {
  if (pid_ == -1) throw std::system_error(errno, std::system_category(), "fork");
  if (pid_ == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(99);
    ::raise(SIGSTOP);
    operation();
    ::_exit(0);
  }
  const int status = wait_for(pid_);
  if (!WIFSTOPPED(status)) {
    pid_ = -1;
    throw std::runtime_error("the child could not be traced");
  }
}

SteppedChild::~SteppedChild() { kill(); }

void SteppedChild::step_once() {
#if defined(__x86_64__)
  // The processor stops at each round of a repeated instruction, ten thousand times in a large
  // copy: let it run to a breakpoint behind it.
  const auto at = static_cast<std::uintptr_t>(trace(PTRACE_PEEKUSER, pid_, kInstruction, 0));
  const auto code = static_cast<std::uint64_t>(trace(PTRACE_PEEKTEXT, pid_, at, 0));
  if (const std::size_t size = repeated_size(code); size != 0) {
    const std::uint64_t breakpoint = 0xcc;
    const std::uint64_t mask = std::uint64_t{0xff} << (8 * size);
    trace(PTRACE_POKETEXT, pid_, at, (code & ~mask) | breakpoint << (8 * size));
    trace(PTRACE_CONT, pid_, 0, 0);
    status_ = wait_for(pid_);
    if (!WIFSTOPPED(status_)) return;
    trace(PTRACE_POKETEXT, pid_, at, code);
    trace(PTRACE_POKEUSER, pid_, kInstruction, at + size);
    return;
  }
#endif
  trace(PTRACE_SINGLESTEP, pid_, 0, 0);
  status_ = wait_for(pid_);
}

// Whether it is where it was to stop; else the operation has ended.
bool SteppedChild::stopped() {
  if (WIFEXITED(status_)) {
    pid_ = -1;
    if (WEXITSTATUS(status_) != 0) throw std::runtime_error("the stepped child failed");
    return false;
  }
  if (!WIFSTOPPED(status_) || WSTOPSIG(status_) != SIGTRAP) {
    throw std::runtime_error("the stepped child got a signal");
  }
  return true;
}

bool SteppedChild::step(std::size_t instructions) {
  for (std::size_t i = 0; i < instructions; ++i) {
    step_once();
    if (!stopped()) return false;
  }
  return true;
}

bool SteppedChild::step(Path& path) {
#if defined(__x86_64__)
  path.push_back(static_cast<std::uintptr_t>(trace(PTRACE_PEEKUSER, pid_, kInstruction, 0)));
#else
  path.push_back(0);
#endif
  return step(1);
}

bool SteppedChild::follow(const Path& path, std::size_t instructions) {
#if defined(__x86_64__)
  if (instructions < 2) return step(instructions);
  if (!step(1)) return false;
  // In a debug register, as the code of a vDSO cannot be changed. Going on from a breakpoint, the
  // kernel sees to it that its instruction is executed.
  trace(PTRACE_POKEUSER, pid_, offsetof(user, u_debugreg[0]), path[instructions]);
  trace(PTRACE_POKEUSER, pid_, offsetof(user, u_debugreg[7]), 1);
  const auto first = path.begin() + 1;
  const auto last = path.begin() + static_cast<std::ptrdiff_t>(instructions) + 1;
  for (auto passes = std::count(first, last, path[instructions]); passes > 0; --passes) {
    trace(PTRACE_CONT, pid_, 0, 0);
    status_ = wait_for(pid_);
    if (!stopped()) return false;
  }
  return true;
#else
  static_cast<void>(path);
  return step(instructions);
#endif
}

void SteppedChild::kill() {
  if (pid_ == -1) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  do {
    status = wait_for(pid_);
  } while (!WIFSIGNALED(status) && !WIFEXITED(status));
  pid_ = -1;
}

std::size_t stride(std::size_t instructions, std::size_t deaths) {
  if (const char* text = std::getenv("TANDEM_STEP")) {
    return std::max<std::size_t>(1, std::strtoull(text, nullptr, 10));
  }
  return std::max<std::size_t>(1, instructions / std::max<std::size_t>(1, deaths));
}

bool failed() { return testing::Test::HasFailure(); }

void report_steps(std::size_t instructions, std::size_t deaths) {
  std::cout << deaths << " deaths within " << instructions << " instructions" << std::endl;
}

void wait_once() { static_cast<void>(Event().wait_for(std::chrono::microseconds(1))); }

}  // namespace tandem::test
