// Is the process or thread that left its id in shared memory still there? An id alone may have been
// given to another.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

namespace tandem::os {

/// When the process, or the thread, started, in clock ticks since boot, modulo 2^32; nothing when
/// it is gone or a zombie.
[[nodiscard]] std::optional<std::uint32_t> birth_of(int pid);

/// A thread, or a process as a whole, in one word: id and birth. 0 is nobody.
class Task {
 public:
  constexpr Task() noexcept = default;
  constexpr explicit Task(std::uint64_t raw) noexcept : raw_(raw) {}
  /// The calling thread; asked of the system once in a thread's life.
  [[nodiscard]] static Task mine();
  /// This process; not the same as its main thread, but gone when that is.
  [[nodiscard]] static Task of_process();

  [[nodiscard]] constexpr std::uint64_t raw() const noexcept { return raw_; }
  [[nodiscard]] constexpr int id() const noexcept {
    return static_cast<int>((raw_ & ~kWholeProcess) >> 32);
  }
  [[nodiscard]] bool alive() const;
  [[nodiscard]] constexpr bool operator==(const Task&) const noexcept = default;

 private:
  static constexpr std::uint64_t kWholeProcess = std::uint64_t{1} << 63;

  std::uint64_t raw_ = 0;
};

/// Grows when this process learns of an end: of another process, or of a channel's end closed here.
/// Who remembers that a peer was there a moment ago looks again when this has changed.
inline constinit std::atomic<std::uint64_t> ends_seen{0};

}  // namespace tandem::os
