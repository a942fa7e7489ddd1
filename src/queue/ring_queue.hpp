// The queue itself: a ring with a robust lock on each side, for any number of processes and
// threads.
//
// put: take put_lock, wait for room, write beyond tail, publish, wake the reader if it sleeps
// get: take get_lock, wait for data, copy out, consume, wake the writer if it sleeps
//
// Only the holder of a lock sleeps on the ring; the others sleep on the lock. A death needs no
// repair (see shm/ring.hpp): whoever inherits a lock wakes both sides, in case the dead one had not
// got to it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "os/spin.hpp"
#include "queue/backlog.hpp"
#include "queue/bell.hpp"
#include "queue/queue_header.hpp"
#include "queue/takers.hpp"
#include "queue/tenure.hpp"
#include "shm/segment.hpp"
#include "tandem/detail/batch.hpp"
#include "tandem/detail/byte_queue.hpp"

namespace tandem::detail {

class RingQueue {
 public:
  /// \param name for a named queue: it appears under it, whole. \throws SystemError EEXIST
  RingQueue(const QueueOptions& options, std::uint32_t type, QueueKind kind = QueueKind::simple,
            std::string_view name = {});
  /// \throws DecodeError when the segment is no queue of this type, or of another user's
  /// \param bell the descriptor that came with the segment
  RingQueue(shm::Segment segment, Fd bell, std::uint32_t type, QueueKind kind = QueueKind::simple);
  RingQueue(const RingQueue&) = delete;
  RingQueue& operator=(const RingQueue&) = delete;
  ~RingQueue();
  /// The segment and the bell of a queue of that name. \throws SystemError ENOENT
  [[nodiscard]] static std::pair<Fd, Fd> open(std::string_view name);
  /// \returns false when there is no queue of that name
  static bool remove(std::string_view name);
  /// \throws SystemError for what cannot be a name
  [[nodiscard]] static std::string path_of(std::string_view name);

  /// Largest message that goes into the ring as one record.
  [[nodiscard]] std::size_t most_whole() const noexcept { return ring_.most_whole(); }
  [[nodiscard]] bool fits_whole(std::size_t size) const noexcept { return size <= most_whole(); }

  /// \returns false when there was no room until the deadline
  /// \param from where the message is counted until it is in the ring; may be null
  [[nodiscard]] bool put(const Outgoing& message, Deadline deadline, Backlog* from = nullptr);
  /// For who has a buffer to put it into instead: never sleeps, and does not wait for a lock that
  /// is kept.
  [[nodiscard]] bool put_if_free(const Outgoing& message);
  /// For who has a buffer to put it into instead: a moment's patience, less than a wake-up costs,
  /// and only while consumers are seen at work. \param backlog what else must have gone before
  /// \returns whether there is room now
  [[nodiscard]] bool room_comes_soon(std::size_t size, const Backlog& backlog);
  struct Moved {
    std::size_t bytes = 0;
    std::size_t items = 0;
  };
  /// Puts as many whole records as there is room for, at least one.
  /// \returns what was put; nothing when there was no room for the first one until the deadline
  [[nodiscard]] Moved put_records(std::span<const std::byte> records, Deadline deadline,
                                  Backlog* from = nullptr);
  /// The same, as put_if_free.
  [[nodiscard]] Moved put_records_if_free(std::span<const std::byte> records);
  /// Takes at most that many items and kMostTaken bytes.
  /// \returns how many; 0 when there was nothing until the deadline, or when the next item streams
  [[nodiscard]] std::size_t get_records(Batch& into, std::size_t at_most, Deadline deadline);
  /// \returns false when there was nothing until the deadline
  [[nodiscard]] bool get(Incoming& into, Deadline deadline);
  void shutdown(bool immediate);

  /// The caller is not the single producer or consumer any more.
  void resign() noexcept;
  /// For who has a buffer: may the caller put into it? \throws Error when another is the single
  /// producer
  void check_may_buffer();
  /// The side of those who put, for the buffer that takes part in it.
  [[nodiscard]] Tenure& put_side() noexcept { return put_side_; }
  void after_fork_in_child();

  /// Whether `get` would not wait, as far as can be told without waiting for a lock.
  [[nodiscard]] bool ready() const noexcept {
    return !ring_.empty() || state() != QueueState::open;
  }
  /// From now until `unwatch`, `bell` is readable while `ready`, and after a call that found
  /// nothing only then; each time that becomes so is a new edge.
  void watch();
  void unwatch() noexcept { bell_.unwatch(); }
  /// For a forked child whose parent watches.
  void watch_too() noexcept { bell_.watch(); }
  /// For who was woken by the bell and found nothing.
  void settle_bell();
  [[nodiscard]] const Fd& bell() const noexcept { return bell_.descriptor(); }

