// Asking for a cache line before it is needed.
#pragma once

namespace tandem::os {

/// The line at `at` will be written soon. A hint: never a fault, whatever the address.
inline void prefetch_for_write(const void* at) noexcept {
#if defined(__x86_64__)
  // What the compiler makes of its own builtin for any x86-64 is a prefetch for reading.
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(at)));
#else
  __builtin_prefetch(at, 1);
#endif
}

}  // namespace tandem::os
