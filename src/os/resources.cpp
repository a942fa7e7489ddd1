#include "os/resources.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <memory>

#include "os/check.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::os {

std::size_t resident_bytes() {
  const detail::Fd file(
      check(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC), "open /proc/self/statm"));
  std::array<char, 128> text{};
  check(retry([&] { return ::read(file.get(), text.data(), text.size() - 1); }),
        "read /proc/self/statm");
  std::size_t pages = 0;
  if (std::sscanf(text.data(), "%*u %zu", &pages) != 1) throw_error(EIO, "/proc/self/statm");
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

void stay_on_cpu(std::size_t n) {
  struct Free {
    void operator()(cpu_set_t* set) const { CPU_FREE(set); }
  };
  // The kernel refuses a set too small for the machine.
  for (std::size_t most = 1024;; most *= 2) {
    const std::unique_ptr<cpu_set_t, Free> set(CPU_ALLOC(most));
    if (!set) throw_error(ENOMEM, "sched_getaffinity");
    const std::size_t size = CPU_ALLOC_SIZE(most);
    if (::sched_getaffinity(0, size, set.get()) == -1) {
      if (errno == EINVAL && most < (std::size_t{1} << 20)) continue;
      throw_last_error("sched_getaffinity");
    }
    std::size_t left = n % static_cast<std::size_t>(CPU_COUNT_S(size, set.get()));
    std::size_t cpu = 0;
    for (;; ++cpu) {
      if (CPU_ISSET_S(cpu, size, set.get()) && left-- == 0) break;
    }
    CPU_ZERO_S(size, set.get());
    CPU_SET_S(cpu, size, set.get());
    check(::sched_setaffinity(0, size, set.get()), "sched_setaffinity");
    return;
  }
}

void keep_freed_memory(std::size_t bytes) noexcept {
  constexpr std::size_t kLargestBlock = std::size_t{32} << 20;  // glibc takes no more
  ::mallopt(M_TRIM_THRESHOLD,
            static_cast<int>(std::min<std::size_t>(bytes, std::numeric_limits<int>::max())));
  ::mallopt(M_MMAP_THRESHOLD, static_cast<int>(std::min(bytes, kLargestBlock)));
}

void set_niceness(int niceness) { check(::setpriority(PRIO_PROCESS, 0, niceness), "setpriority"); }

}  // namespace tandem::os
