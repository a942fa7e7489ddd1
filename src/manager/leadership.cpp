#include "manager/leadership.hpp"

#include <chrono>
#include <exception>
#include <thread>

#include "os/exec.hpp"
#include "tandem/detail/deadline.hpp"

namespace tandem::detail {
namespace {

constexpr auto kTick = std::chrono::milliseconds(1);
// So many without user code, and the monitor sleeps.
constexpr unsigned kIdleTicks = 20;
// So many threads wait for work when slow calls were many; others end.
constexpr unsigned kMostSpares = 1;

}  // namespace

void Leadership::run() {
  work(Role::leader, true);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return threads_ == 0; });
}

void Leadership::work(Role role, bool main) {
  for (;;) {
    if (role == Role::monitor && !watch()) return;
    if (lead_()) return end();
    std::unique_lock lock(mutex_);
    if (!main && spares_ - wanted_ >= kMostSpares) return;
    ++spares_;
    changed_.wait(lock, [this] { return ended_.load() || wanted_ > 0; });
    --spares_;
    if (ended_.load()) return;
    --wanted_;
    role = Role::monitor;
  }
}

std::uint64_t Leadership::begin_user_code() {
  if (!monitored_.load(std::memory_order_relaxed)) appoint_monitor();
  const std::uint64_t turn = turn_.load(std::memory_order_relaxed) + 1;
  // Both in one order with the monitor's store to asleep_ and its look at the turn.
  turn_.store(turn, std::memory_order_seq_cst);
  if (asleep_.load(std::memory_order_seq_cst) != 0) {
    asleep_.store(0, std::memory_order_seq_cst);
    os::futex_wake_all(asleep_);
  }
  return turn;
}

bool Leadership::end_user_code(std::uint64_t turn) noexcept {
  return turn_.compare_exchange_strong(turn, turn + 1, std::memory_order_acq_rel);
}

bool Leadership::watch() {
  std::uint64_t seen = 0;
  unsigned idle = 0;
  while (!ended_.load()) {
    std::uint64_t turn = turn_.load(std::memory_order_acquire);
    if (turn != seen) {
      seen = turn;
      idle = 0;
    } else if (turn % 2 == 1) {
      if (turn_.compare_exchange_strong(turn, turn + 1, std::memory_order_acq_rel)) {
        monitored_.store(false, std::memory_order_relaxed);
        appoint_monitor();
        return true;
      }
      continue;
    } else if (++idle > kIdleTicks) {
      idle = 0;
      asleep_.store(1, std::memory_order_seq_cst);
      if (turn_.load(std::memory_order_seq_cst) == seen && !ended_.load()) {
        os::futex_wait(asleep_, 1, Deadline::never());
      }
      asleep_.store(0, std::memory_order_seq_cst);
      continue;
    }
    os::futex_wait(tick_, 0, Deadline::after(kTick));
  }
  return false;
}

/// Without memory or threads for one the next user code asks again.
void Leadership::appoint_monitor() noexcept {
  const std::lock_guard lock(mutex_);
  if (spares_ > wanted_) {
    ++wanted_;
    changed_.notify_all();
  } else {
    try {
      const os::SignalsBlocked blocked;  // they are for the thread that has always been there
      std::thread([this] {
        work(Role::monitor, false);
        const std::lock_guard end_lock(mutex_);
        --threads_;
        changed_.notify_all();
      }).detach();
    } catch (const std::exception&) {
      return;
    }
    ++threads_;
  }
  monitored_.store(true, std::memory_order_relaxed);
}

void Leadership::end() noexcept {
  {
    const std::lock_guard lock(mutex_);
    ended_.store(true);
    changed_.notify_all();
  }
  tick_.store(1, std::memory_order_relaxed);
  os::futex_wake_all(tick_);
  asleep_.store(0, std::memory_order_seq_cst);
  os::futex_wake_all(asleep_);
}

}  // namespace tandem::detail
