// What this process has put and the ring had no room for, and the thread that moves it there.
//
// The buffer holds records as the ring holds them, so that the thread moves all it finds with one
// copy, one lock and one publication. Order: whoever finds the buffer not empty adds to it; what
// the thread is moving still counts as in the buffer.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "queue/backlog.hpp"
#include "queue/ring_queue.hpp"
#include "tandem/detail/batch.hpp"
#include "tandem/detail/buffer.hpp"

namespace tandem::detail {

class Feeder {
 public:
  explicit Feeder(RingQueue& queue) : queue_(queue) {}

  /// Items put here that are not in the ring yet. Zero: the ring may be used directly.
  [[nodiscard]] std::size_t items() const noexcept { return backlog_.items(); }
  [[nodiscard]] const Backlog& backlog() const noexcept { return backlog_; }
  /// \param owner kept alive by the thread until the buffer is empty
  /// \returns false when the buffer stayed at its limit until the deadline
  [[nodiscard]] bool add(const Outgoing& message, Deadline deadline, std::shared_ptr<void> owner);
  /// Adds records, which are `items` messages, as `add` does.
  [[nodiscard]] bool add_records(std::span<const std::byte> records, std::size_t items,
                                 Deadline deadline, std::shared_ptr<void> owner);
  /// The caller, if it is the single producer or consumer of the queue, is that no more.
  void resign() noexcept;
  /// Runs `work` once everything that was added before has been moved: here if that is so already,
  /// else on the thread.
  void when_moved(std::function<void()> work);
  /// \returns false when something was left at the deadline
  [[nodiscard]] bool flush(Deadline deadline);
  /// Whether the process should wait for it at its end.
  void set_joined_at_end(bool joined) noexcept {
    joined_at_end_.store(joined, std::memory_order_relaxed);
  }
  [[nodiscard]] bool joined_at_end() const noexcept {
    return joined_at_end_.load(std::memory_order_relaxed);
  }

  /// Around fork: no thread may be halfway; the child starts with an empty buffer and no thread,
  /// because what was buffered is the parent's to send.
  void before_fork() { mutex_.lock(); }
  void after_fork_in_parent() { mutex_.unlock(); }
  void after_fork_in_child();

 private:
  /// Records, or one message that is too large to be a record and streams.
  struct Block {
    Batch batch;
    Buffer stream;
    std::uint32_t stream_type = 0;
    bool streams = false;
    [[nodiscard]] std::size_t items() const noexcept { return streams ? 1 : batch.items(); }
    [[nodiscard]] std::size_t bytes() const noexcept {
      return streams ? stream.size() : batch.records().size();
    }
  };
  static constexpr std::size_t kBlockBytes = std::size_t{1} << 16;

  [[nodiscard]] bool reserve(std::unique_lock<std::mutex>& lock, std::size_t bytes,
                             Deadline deadline, std::shared_ptr<void> owner);
  void added(std::size_t bytes, std::size_t items);
  Block& open_block(std::size_t bytes);
  void run();
  void move(const Block& block, std::size_t& left);

  RingQueue& queue_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Block> blocks_;                       // guarded by mutex_
  std::size_t bytes_ = 0;                          // guarded by mutex_
  bool running_ = false;                           // guarded by mutex_
  std::vector<std::function<void()>> when_moved_;  // guarded by mutex_
  Backlog backlog_;
  std::atomic<bool> joined_at_end_{true};
};

}  // namespace tandem::detail
