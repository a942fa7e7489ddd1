// Sleep on a word of shared memory until another process wakes the sleepers. std::atomic::wait is
// of no use here: its futexes are private to one process.
#pragma once

#include <atomic>
#include <cstdint>

#include "tandem/detail/deadline.hpp"

namespace tandem::os {

using FutexWord = std::atomic<std::uint32_t>;
static_assert(sizeof(FutexWord) == 4 && FutexWord::is_always_lock_free);

/// A wake-up meant for one sleeper is lost when that sleeper is killed, so nobody sleeps longer
/// than this without looking again.
inline constexpr duration kSlice = std::chrono::milliseconds(50);

/// Sleeps while `word` is `expected`, until woken, the deadline, or a signal. May return early: the
/// caller looks at its condition again. What the waker wrote before it changed the word is seen by
/// an acquire load of the word, not by the mere return from here.
void futex_wait(const FutexWord& word, std::uint32_t expected, detail::Deadline deadline) noexcept;
/// The same, no longer than kSlice.
void futex_wait_slice(const FutexWord& word, std::uint32_t expected,
                      detail::Deadline deadline) noexcept;
/// Wakes at most `count` sleepers of any process.
void futex_wake(FutexWord& word, int count) noexcept;
void futex_wake_all(FutexWord& word) noexcept;

}  // namespace tandem::os
