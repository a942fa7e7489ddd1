// The smallest handle: a descriptor that a process can be passed. For tests of what lies below Connection.
//
//     auto [reader, writer] = make_pipe();
//     Process child([](PassedFd out) { out.write("hello"); }, std::move(writer));
//     child.start();
//     EXPECT_EQ(reader.read_all(), "hello");
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::test {

class PassedFd {
 public:
  using TandemHandle = void;

  explicit PassedFd(detail::Fd fd) noexcept : fd_(std::move(fd)) {}

  void write(std::string_view text) const {
    if (::write(fd_.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      throw std::system_error(errno, std::system_category(), "write");
    }
  }
  /// Until every writer is gone.
  [[nodiscard]] std::string read_all() const {
    std::string all;
    for (char chunk[4096];;) {
      const ssize_t n = ::read(fd_.get(), chunk, sizeof chunk);
      if (n == 0) return all;
      if (n > 0) all.append(chunk, static_cast<std::size_t>(n));
      if (n == -1 && errno != EINTR) throw std::system_error(errno, std::system_category(), "read");
    }
  }
  [[nodiscard]] char read_byte() const {
    for (char byte = 0;;) {
      const ssize_t n = ::read(fd_.get(), &byte, 1);
      if (n == 1) return byte;
      if (n == 0) throw std::runtime_error("the writer is gone");
      if (errno != EINTR) throw std::system_error(errno, std::system_category(), "read");
    }
  }
  [[nodiscard]] int get() const noexcept { return fd_.get(); }
  [[nodiscard]] PassedFd duplicate() const { return PassedFd(fd_.duplicate()); }

  void save(detail::Encoder& to) const { to.write_raw(to.attach(fd_.duplicate())); }
  static PassedFd detail_decode(detail::Decoder& from) {
    return PassedFd(from.take_descriptor(from.read_raw<std::uint32_t>()));
  }

 private:
  detail::Fd fd_;
};

struct RawPipe {
  PassedFd reader;
  PassedFd writer;
};

inline RawPipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) == -1)
    throw std::system_error(errno, std::system_category(), "pipe");
  return {PassedFd(detail::Fd(ends[0])), PassedFd(detail::Fd(ends[1]))};
}

/// Redirects a standard stream of this process (and of the children it starts) while it lives.
class Redirected {
 public:
  explicit Redirected(int stream) : stream_(stream), pipe_(make_pipe()) {
    before_ = ::fcntl(stream, F_DUPFD_CLOEXEC, 3);
    ::dup2(pipe_.writer.get(), stream);
  }
  Redirected(const Redirected&) = delete;
  Redirected& operator=(const Redirected&) = delete;
  ~Redirected() { restore(); }
  /// What was written meanwhile; waits for the children that hold the stream.
  [[nodiscard]] std::string take() {
    restore();
    pipe_.writer = PassedFd(detail::Fd());
    return pipe_.reader.read_all();
  }

 private:
  void restore() {
    if (before_ < 0) return;
    ::dup2(before_, stream_);
    ::close(std::exchange(before_, -1));
  }
  int stream_;
  int before_ = -1;
  RawPipe pipe_;
};

}  // namespace tandem::test
