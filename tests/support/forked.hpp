// A bare forked child, for tests of what lies below the process layer and of what a child may do to the rest.
//
//     Step holds;
//     Forked child([&] { mutex.lock(); holds.done(); pause(); return 0; });
//     holds.await();
//     child.kill();
#pragma once

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <system_error>

namespace tandem::test {

/// Something one process does and others wait for. Made before the fork.
class Step {
 public:
  Step() {
    if (::pipe(ends_) == -1) throw std::system_error(errno, std::system_category(), "pipe");
  }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  ~Step() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  /// Lets one `await` return.
  void done() {
    if (::write(ends_[1], "", 1) != 1) throw std::system_error(errno, std::system_category());
  }
  void await() {
    char byte = 0;
    ssize_t got = -1;
    do got = ::read(ends_[0], &byte, 1);
    while (got == -1 && errno == EINTR);
    if (got != 1) throw std::runtime_error("Step::await: nobody can do it any more");
  }

 private:
  int ends_[2];
};

class Forked {
 public:
  /// \param body returns the exit status, or throws: 70 and a line on stderr
  template <class Body>
  explicit Forked(Body body) : pid_(::fork()) {
    if (pid_ == -1) throw std::system_error(errno, std::system_category(), "fork");
    if (pid_ != 0) return;
    try {
      ::_exit(body());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "forked child: %s\n", error.what());
      ::_exit(70);
    }
  }
  Forked(const Forked&) = delete;
  Forked& operator=(const Forked&) = delete;
  ~Forked() {
    if (pid_ > 0) kill();
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// \returns the exit status, or minus the signal's number
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) == -1) {
      if (errno != EINTR) throw std::system_error(errno, std::system_category(), "waitpid");
    }
    pid_ = 0;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }
  int kill(int signal = SIGKILL) {
    ::kill(pid_, signal);
    return wait();
  }

 private:
  pid_t pid_;
};

}  // namespace tandem::test
