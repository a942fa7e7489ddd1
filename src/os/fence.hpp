// Dekker's handshake with one cheap side. The one who parks calls `heavy_fence` between announcing itself
// and its last look; the one who publishes calls `light_fence` between publishing and looking for
// parked peers. The heavy side is membarrier(GLOBAL_EXPEDITED), which reaches registered processes
// only: registered when the library is loaded, again in forked children.
#pragma once

#include <atomic>

namespace tandem::os {

/// Whether this process receives the heavy fences of others. Constant after the library is loaded.
extern const bool& fences_registered;

/// A full fence on every CPU that runs a registered process. \returns false when the kernel refused: the
/// caller must then ask publishers to fence for themselves
[[nodiscard]] bool heavy_fence() noexcept;

/// \param always a parker could not fence for us: fence here
inline void light_fence(bool always) noexcept {
  if (always || !fences_registered) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  } else {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

}  // namespace tandem::os
