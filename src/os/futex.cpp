#include "os/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace tandem::os {
namespace {

// The kernel's futex calls take the address of the word itself; the atomic is nothing but that
// word.
std::uint32_t* address(const FutexWord& word) noexcept {
  return const_cast<std::uint32_t*>(reinterpret_cast<const std::uint32_t*>(&word));
}

}  // namespace

void futex_wait(const FutexWord& word, std::uint32_t expected, detail::Deadline deadline) noexcept {
  if (deadline.is_now()) return;
  timespec until{};
  const timespec* timeout = nullptr;
  if (!deadline.is_never()) {
    until.tv_sec = static_cast<time_t>(deadline.ns() / 1'000'000'000);
    until.tv_nsec = static_cast<long>(deadline.ns() % 1'000'000'000);
    timeout = &until;
  }
  // FUTEX_WAIT_BITSET, unlike FUTEX_WAIT, takes an absolute time, of CLOCK_MONOTONIC: a signal that
  // interrupts the sleep cannot make it longer. Whatever it returns, the caller looks again.
  ::syscall(SYS_futex, address(word), FUTEX_WAIT_BITSET, expected, timeout, nullptr,
            FUTEX_BITSET_MATCH_ANY);
}

void futex_wait_slice(const FutexWord& word, std::uint32_t expected,
                      detail::Deadline deadline) noexcept {
  if (deadline.is_now()) return;
  futex_wait(word, expected, deadline.earlier(detail::Deadline::after(kSlice)));
}

void futex_wake(FutexWord& word, int count) noexcept {
  ::syscall(SYS_futex, address(word), FUTEX_WAKE, count, nullptr, nullptr, 0);
}

void futex_wake_all(FutexWord& word) noexcept { futex_wake(word, INT_MAX); }

}  // namespace tandem::os