  /// Of a joinable queue. \throws Error of another
  [[nodiscard]] Takers& takers();
  /// Counts what one was about to take who died in a get, for who takes nothing itself.
  void settle_takers();
  /// Whether nothing waits and nobody holds anything.
  [[nodiscard]] bool finished() const noexcept;

  /// Never more than maxsize, though head and tail cannot be read at one time.
  [[nodiscard]] std::size_t items() const noexcept {
    const std::size_t items = ring_.items();
    return maxsize_ == 0 ? items : std::min(items, maxsize_);
  }
  [[nodiscard]] std::size_t maxsize() const noexcept { return maxsize_; }
  [[nodiscard]] std::size_t buffer_bytes() const noexcept { return buffer_bytes_; }
  [[nodiscard]] QueueKind kind() const noexcept { return kind_; }
  [[nodiscard]] bool empty() const noexcept { return ring_.empty(); }
  [[nodiscard]] const Fd& fd() const noexcept { return segment_.fd(); }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] bool named() const noexcept { return named_; }
  /// \throws DecodeError
  void check_type(std::uint32_t type, QueueKind kind) const;
  /// \throws ShutDown
  void check_open(const char* call) const;

 private:
  class Hold;  // a side's lock, held
  class Keep;  // put_lock, held for long

  [[nodiscard]] QueueState state() const noexcept {
    return static_cast<QueueState>(ring_.state().state.load(std::memory_order_acquire));
  }
  static constexpr std::size_t kMostTaken = std::size_t{1} << 18;

  [[nodiscard]] bool acquire_to_try(Hold& hold, std::size_t bytes);
  [[nodiscard]] static Fd open_bell(const Fd& queue);
  [[nodiscard]] bool take(Incoming& into, Deadline deadline);
  [[nodiscard]] std::size_t take_records(Batch& into, std::size_t at_most, Deadline deadline);
  [[nodiscard]] bool silence_bell();
  void tend_bell(bool found);
  [[nodiscard]] bool acquire_if_free(Hold& hold, std::size_t bytes);
  [[nodiscard]] Moved write_records(std::span<const std::byte> records, Backlog* from);
  [[nodiscard]] bool take_turn(Hold& hold, Deadline deadline);
  [[nodiscard]] bool next_record(shm::RecordHeader& header, Deadline deadline);
  [[nodiscard]] bool room_now(std::size_t bytes) const;
  template <class There, class Plenty>
  [[nodiscard]] bool wait(There there, Plenty plenty, os::SpinBudget& budget, os::FutexWord& parked,
                          Deadline deadline);
  [[nodiscard]] bool wait_for_room(std::size_t bytes, Deadline deadline);
  [[nodiscard]] bool wait_for_data(Deadline deadline);
  [[nodiscard]] bool get_held(Incoming& into, Deadline deadline);
  [[nodiscard]] bool put_stream(const Outgoing& message, Deadline deadline, Backlog* from);
  [[nodiscard]] bool get_stream(Incoming& into, shm::RecordHeader first);
  [[nodiscard]] bool stream_broke_off(shm::Cursor head);
  [[nodiscard]] bool no_put_is_under_way(Deadline deadline);
  [[nodiscard]] bool single_producer_rests();
  void advance_tail(shm::Cursor tail, std::size_t items, Backlog* from);
  void advance_head(shm::Cursor from, std::size_t bytes, std::uint32_t items);
  void skip(shm::RecordHeader header);
  void wake(os::FutexWord& parked);
  void map_header(shm::Segment segment, std::size_t capacity, Fd bell);

  [[noreturn]] void throw_shut_down(const char* call) const;

  shm::Segment segment_;
  QueueHeader* header_ = nullptr;
  shm::Ring ring_;
  Bell bell_;
  // Copies: what another process may overwrite is not asked twice.
  std::size_t maxsize_ = 0;
  std::size_t buffer_bytes_ = 0;
  QueueKind kind_ = QueueKind::plain;
  std::optional<Takers> takers_;  // of a joinable queue
  std::uint32_t type_ = 0;
  std::atomic<std::uint64_t> head_at_last_wait_{0};  // of room_comes_soon
  std::string name_;                                 // for messages
  bool named_ = false;
  Tenure put_side_;
  Tenure get_side_;
  os::SpinBudget room_spin_;  // guarded by put_lock
  os::SpinBudget data_spin_;  // guarded by get_lock
};

}  // namespace tandem::detail
