/// \file
/// A queue between any number of processes and threads, as easy as Python's and safe against any
/// death.
///
///     void work(tandem::Queue<int> todo, tandem::Queue<std::string> done) {
///       for (int n : todo) done.put(std::to_string(n * n));  // ends at todo.shutdown()
///     }
///
///     tandem::Queue<int> todo;
///     tandem::Queue<std::string> done;
///     tandem::Process worker(work, todo, done);
///     worker.start();
///     todo.put(7);
///     std::string text = done.get();  // "49"
///     todo.shutdown();
///
/// A Queue is a handle: a copy names the same queue. Handles may be arguments of a Process, of a
/// Pool's tasks, and be sent over a Connection. Any thread of any process that has one may use it
/// at any time.
///
/// Deaths: a process that is killed, at whatever instruction, never blocks or damages the queue.
/// What a killed consumer had taken dies with it; what a killed producer had not finished putting
/// was never in the queue. A stopped process (SIGSTOP) is not dead: one that is stopped within a
/// call may hold up the others until it goes on.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/batch.hpp"
#include "tandem/detail/byte_queue.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/queue_iterator.hpp"
#include "tandem/error.hpp"
#include "tandem/sendable.hpp"

namespace tandem {

/// Multi-producer, multi-consumer, first in first out: items of one producer keep their order, each
/// item reaches exactly one consumer.
///
/// Unbounded (maxsize 0): `put` returns at once, or after 50 us at most where the ring is full and
/// consumers are at work; what the shared ring has no room for waits in this process and a feeder
/// thread moves it. A process that ends normally first delivers its buffer, unless
/// `cancel_join_thread` was called; until somebody takes enough it does not end. Bounded:
/// `put` waits while the queue holds maxsize items or ring_bytes bytes; larger messages stream
/// through.
///
/// Every member but the constructors throws Closed after `close()` of a handle of this process.
template <class T>
class Queue {
  static_assert(Sendable<T>, "Queue<T>: T must be Sendable (no pointers, references, views)");

 public:
  using value_type = T;
  using TandemHandle = void;

  /// \param maxsize most items waiting; 0 = no limit
  /// \throws SystemError when there is no shared memory or descriptor left
  explicit Queue(std::size_t maxsize = 0) : Queue(QueueOptions{.maxsize = maxsize}) {}
  /// The same with other options than maxsize.
  explicit Queue(QueueOptions options) : Queue(options, detail::QueueKind::plain) {}

  /// A queue that programs of the same user find by its name. The name stays, across the end of
  /// every program, until `remove`; the queue stays as long as anybody has it open. \throws
  /// SystemError EEXIST; EINVAL or ENAMETOOLONG for what cannot be a name (empty, with '/' or
  ///         NUL, too long); ENOSPC
  [[nodiscard]] static Queue create(std::string_view name, QueueOptions options = {}) {
    return Queue(detail::ByteQueue::create(options, detail::fingerprint<T>(),
                                           detail::QueueKind::plain, name));
  }
  /// \throws SystemError ENOENT; DecodeError when it is of another element type, kind or version
  [[nodiscard]] static Queue open(std::string_view name) {
    return Queue(detail::ByteQueue::open(name, detail::fingerprint<T>(), detail::QueueKind::plain));
  }
  /// Takes the name away. \returns false when there is no such queue
  static bool remove(std::string_view name) { return detail::ByteQueue::remove(name); }

  /// Adds an item; waits for room where the queue is bounded (or buffer_bytes is used up).
  /// \throws ShutDown, Closed; what encoding `value` throws, and then nothing was put; Error where
  ///   single_producer was promised and another live thread is the producer
  void put(const T& value) { (void)put_before(value, detail::Deadline::never()); }
  /// \returns whether there was room at once. \throws Error for a message that must stream, see
  /// put_for
  [[nodiscard]] bool try_put(const T& value) { return put_before(value, detail::Deadline::now()); }
  /// \returns false when there was no room until then
  template <class Rep, class Period>
  [[nodiscard]] bool put_for(const T& value, std::chrono::duration<Rep, Period> timeout) {
    return put_before(value, detail::Deadline::after(timeout));
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] bool put_until(const T& value,
                               std::chrono::time_point<detail::Deadline::Clock, Duration> when) {
    return put_before(value, detail::Deadline::at(when));
  }

  /// Puts the elements of a range in order, many at a time: several times faster than one by one.
  /// \throws what `put` throws; the elements before the one that could not be encoded are in the
  /// queue
  template <class Range>
  void put_many(const Range& values) {
    constexpr std::size_t kBatchBytes = std::size_t{1} << 16;
    detail::Batch batch;
    const std::size_t most = core_->most_in_batch();
    const auto flush = [&] {
      if (batch.items() != 0) core_->put_many(batch);
      batch.clear();
    };
    try {
      for (const T& value : values) {
        const detail::OutgoingValue<T> encoded(value, detail::Route::queue);
        const std::size_t size = encoded.message().bytes.size();
        if (size > most) {
          flush();
          (void)core_->put(encoded.message(), detail::Deadline::never());
          continue;
        }
        if (batch.records().size() + size > kBatchBytes) flush();
        batch.add(encoded.message());
      }
    } catch (...) {
      flush();
      throw;
    }
    flush();
  }

