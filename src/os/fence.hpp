// Dekker's handshake with one cheap side. The one who parks calls `heavy_fence` between announcing
// itself and its last look; the one who publishes calls `light_fence` between publishing and
// looking for parked peers. The heavy side is membarrier(GLOBAL_EXPEDITED), which reaches
// registered processes only: registered when the library is loaded, again in forked children.
//
//     parker                                publisher
//     parked.store(1, relaxed);             tail.store(t, release);
//     if (!heavy_fence()) always.store(1);  light_fence(always.load(relaxed));
//     if (tail.load(acquire) == seen)       if (parked.load(relaxed)) wake();
//       sleep();
//
// A parker that was refused the heavy fence stores `always`, fences for itself and, because a
// publisher may have read `always` just before, may not trust its last look: it sleeps in slices.
#pragma once

#include <atomic>

#if defined(__SANITIZE_THREAD__)
#define TANDEM_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TANDEM_THREAD_SANITIZER 1
#endif
#endif

namespace tandem::os {

/// Whether this process receives the heavy fences of others. Set when the library is loaded and in
/// forked children; nobody else writes it. Defined beside the code that registers, so that whoever
/// reads it links that code.
extern bool fences_registered;

/// A full fence on every CPU that runs a registered process, and here in any case. \returns false
/// when the kernel refused: the caller must then ask publishers to fence for themselves
[[nodiscard]] bool heavy_fence() noexcept;

/// A full fence on this CPU.
inline void full_fence() noexcept {
#if defined(TANDEM_THREAD_SANITIZER)
  // ThreadSanitizer does not model fences, and GCC warns about each; it knows read-modify-writes.
  static constinit std::atomic<int> fence{0};
  fence.fetch_add(1, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

/// \param always a parker could not fence for us: fence here
inline void light_fence(bool always) noexcept {
  if (always || !fences_registered) [[unlikely]] {
    full_fence();
  } else {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

}  // namespace tandem::os
