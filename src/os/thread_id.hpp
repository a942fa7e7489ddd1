// Which thread of which process this is, without the system calls that glibc makes of the question.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace tandem::os {

// Set when the library is loaded and in forked children; nobody else writes them.
extern pid_t cached_process_id;
extern constinit thread_local pid_t cached_thread_id;

[[nodiscard]] pid_t ask_for_thread_id() noexcept;

/// Whether `thread` is one of this process that lives. 0 is not.
[[nodiscard]] bool is_own_thread(pid_t thread) noexcept;

/// A thread of a process in one word; 0 is nobody.
class ThreadId {
 public:
  constexpr ThreadId() noexcept = default;
  constexpr explicit ThreadId(std::uint64_t raw) noexcept : raw_(raw) {}
  [[nodiscard]] static ThreadId mine() noexcept {
    const pid_t thread = cached_thread_id != 0 ? cached_thread_id : ask_for_thread_id();
    return ThreadId(std::uint64_t{static_cast<std::uint32_t>(cached_process_id)} << 32 |
                    static_cast<std::uint32_t>(thread));
  }
  [[nodiscard]] constexpr std::uint64_t raw() const noexcept { return raw_; }
  [[nodiscard]] constexpr pid_t process() const noexcept { return static_cast<pid_t>(raw_ >> 32); }
  [[nodiscard]] constexpr pid_t thread() const noexcept {
    return static_cast<pid_t>(static_cast<std::uint32_t>(raw_));
  }
  [[nodiscard]] constexpr bool operator==(const ThreadId&) const noexcept = default;

 private:
  std::uint64_t raw_ = 0;
};

}  // namespace tandem::os
