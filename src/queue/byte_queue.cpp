#include "tandem/detail/byte_queue.hpp"

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/lazy.hpp"
#include "base/text.hpp"
#include "os/exec.hpp"
#include "os/poll.hpp"
#include "queue/feeder.hpp"
#include "queue/ring_queue.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/context.hpp"
#include "tandem/detail/log.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

namespace {

// In which a feeder that has something to move and finds room gets to it.
constexpr duration kFeederHead = std::chrono::milliseconds(20);

/// A queue of this process: the shared ring and this process's buffer before it.
class SharedQueue final : public ByteQueue, public std::enable_shared_from_this<SharedQueue> {
 public:
  template <class... Args>
  explicit SharedQueue(Args&&... args) : ring_(std::forward<Args>(args)...), feeder_(ring_) {}
  ~SharedQueue() override { stop_watching(); }

  void hand_over(Encoder& to) override;
  [[nodiscard]] bool put(const Outgoing& message, Deadline deadline) override;
  [[nodiscard]] std::size_t most_in_batch() const override { return ring_.most_whole(); }
  void put_many(const Batch& batch) override;
  [[nodiscard]] std::size_t get_many(Batch& into, std::size_t at_most) override;
  [[nodiscard]] bool get(Incoming& into, Deadline deadline) override;
  [[nodiscard]] std::size_t size() const override {
    check_not_closed("Queue::size");
    return feeder_.backlog().with([&] { return ring_.items(); });
  }
  [[nodiscard]] bool full() const override {
    check_not_closed("Queue::full");
    return ring_.maxsize() != 0 && ring_.items() >= ring_.maxsize();
  }
  [[nodiscard]] int fd() override;
  void close() override {
    closed_.store(true, std::memory_order_relaxed);
    feeder_.resign();
    stop_watching();
  }
  [[nodiscard]] bool join_thread(Deadline deadline) override;
  void cancel_join_thread() override { feeder_.set_joined_at_end(false); }
  void shutdown(bool immediate) override;
  void task_done() override;
  [[nodiscard]] bool join(Deadline deadline) override;
  [[nodiscard]] const std::string& name() const override { return ring_.name(); }

  // A closed one is ready: the next call says so. What the feeder has not moved yet is in the queue.
  [[nodiscard]] bool ready() override {
    return ring_.ready() || feeder_.items() != 0 || closed_.load(std::memory_order_relaxed);
  }
  void arm() override { ring_.watch(); }
  void disarm() override { ring_.unwatch(); }
  [[nodiscard]] int doorbell() const override {
    check_not_closed("wait_any on a queue");
    return ring_.bell().get();
  }
  [[nodiscard]] bool ready_after_doorbell() override {
    if (!ready()) ring_.settle_bell();
    return ready();
  }

  void check_type(std::uint32_t type, QueueKind kind) const { ring_.check_type(type, kind); }
  void after_fork_in_child() {
    ring_.after_fork_in_child();
    feeder_.after_fork_in_child();
    if (watching_.load(std::memory_order_relaxed)) ring_.watch_too();
  }
  [[nodiscard]] Feeder& feeder() noexcept { return feeder_; }
  [[nodiscard]] const Fd& segment() const noexcept { return ring_.fd(); }

 private:
  void check_not_closed(const char* call) const {
    if (closed_.load(std::memory_order_relaxed)) [[unlikely]] {
      throw Closed(concat(call, " on ", ring_.name(), ": closed in this process"));
    }
  }

  void check_usable(const char* call) {
    if (closed_.load(std::memory_order_relaxed)) [[unlikely]]
      feeder_.resign();  // another thread has closed it
    check_not_closed(call);
  }

  void stop_watching() noexcept {
    if (watching_.exchange(false, std::memory_order_relaxed)) ring_.unwatch();
  }

  RingQueue ring_;
  Feeder feeder_;
  std::atomic<bool> watching_{false};  // fd was asked for
  std::atomic<bool> closed_{false};
  std::atomic<std::uint32_t> deferred_{0};  // task_done that waits for the feeder
};

/// The queues of this process: one core each, however many handles. Never destroyed, because queues
/// of static duration outlive any order of destruction.
class Registry {
 public:
  static base::Lazy<Registry> instance;

  [[nodiscard]] std::shared_ptr<SharedQueue> find_or_add(Fd fd, Fd bell, bool named,
                                                         std::uint32_t type, QueueKind kind) {
    flush_at_end();
    const std::lock_guard lock(mutex_);
    const os::FileIdentity identity = os::identity(fd);
    if (const auto found = queues_.find(identity); found != queues_.end()) {
      if (auto queue = found->second.lock()) {
        queue->check_type(type, kind);
        return queue;
      }
    }
    auto segment = named ? shm::Segment::map_file(std::move(fd))
                         : shm::Segment::adopt(std::move(fd), QueueHeader::kDataOffset);
    return add(std::make_shared<SharedQueue>(std::move(segment), std::move(bell), type, kind));
  }
  [[nodiscard]] std::shared_ptr<SharedQueue> make(const QueueOptions& options, std::uint32_t type,
                                                  QueueKind kind, std::string_view name) {
    flush_at_end();
    const std::lock_guard lock(mutex_);
    return add(std::make_shared<SharedQueue>(options, type, kind, name));
  }

