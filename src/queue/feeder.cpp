#include "queue/feeder.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "base/text.hpp"
#include "os/exec.hpp"
#include "tandem/detail/log.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

namespace {

// An idle feeder thread ends after this, so that a queue that is seldom full costs no thread.
constexpr auto kLinger = std::chrono::milliseconds(100);

}  // namespace

// Waits for room in the buffer and sees to it that the thread runs.
bool Feeder::reserve(std::unique_lock<std::mutex>& lock, std::size_t bytes, Deadline deadline,
                     std::shared_ptr<void> owner) {
  const std::size_t limit = queue_.buffer_bytes();
  // What is larger than the limit goes in alone.
  const auto room = [&] { return limit == 0 || bytes_ == 0 || bytes_ + bytes <= limit; };
  while (!room()) {
    if (deadline.passed()) return false;
    // Slices, because the queue may be shut down by another process.
    changed_.wait_for(lock, std::min<duration>(deadline.left(), os::kSlice));
    queue_.check_open("Queue::put");
  }
  if (!running_) {
    try {
      const os::SignalsBlocked blocked;  // the program's signals are for its own threads
      std::thread([this, owner = std::move(owner)] { run(); }).detach();
    } catch (const std::system_error& error) {
      throw SystemError(error.code(), concat("Queue::put on ", queue_.name(),
                                             ": the feeder thread could not be started"));
    }
    running_ = true;
  }
  return true;
}

void Feeder::added(std::size_t bytes, std::size_t items) {
  bytes_ += bytes;
  queue_.put_side().pass_to_process();
  backlog_.add(items);
  changed_.notify_all();
}

Feeder::Block& Feeder::open_block(std::size_t bytes) {
  if (blocks_.empty() || blocks_.back().streams || blocks_.back().bytes() + bytes > kBlockBytes) {
    blocks_.emplace_back();
  }
  return blocks_.back();
}

bool Feeder::add(const Outgoing& message, Deadline deadline, std::shared_ptr<void> owner) {
  std::unique_lock lock(mutex_);
  const bool streams = !queue_.fits_whole(message.bytes.size());
  const std::size_t bytes =
      streams ? message.bytes.size() : shm::record_bytes(message.bytes.size());
  if (!reserve(lock, bytes, deadline, std::move(owner))) return false;
  if (streams) {
    Block block;
    block.stream.append(message.bytes.data(), bytes);
    block.stream_type = message.type;
    block.streams = true;
    blocks_.push_back(std::move(block));
  } else {
    open_block(bytes).batch.add(message);
  }
  added(bytes, 1);
  return true;
}

bool Feeder::add_records(std::span<const std::byte> records, std::size_t items, Deadline deadline,
                         std::shared_ptr<void> owner) {
  std::unique_lock lock(mutex_);
  if (!reserve(lock, records.size(), deadline, std::move(owner))) return false;
  std::byte* at = open_block(records.size()).batch.extend(records.size(), items);
  std::memcpy(at, records.data(), records.size());
  added(records.size(), items);
  return true;
}

void Feeder::resign() noexcept {
  const std::lock_guard lock(mutex_);
  queue_.resign();
}

void Feeder::when_moved(std::function<void()> work) {
  std::unique_lock lock(mutex_);
  if (items() != 0) {
    when_moved_.push_back(std::move(work));
    return;
  }
  lock.unlock();
  work();
}

bool Feeder::flush(Deadline deadline) {
  std::unique_lock lock(mutex_);
  while (items() != 0) {
    if (deadline.passed()) return false;
    changed_.wait_for(lock, std::min<duration>(deadline.left(), os::kSlice));
  }
  return true;
}

void Feeder::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait_for(lock, kLinger, [&] { return !blocks_.empty(); });
    if (blocks_.empty()) {
      running_ = false;
      return;
    }
    const Block block = std::move(blocks_.front());
    blocks_.pop_front();
    lock.unlock();
    std::size_t left = block.items();
    try {
      move(block, left);
    } catch (const Error& error) {  // shut down, or the ring is damaged: nothing more can be put
      log(LogLevel::warning, queue_.name(), ": ", std::to_string(left),
          " buffered items were discarded: ", error.what());
      backlog_.drop(left);
    }
    lock.lock();
    bytes_ -= block.bytes();
    // What is added meanwhile only makes them later than need be.
    if (blocks_.empty()) {
      queue_.put_side().pass_to_thread();
      for (const auto& work : std::exchange(when_moved_, {})) work();
    }
    changed_.notify_all();
  }
}

void Feeder::move(const Block& block, std::size_t& left) {
  if (block.streams) {
    (void)queue_.put({block.stream_type, block.stream.bytes(), nullptr}, Deadline::never(),
                     &backlog_);
    return;
  }
  std::span<const std::byte> records = block.batch.records();
  while (!records.empty()) {
    const RingQueue::Moved moved = queue_.put_records(records, Deadline::never(), &backlog_);
    records = records.subspan(moved.bytes);
    left -= moved.items;
  }
}

void Feeder::after_fork_in_child() {
  blocks_.clear();
  when_moved_.clear();
  bytes_ = 0;
  running_ = false;
  backlog_.reset();
  new (&changed_) std::condition_variable;  // the parent's may say that threads wait in it
  mutex_.unlock();
}

}  // namespace tandem::detail
