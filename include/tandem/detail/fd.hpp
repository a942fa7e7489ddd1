/// \file
/// A descriptor that is closed when its owner goes.
#pragma once

#include <utility>

#include "tandem/detail/export.hpp"

namespace tandem::detail {

class TANDEM_EXPORT Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  /// Closes it. An error of close(2) is not reported: the descriptor is gone either way.
  void reset() noexcept;
  /// \returns another descriptor, close-on-exec, of the same open file
  /// \throws SystemError when there are no more descriptors
  [[nodiscard]] Fd duplicate() const;

 private:
  int fd_ = -1;
};

}  // namespace tandem::detail
