#include "os/fence.hpp"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tandem::os {

constinit bool fences_registered = false;

namespace {

long membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0); }

void register_fences() noexcept {
  fences_registered = membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0;
}

// Early, while there is one thread: with more of them the kernel waits for a grace period (14 ms).
[[gnu::constructor(101)]] void register_at_load() noexcept {
  register_fences();
  ::pthread_atfork(nullptr, nullptr, register_fences);
}

}  // namespace

bool heavy_fence() noexcept {
  full_fence();
  return membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0;
}

}  // namespace tandem::os
