#include "support/step_kill.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <system_error>

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

bool SteppedChild::step(std::size_t instructions) {
  for (std::size_t i = 0; i < instructions; ++i) {
    if (::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0) {
      throw std::system_error(errno, std::system_category(), "PTRACE_SINGLESTEP");
    }
    const int status = wait_for(pid_);
    if (WIFEXITED(status)) {
      pid_ = -1;
      if (WEXITSTATUS(status) != 0) throw std::runtime_error("the stepped child failed");
      return false;
    }
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
      throw std::runtime_error("the stepped child got a signal");
    }
  }
  return true;
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

std::size_t count_steps(const std::function<void()>& operation) {
  SteppedChild child(operation);
  std::size_t steps = 0;
  while (child.step(1)) ++steps;
  return steps;
}

bool failed() { return testing::Test::HasFailure(); }

void report_steps(std::size_t instructions, std::size_t deaths) {
  std::cout << deaths << " deaths within " << instructions << " instructions" << std::endl;
}

}  // namespace tandem::test