  /// Takes the oldest item; waits for one.
  /// \throws ShutDown once the queue was shut down and is empty; Closed; DecodeError for an item
  ///   that is no T, which is dropped; Error where single_consumer was promised and another live
  ///   thread is the consumer
  [[nodiscard]] T get() { return *get_before(detail::Deadline::never()); }
  /// \returns nothing when the queue is empty
  [[nodiscard]] std::optional<T> try_get() { return get_before(detail::Deadline::now()); }
  /// \returns nothing when no item came until then
  template <class Rep, class Period>
  [[nodiscard]] std::optional<T> get_for(std::chrono::duration<Rep, Period> timeout) {
    return get_before(detail::Deadline::after(timeout));
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] std::optional<T> get_until(
      std::chrono::time_point<detail::Deadline::Clock, Duration> when) {
    return get_before(detail::Deadline::at(when));
  }

  /// Takes up to `at_most` items that are there, at least one: waits for it. They are taken in one
  /// step, and die together with a consumer that is killed then.
  /// \throws what `get` throws; std::invalid_argument for 0
  [[nodiscard]] std::vector<T> get_many(std::size_t at_most) {
    if (at_most == 0)
      throw std::invalid_argument("Queue::get_many: at_most is 0; ask for 1 or more");
    std::vector<T> items;
    detail::Batch batch;
    const std::size_t count = core_->get_many(batch, at_most);
    if (count == 0) {
      items.push_back(get());
      return items;
    }
    items.reserve(count);
    detail::IncomingValue<T> item;
    while (batch.take(item.message())) {
      items.push_back(item.take(detail::Route::queue, "Queue::get_many"));
    }
    return items;
  }

  /// Items that wait: those all processes can see and those buffered in this one. A snapshot.
  [[nodiscard]] std::size_t size() const { return core_->size(); }
  /// Whether no item waits. A snapshot.
  [[nodiscard]] bool empty() const { return size() == 0; }
  /// Whether maxsize items wait; never of an unbounded queue.
  [[nodiscard]] bool full() const { return core_->full(); }

  /// A descriptor for poll and epoll, level- or edge-triggered: readable when an item waits, and
  /// after a shutdown. It is the same object in every process, belongs to the queue, and is not to
  /// be read from or written to. Each waiter takes with `try_get` until that finds nothing, which
  /// arms the next edge; one may come with nothing behind it. The first call of a process has a
  /// price from then on until its last handle is gone: a system call for the first item put into
  /// an empty queue, and one for the last item taken.
  [[nodiscard]] int fd() const { return core_->fd(); }
  // For the library: wait_any.
  [[nodiscard]] detail::WaitSource& wait_source() const { return *core_; }

  /// This process is done with the queue; what it has put is still delivered. A single producer or
  /// consumer (QueueOptions) that calls it makes room for the next at once; if another thread
  /// calls it, that thread has to end first.
  void close() { core_->close(); }
  /// Waits until what this process has put can be taken by others.
  void join_thread() { (void)core_->join_thread(detail::Deadline::never()); }
  /// \returns false when it could not be finished; the log says how many items are left
  template <class Rep, class Period>
  [[nodiscard]] bool join_thread_for(std::chrono::duration<Rep, Period> timeout) {
    return core_->join_thread(detail::Deadline::after(timeout));
  }
  /// Lets this process end without delivering what is buffered: items may be lost.
  void cancel_join_thread() { core_->cancel_join_thread(); }

  /// Ends the queue for every process: put throws ShutDown at once, get takes what is there and
  /// then throws ShutDown. First delivers what this process has buffered, and waits for room to.
  /// \param immediate get throws at once, what is in the queue is lost
  void shutdown(bool immediate = false) { core_->shutdown(immediate); }

  /// Takes items one after another; the end is reached when the queue was shut down and is empty.
  using Iterator = detail::QueueIterator<Queue, T>;
  /// Waits for the first item.
  [[nodiscard]] Iterator begin() { return Iterator(this); }
  /// Reached when the queue was shut down and is empty.
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }

  // For the library: crossing to another process.
  void save(detail::Encoder& to) const { core_->hand_over(to); }
  [[nodiscard]] static Queue detail_decode(detail::Decoder& from) {
    return Queue(
        detail::ByteQueue::adopt(from, detail::fingerprint<T>(), detail::QueueKind::plain));
  }

 protected:
  Queue(const QueueOptions& options, detail::QueueKind kind)
      : core_(detail::ByteQueue::create(options, detail::fingerprint<T>(), kind)) {}
  explicit Queue(std::shared_ptr<detail::ByteQueue> core) : core_(std::move(core)) {}