  /// Once, when the library is loaded, before there is a second thread that could fork.
  static bool make_fork_safe() {
    os::at_fork([] { instance->before_fork(); }, [] { instance->after_fork(false); },
                [] { instance->after_fork(true); });
    return true;
  }

  /// At the end of the process: what was put is delivered, or it is said what is not.
  void flush_all() {
    std::unique_lock lock(mutex_);
    const auto queues = alive();
    lock.unlock();
    for (const auto& queue : queues) {
      Feeder& feeder = queue->feeder();
      if (!feeder.joined_at_end() || feeder.flush(Deadline::after(std::chrono::seconds(1))))
        continue;
      log(LogLevel::warning, queue->name(), ": the process waits to end until ",
          std::to_string(feeder.items()),
          " buffered items are taken; cancel_join_thread would give them up");
      (void)feeder.flush(Deadline::never());
    }
  }

 private:
  // Twice does no harm; waiting for another thread would, in a child forked meanwhile.
  void flush_at_end() {
    if (end_is_known_.load(std::memory_order_acquire)) return;
    at_process_end([] { instance->flush_all(); });
    end_is_known_.store(true, std::memory_order_release);
  }

  // Held: mutex_.
  std::shared_ptr<SharedQueue> add(std::shared_ptr<SharedQueue> queue) {
    std::erase_if(queues_, [](const auto& entry) { return entry.second.expired(); });
    queues_.insert_or_assign(os::identity(queue->segment()), queue);
    return queue;
  }

  // Held: mutex_.
  std::vector<std::shared_ptr<SharedQueue>> alive() {
    std::vector<std::shared_ptr<SharedQueue>> all;
    for (const auto& [identity, entry] : queues_) {
      if (auto queue = entry.lock()) all.push_back(std::move(queue));
    }
    return all;
  }

  void before_fork() {
    mutex_.lock();
    held_ = alive();
    for (const auto& queue : held_) queue->feeder().before_fork();
  }
  void after_fork(bool in_child) {
    for (const auto& queue : held_) {
      in_child ? queue->after_fork_in_child() : queue->feeder().after_fork_in_parent();
    }
    const auto held = std::move(held_);
    held_.clear();
    mutex_.unlock();
  }

