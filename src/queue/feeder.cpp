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

bool Feeder::add(const Outgoing& message, Deadline deadline, std::shared_ptr<void> owner) {
  std::unique_lock lock(mutex_);
  const std::size_t limit = queue_.buffer_bytes();
  const std::size_t size = shm::record_bytes(message.bytes.size());
  // A message larger than the limit goes in alone.
  const auto room = [&] { return limit == 0 || bytes_ == 0 || bytes_ + size <= limit; };
  while (!room()) {
    if (deadline.passed()) return false;
    // Slices, because the library's waits never depend on one wake-up.
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
  append(message);
  bytes_ += size;
  items_.fetch_add(1, std::memory_order_release);
  changed_.notify_all();
  return true;
}

void Feeder::append(const Outgoing& message) {
  const std::size_t size = message.bytes.size();
  if (!queue_.fits_whole(size)) {
    Block block{
        std::unique_ptr<std::byte[]>(new std::byte[size]), size, size, 1, message.type, true};
    std::memcpy(block.data.get(), message.bytes.data(), size);
    blocks_.push_back(std::move(block));
    return;
  }
  const std::size_t bytes = shm::record_bytes(size);
  if (blocks_.empty() || blocks_.back().streams ||
      blocks_.back().capacity - blocks_.back().size < bytes) {
    const std::size_t capacity = std::max(kBlockBytes, bytes);
    blocks_.push_back(
        {std::unique_ptr<std::byte[]>(new std::byte[capacity]), capacity, 0, 0, 0, false});
  }
  Block& block = blocks_.back();
  std::byte* at = block.data.get() + block.size;
  const auto header = shm::RecordHeader::make(shm::RecordKind::whole, false, size, message.type);
  std::memcpy(at, &header, sizeof header);
  if (size != 0) std::memcpy(at + sizeof header, message.bytes.data(), size);
  std::memset(at + sizeof header + size, 0, bytes - sizeof header - size);
  block.size += bytes;
  ++block.items;
}

bool Feeder::flush(Deadline deadline) {
  std::unique_lock lock(mutex_);
  while (items_.load(std::memory_order_relaxed) != 0) {
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
    std::size_t moved_items = 0;
    std::string failure;
    try {
      move(block, moved_items);
    } catch (const Error& error) {  // shut down, or the ring is damaged: nothing more can be put
      failure = error.what();
    }
    const std::size_t lost = block.items - moved_items;
    if (lost != 0) {
      log(LogLevel::warning, queue_.name(), ": ", std::to_string(lost),
          " buffered items were discarded: ", failure);
    }
    lock.lock();
    items_.fetch_sub(lost, std::memory_order_release);
    std::size_t bytes = block.size;
    if (block.streams) bytes = shm::record_bytes(bytes);
    bytes_ -= bytes;
    changed_.notify_all();
  }
}

void Feeder::move(const Block& block, std::size_t& moved_items) {
  const auto note = [&](std::size_t items) {
    moved_items += items;
    items_.fetch_sub(items, std::memory_order_release);
  };
  const std::span<const std::byte> bytes(block.data.get(), block.size);
  if (block.streams) {
    if (queue_.put({block.stream_type, bytes, nullptr}, Deadline::never())) note(1);
    return;
  }
  for (std::size_t done = 0; done < bytes.size();) {
    const RingQueue::Moved moved = queue_.put_records(bytes.subspan(done), Deadline::never());
    done += moved.bytes;
    note(moved.items);
  }
}

void Feeder::after_fork_in_child() {
  blocks_.clear();
  bytes_ = 0;
  running_ = false;
  items_.store(0, std::memory_order_relaxed);
  new (&changed_) std::condition_variable;  // the parent's may say that threads wait in it
  mutex_.unlock();
}

}  // namespace tandem::detail
