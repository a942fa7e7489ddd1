#include "transport/live_channels.hpp"

#include <atomic>
#include <mutex>

#include "os/exec.hpp"
#include "tandem/detail/byte_channel.hpp"

namespace tandem::transport {
namespace {

constinit std::atomic<std::uint64_t> forks{0};
constinit std::mutex list_mutex;
constinit LiveChannel* first = nullptr;

// The list is whole in the child because the fork waits for it. Counted before and after: an end
// made in between belongs to one side only, and does not know which.
void before_fork() {
  list_mutex.lock();
  forks.fetch_add(1, std::memory_order_relaxed);
}
void after_fork() {
  forks.fetch_add(1, std::memory_order_relaxed);
  list_mutex.unlock();
}

// Before the others of the library register: theirs then come first, and what they hold may be held by
// who makes a channel.
[[gnu::constructor(102)]] void watch_forks() { os::at_fork(before_fork, after_fork, after_fork); }

}  // namespace

LiveChannel::LiveChannel() {
  const std::lock_guard lock(list_mutex);
  next_ = first;
  if (first != nullptr) first->previous_ = this;
  first = this;
}

LiveChannel::~LiveChannel() {
  const std::lock_guard lock(list_mutex);
  if (next_ != nullptr) next_->previous_ = previous_;
  (previous_ != nullptr ? previous_->next_ : first) = next_;
}

void abandon_all() noexcept {
  const std::lock_guard lock(list_mutex);
  for (LiveChannel* channel = first; channel != nullptr; channel = channel->next_) {
    channel->abandon();
  }
}

std::uint64_t fork_count() noexcept { return forks.load(std::memory_order_relaxed); }

}  // namespace tandem::transport

namespace tandem::detail {

void abandon_all_channels() noexcept { transport::abandon_all(); }

}  // namespace tandem::detail