  std::mutex mutex_;
  std::map<os::FileIdentity, std::weak_ptr<SharedQueue>> queues_;  // guarded by mutex_
  std::vector<std::shared_ptr<SharedQueue>> held_;  // between before_fork and after_fork
  std::atomic<bool> end_is_known_{false};
};

constinit base::Lazy<Registry> Registry::instance;
[[maybe_unused]] const bool fork_safe = Registry::make_fork_safe();

void SharedQueue::hand_over(Encoder& to) {
  check_not_closed("Queue: sending the queue");
  if (to.route() != Route::process && to.route() != Route::connection) {
    throw NotSendable(concat("Queue ", ring_.name(),
                             ": a queue can be an argument of a process or be sent over a "
                             "Connection of this machine, and nothing else"));
  }
  to.write_raw(static_cast<std::uint32_t>(ring_.named()));
  to.write_raw(to.attach(ring_.fd().duplicate()));
  to.write_raw(to.attach(ring_.bell().duplicate()));
}

bool SharedQueue::put(const Outgoing& message, Deadline deadline) {
  check_usable("Queue::put");
  if (ring_.kind() == QueueKind::simple || ring_.maxsize() != 0)
    return ring_.put(message, deadline);
  const std::size_t size = message.bytes.size();
  if (ring_.fits_whole(size)) {
    if (feeder_.items() == 0 && ring_.put_if_free(message)) return true;
    if (ring_.room_comes_soon(size, feeder_.backlog()) && ring_.put_if_free(message)) return true;
  }
  ring_.check_open("Queue::put");
  ring_.check_may_buffer();
  return feeder_.add(message, deadline, shared_from_this());
}

void SharedQueue::put_many(const Batch& batch) {
  check_usable("Queue::put_many");
  std::span<const std::byte> records = batch.records();
  std::size_t items = batch.items();
  const bool waits = ring_.kind() == QueueKind::simple || ring_.maxsize() != 0;
  while (!records.empty()) {
    RingQueue::Moved moved;
    if (waits) {
      moved = ring_.put_records(records, Deadline::never());
    } else if (feeder_.items() == 0) {
      moved = ring_.put_records_if_free(records);
    }
    if (moved.items == 0) {
      ring_.check_open("Queue::put_many");
      ring_.check_may_buffer();
      (void)feeder_.add_records(records, items, Deadline::never(), shared_from_this());
      return;
    }
    records = records.subspan(moved.bytes);
    items -= moved.items;
  }
}

std::size_t SharedQueue::get_many(Batch& into, std::size_t at_most) {
  check_usable("Queue::get_many");
  return ring_.get_records(into, at_most, Deadline::never());
}

bool SharedQueue::get(Incoming& into, Deadline deadline) {
  check_usable("Queue::get");
  if (ring_.get(into, deadline)) return true;
  // What this process has put and its feeder has not moved yet is in the queue too.
  if (!deadline.is_now() || feeder_.items() == 0 || !ring_.empty()) return false;
  return ring_.get(into, Deadline::after(kFeederHead));
}

int SharedQueue::fd() {
  check_not_closed("Queue::fd");
  if (!watching_.load(std::memory_order_relaxed)) {
    ring_.watch();
    if (watching_.exchange(true, std::memory_order_relaxed)) ring_.unwatch();  // by another thread
  }
  // What this process has put and its feeder has not moved yet is in the queue too.
  if (feeder_.items() != 0 && ring_.empty()) {
    (void)os::wait_readable(ring_.bell().get(), Deadline::after(kFeederHead));
  }
  return ring_.bell().get();
}

bool SharedQueue::join_thread(Deadline deadline) {
  if (feeder_.flush(deadline)) return true;
  log(LogLevel::warning, "Queue::join_thread on ", ring_.name(), ": ",
      std::to_string(feeder_.items()), " buffered items are still to be taken");
  return false;
}

void SharedQueue::shutdown(bool immediate) {
  check_not_closed("Queue::shutdown");
  if (!immediate) (void)feeder_.flush(Deadline::never());
  ring_.shutdown(immediate);
}

void SharedQueue::task_done() {
  check_not_closed("JoinableQueue::task_done");
  const bool now = feeder_.items() == 0;
  if (now ? !ring_.takers().finish_one()
          : ring_.takers().held() <= deferred_.load(std::memory_order_relaxed)) {
    throw Error(concat("JoinableQueue::task_done on ", ring_.name(),
                       ": called more often than this process has taken items"));
  }
  if (now) return;
  // What this process has put on account of the item must count before the item is finished.
  deferred_.fetch_add(1, std::memory_order_relaxed);
  feeder_.when_moved([this] {
    (void)ring_.takers().finish_one();
    deferred_.fetch_sub(1, std::memory_order_relaxed);
  });
}

bool SharedQueue::join(Deadline deadline) {
  check_not_closed("JoinableQueue::join");
  Takers& takers = ring_.takers();
  for (;;) {
    const std::uint32_t seen = takers.changes();
    ring_.settle_takers();
    if (const auto loss = takers.report_loss()) {
      throw OwnerDied(concat("JoinableQueue::join on ", ring_.name(), ": process ",
                             loss->pid == 0 ? "(unknown)" : std::to_string(loss->pid),
                             " died with ", std::to_string(loss->items), " unfinished items"));
    }
    if (feeder_.items() == 0 && ring_.finished()) return true;
    if (deadline.passed()) return false;
    takers.wait_for_change(seen, deadline);
  }
}

}  // namespace

std::shared_ptr<ByteQueue> ByteQueue::create(const QueueOptions& options, std::uint32_t type,
                                             QueueKind kind) {
  return Registry::instance->make(options, type, kind, {});
}

std::shared_ptr<ByteQueue> ByteQueue::create(const QueueOptions& options, std::uint32_t type,
                                             QueueKind kind, std::string_view name) {
  static_cast<void>(RingQueue::path_of(name));  // an empty name is an error, not an anonymous queue
  return Registry::instance->make(options, type, kind, name);
}

std::shared_ptr<ByteQueue> ByteQueue::open(std::string_view name, std::uint32_t type,
                                           QueueKind kind) {
  auto [queue, bell] = RingQueue::open(name);
  return Registry::instance->find_or_add(std::move(queue), std::move(bell), true, type, kind);
}

bool ByteQueue::remove(std::string_view name) { return RingQueue::remove(name); }

std::shared_ptr<ByteQueue> ByteQueue::adopt(Decoder& from, std::uint32_t type, QueueKind kind) {
  const bool named = from.read_raw<std::uint32_t>() != 0;
  Fd queue = from.take_descriptor(from.read_raw<std::uint32_t>());
  Fd bell = from.take_descriptor(from.read_raw<std::uint32_t>());
  return Registry::instance->find_or_add(std::move(queue), std::move(bell), named, type, kind);
}

}  // namespace tandem::detail
