// Which thread is the loop of a manager's server while user code may take its time.
//
// 1. One thread leads at a time, and all of the server's state is the leader's.
// 2. The leader runs user code itself. A monitor looks every millisecond while user code has been
//    running lately, and sleeps when none has. What it finds running for a second time it takes the
//    lead from, and another thread becomes the monitor.
// 3. `turn_` says who leads: even, nobody runs user code; odd, the leader does. It only grows, so
//    the one exchange from an odd number to the next is won either by the leader that comes back or
//    by the monitor. Each exchange is acquire and release: what one leader wrote the next one sees.
// 4. A thread that comes back too late has lost the lead: it touches nothing of the server's but
//    what is meant for that, and becomes the spare from which the next monitor is taken.
// 5. Without user code there is one thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

#include "os/futex.hpp"

namespace tandem::detail {

class Leadership {
 public:
  /// \param lead the loop; \returns true when the server ends, false when it has lost the lead
  explicit Leadership(std::function<bool()> lead) : lead_(std::move(lead)) {}
  Leadership(const Leadership&) = delete;
  Leadership& operator=(const Leadership&) = delete;

  /// Leads, and stays until the server ends and all other threads have.
  void run();

  // By the leader, around user code.
  [[nodiscard]] std::uint64_t begin_user_code();
  /// \returns false when another thread leads by now
  [[nodiscard]] bool end_user_code(std::uint64_t turn) noexcept;

 private:
  enum class Role { leader, monitor };

  void work(Role role, bool main);
  /// \returns true when this thread has the lead, false at the end
  [[nodiscard]] bool watch();
  void appoint_monitor() noexcept;
  void end() noexcept;

  const std::function<bool()> lead_;
  std::atomic<std::uint64_t> turn_{0};
  std::atomic<bool> monitored_{false};  // written by the leader only
  std::atomic<bool> ended_{false};
  os::FutexWord asleep_{0};  // 1: the monitor is, until somebody makes it 0 and wakes it
  os::FutexWord tick_{0};    // 1 at the end

  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned spares_ = 0;
  unsigned wanted_ = 0;   // spares that are to be monitors
  unsigned threads_ = 0;  // besides the main thread
};

}  // namespace tandem::detail