  [[nodiscard]] detail::ByteQueue& core() const noexcept { return *core_; }

 private:
  bool put_before(const T& value, detail::Deadline deadline) {
    const detail::OutgoingValue<T> encoded(value, detail::Route::queue);
    return core_->put(encoded.message(), deadline);
  }
  std::optional<T> get_before(detail::Deadline deadline) {
    detail::IncomingValue<T> item;
    if (!core_->get(item.message(), deadline)) return std::nullopt;
    return item.take(detail::Route::queue, "Queue::get");
  }

  std::shared_ptr<detail::ByteQueue> core_;
};

/// A Queue that knows when everything put into it has been dealt with.
///
/// Every item that is taken must be finished with `task_done` by the process that took it. `join`
/// waits until nothing waits and nothing is unfinished. An item put before the `task_done` of the
/// item that led to it is always waited for.
template <class T>
class JoinableQueue : public Queue<T> {
 public:
  /// As for Queue.
  explicit JoinableQueue(std::size_t maxsize = 0)
      : JoinableQueue(QueueOptions{.maxsize = maxsize}) {}
  /// As for Queue.
  explicit JoinableQueue(QueueOptions options) : Queue<T>(options, detail::QueueKind::joinable) {}

  /// As for Queue.
  [[nodiscard]] static JoinableQueue create(std::string_view name, QueueOptions options = {}) {
    return JoinableQueue(detail::ByteQueue::create(options, detail::fingerprint<T>(),
                                                   detail::QueueKind::joinable, name));
  }
  /// As for Queue.
  [[nodiscard]] static JoinableQueue open(std::string_view name) {
    return JoinableQueue(
        detail::ByteQueue::open(name, detail::fingerprint<T>(), detail::QueueKind::joinable));
  }

  /// One item that this process took is dealt with. \throws Error when called more often than it
  /// took
  void task_done() { this->core().task_done(); }
  /// Waits until everything is dealt with.
  /// \throws OwnerDied naming a process that died with items it had taken and not finished: those
  ///   count as finished from then on, so that one caller is told once and a further join can
  ///   succeed
  void join() { (void)this->core().join(detail::Deadline::never()); }
  /// \returns false when something was unfinished
  template <class Rep, class Period>
  [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> timeout) {
    return this->core().join(detail::Deadline::after(timeout));
  }

  // For the library: crossing to another process.
  [[nodiscard]] static JoinableQueue detail_decode(detail::Decoder& from) {
    return JoinableQueue(
        detail::ByteQueue::adopt(from, detail::fingerprint<T>(), detail::QueueKind::joinable));
  }

 private:
  explicit JoinableQueue(std::shared_ptr<detail::ByteQueue> core) : Queue<T>(std::move(core)) {}
};

/// The least that a queue can be: no feeder thread and no limit in items; `put` waits for room in
/// the shared memory.
template <class T>
class SimpleQueue {
  static_assert(Sendable<T>, "SimpleQueue<T>: T must be Sendable (no pointers, references, views)");

 public:
  using value_type = T;
  using TandemHandle = void;

  /// Anonymous: who is given a copy, as an argument or in a message, shares it.
  /// \throws SystemError when there is no shared memory or descriptor left
  SimpleQueue()
      : core_(detail::ByteQueue::create(QueueOptions{}, detail::fingerprint<T>(),
                                        detail::QueueKind::simple)) {}

  /// \throws Closed; what encoding `value` throws
  void put(const T& value) {
    const detail::OutgoingValue<T> encoded(value, detail::Route::queue);
    (void)core_->put(encoded.message(), detail::Deadline::never());
  }
  /// Waits for an item. \throws Closed, DecodeError
  [[nodiscard]] T get() {
    detail::IncomingValue<T> item;
    (void)core_->get(item.message(), detail::Deadline::never());
    return item.take(detail::Route::queue, "SimpleQueue::get");
  }
  /// Whether no item waits. A snapshot.
  [[nodiscard]] bool empty() const { return core_->size() == 0; }
  /// As for Queue.
  [[nodiscard]] int fd() const { return core_->fd(); }
  // For the library: wait_any.
  [[nodiscard]] detail::WaitSource& wait_source() const { return *core_; }
  /// For this process.
  void close() { core_->close(); }

  // For the library: crossing to another process.
  void save(detail::Encoder& to) const { core_->hand_over(to); }
  [[nodiscard]] static SimpleQueue detail_decode(detail::Decoder& from) {
    return SimpleQueue(
        detail::ByteQueue::adopt(from, detail::fingerprint<T>(), detail::QueueKind::simple));
  }

 private:
  explicit SimpleQueue(std::shared_ptr<detail::ByteQueue> core) : core_(std::move(core)) {}

  std::shared_ptr<detail::ByteQueue> core_;
};

}  // namespace tandem
