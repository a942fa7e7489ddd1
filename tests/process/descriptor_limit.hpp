// Fewer descriptors than a call needs.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>

namespace tandem::test {

/// While it lives, this process can make `count` more descriptors.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(int count) {
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
  rlimit before_{};
};

}  // namespace tandem::test
