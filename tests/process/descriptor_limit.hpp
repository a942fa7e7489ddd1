// Fewer descriptors than a call needs.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>

#include <system_error>

#include "tandem/error.hpp"

namespace tandem::test {

/// While it lives, this process can make `count` more descriptors.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(int count) {
    know_types();
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit now{0, before_.rlim_max};
    for (; count >= 0; ++now.rlim_cur) {
      if (::fcntl(static_cast<int>(now.rlim_cur), F_GETFD) == -1) --count;
    }
    --now.rlim_cur;
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  // UndefinedBehaviorSanitizer reads the first object of a type it meets through a pipe(2), and
  // takes it for broken where there can be none. Types of the test's own are its own to use once
  // before.
  static void know_types() {
    try {
      try {
        throw SystemError(std::make_error_code(std::errc::too_many_files_open), "test");
      } catch (const SystemError& error) {
        throw StartError(error.what());
      }
    } catch (const StartError& error) {
      static_cast<void>(error.what());
    }
  }

  rlimit before_{};
};

}  // namespace tandem::test
