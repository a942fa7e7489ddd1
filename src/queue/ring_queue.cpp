#include "queue/ring_queue.hpp"

#include <algorithm>
#include <cstring>
#include <exception>

#include "base/text.hpp"
#include "os/memfd.hpp"
#include "queue/hold.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

namespace {

using shm::Cursor;
using shm::record_bytes;
using shm::RecordHeader;
using shm::RecordKind;

constexpr std::size_t kStreamPrefix = sizeof(std::uint64_t);  // a stream begins with its size

std::span<const std::byte> bytes_of(const std::uint64_t& word) {
  return std::as_bytes(std::span(&word, 1));
}

}  // namespace

/// Tells producers that have a buffer not to wait for put_lock meanwhile.
class RingQueue::Keep {
 public:
  explicit Keep(RingQueue& queue)
      : word_(queue.header_->put_lock_kept), before_(word_.load(std::memory_order_relaxed)) {
    word_.store(1, std::memory_order_relaxed);
  }
  Keep(const Keep&) = delete;
  Keep& operator=(const Keep&) = delete;
  ~Keep() { word_.store(before_, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t>& word_;
  std::uint32_t before_;  // a stream that waits for room keeps it all the while
};

Takers& RingQueue::takers() {
  if (!takers_) throw Error(concat("Queue on ", name_, ": only a JoinableQueue can be joined"));
  return *takers_;
}

void RingQueue::settle_takers() {
  if (!takers().died_taking()) return;
  Hold gets(*this, get_side_);
  (void)gets.acquire_beside(Deadline::now());  // whoever has it instead has settled
}

bool RingQueue::finished() const noexcept {
  for (;;) {
    const Cursor tail = ring_.tail();
    const Cursor head = ring_.head();
    if (head.position() != tail.position() || !takers_->none_held()) return false;
    if (ring_.head() == head && ring_.tail() == tail) return true;
  }
}

void RingQueue::throw_shut_down(const char* call) const {
  throw ShutDown(concat(call, " on ", name_, ": the queue was shut down"));
}

void RingQueue::check_open(const char* call) const {
  if (state() != QueueState::open) throw_shut_down(call);
}

void RingQueue::wake(os::FutexWord& parked) {
  if (ring_.take_parked(parked)) os::futex_wake(parked, 1);
}

// Held: put_lock.
void RingQueue::advance_tail(Cursor tail, std::size_t items, Backlog* from) {
  bell_.announce();
  if (from == nullptr || items == 0) {
    ring_.publish(tail);
  } else {
    from->move(items, [&] { ring_.publish(tail); });
  }
  wake(ring_.state().reader_parked);
}

// Held: get_lock. What is passed has been copied out, and from here on is this process's.
void RingQueue::advance_head(Cursor from, std::size_t bytes, std::uint32_t items) {
  if (takers_ && items != 0) takers_->take(from, items);
  ring_.consume(from.advanced(bytes, items));
  if (takers_ && items != 0) takers_->taken(items);
  wake(ring_.state().writer_parked);
}

// Held: get_lock. The rest of a message whose beginning went with a consumer that died.
void RingQueue::skip(RecordHeader header) {
  const bool last = header.kind() == RecordKind::last;
  // Before, so that a join never sees it neither waiting nor lost.
  if (takers_ && last) takers_->lose_one();
  ring_.consume(ring_.head().advanced(record_bytes(header.size()), last ? 1 : 0));
  wake(ring_.state().writer_parked);
}

bool RingQueue::room_now(std::size_t bytes) const {
  return (maxsize_ == 0 || ring_.items() < maxsize_) && ring_.free_bytes() >= bytes;
}

// Held: the lock of the side that waits, so that nobody else sleeps on its word.
template <class There, class Plenty>
bool RingQueue::wait(There there, Plenty plenty, os::SpinBudget& budget, os::FutexWord& parked,
                     Deadline deadline) {
  // Every look takes a cache line from the other side, which is at work. So the first looks are far
  // between, and for more than the next item needs: then the next ones need no look at all.
  if (os::usable_cpus() > 1) {
    for (int pauses = 8; pauses <= 32; pauses *= 2) {
      for (int i = 0; i < pauses; ++i) os::cpu_relax();
      if (plenty()) return true;
    }
  }
  if (budget.spin(there)) return true;
  const long long start = os::SpinBudget::now_ns();
  bool found = false;
  do {
    ring_.announce(parked);
    if (!there()) os::futex_wait(parked, 1, deadline.earlier(Deadline::after(os::kSlice)));
    found = there();
  } while (!found && !deadline.passed());
  parked.store(0, std::memory_order_relaxed);
  budget.slept(os::SpinBudget::now_ns() - start);
  return found;
}

// Held: put_lock.
bool RingQueue::wait_for_room(std::size_t bytes, Deadline deadline) {
  const Cursor tail = ring_.tail();
  const auto there = [&] {
    return (ring_.room(tail, bytes) >= bytes &&
            (maxsize_ == 0 || ring_.fewer_items(tail, maxsize_))) ||
           state() != QueueState::open;
  };
  if (there()) [[likely]]
    return true;
  if (deadline.is_now()) return false;
  const Keep keep(*this);
  const auto plenty = [&] {
    const std::size_t many = std::min(bytes + ring_.capacity() / 16, ring_.capacity());
    return state() != QueueState::open ||
           (ring_.room(tail, many) >= many && (maxsize_ == 0 || ring_.fewer_items(tail, maxsize_)));
  };
  return wait(there, plenty, room_spin_, ring_.state().writer_parked, deadline);
}

// Held: get_lock.
bool RingQueue::wait_for_data(Deadline deadline) {
  const Cursor head = ring_.head();
  const auto there = [&] { return ring_.published(head) != 0 || state() != QueueState::open; };
  if (there()) [[likely]]
    return true;
  if (deadline.is_now()) return false;
  return wait(there, there, data_spin_, ring_.state().reader_parked, deadline);
}

bool RingQueue::put(const Outgoing& message, Deadline deadline, Backlog* from) {
  check_open("Queue::put");
  if (!fits_whole(message.bytes.size())) return put_stream(message, deadline, from);

  const std::size_t bytes = record_bytes(message.bytes.size());
  Hold hold(*this, put_side_);
  const bool acquired = from != nullptr     ? hold.acquire_beside(deadline)
                        : deadline.is_now() ? acquire_to_try(hold, bytes)
                                            : hold.acquire(deadline);
  if (!acquired) return false;
  const bool room = wait_for_room(bytes, deadline);
  if (room) {
    check_open("Queue::put");
    const Cursor tail = ring_.tail();
    ring_.write(tail, RecordKind::whole, false, message.type, message.bytes);
    // A stream that its writer's death broke off ends here.
    advance_tail(tail.with_streaming(false).advanced(bytes, 1), 1, from);
  }
  hold.went_well(room);
  return room;
}

// Without a wait if need be: `deadline` is now.
bool RingQueue::acquire_to_try(Hold& hold, std::size_t bytes) {
  const auto wanted = [&] { return put_side_.promised() || room_now(bytes); };
  return wanted() && hold.acquire_briefly(wanted);
}

void RingQueue::check_may_buffer() {
  if (put_side_.is_mine()) return;
  Hold hold(*this, put_side_);
  (void)hold.acquire(Deadline::never());
  hold.went_well(true);
}

bool RingQueue::put_if_free(const Outgoing& message) {
  check_open("Queue::put");
  const std::size_t bytes = record_bytes(message.bytes.size());
  Hold hold(*this, put_side_);
  if (!acquire_if_free(hold, bytes)) return false;
  const Cursor tail = ring_.tail();
  ring_.write(tail, RecordKind::whole, false, message.type, message.bytes);
  advance_tail(tail.with_streaming(false).advanced(bytes, 1), 1, nullptr);
  hold.went_well(true);
  return true;
}

// Whether put_lock is held now and there is room; never waits for one who keeps it.
bool RingQueue::acquire_if_free(Hold& hold, std::size_t bytes) {
  const auto kept = [&] { return header_->put_lock_kept.load(std::memory_order_relaxed) != 0; };
  const auto wanted = [&] { return !kept() && (put_side_.promised() || room_now(bytes)); };
  if (kept() || !hold.acquire_briefly(wanted)) return false;
  if (!wait_for_room(bytes, Deadline::now())) {
    hold.went_well(false);
    return false;
  }
  check_open("Queue::put");
  return true;
}

namespace {

std::size_t next_record_bytes(std::span<const std::byte> records) {
  RecordHeader header;
  std::memcpy(&header, records.data(), sizeof header);
  return record_bytes(header.size());
}

}  // namespace

// Held: put_lock, and there is room for the first.
RingQueue::Moved RingQueue::write_records(std::span<const std::byte> records, Backlog* from) {
  const Cursor tail = ring_.tail();
  const std::size_t room = ring_.room(tail, std::min(records.size(), ring_.capacity()));
  const std::size_t most_items = maxsize_ == 0 ? SIZE_MAX : maxsize_ - ring_.items();
  Moved moved;
  while (moved.bytes < records.size() && moved.items < most_items) {
    const std::size_t next = next_record_bytes(records.subspan(moved.bytes));
    if (moved.bytes + next > room) break;
    moved.bytes += next;
    ++moved.items;
  }
  ring_.write_records(tail, records.first(moved.bytes));
  advance_tail(
      tail.with_streaming(false).advanced(moved.bytes, static_cast<std::uint32_t>(moved.items)),
      moved.items, from);
  return moved;
}

bool RingQueue::room_comes_soon(std::size_t size, const Backlog& backlog) {
  constexpr long long kMost = 50'000;  // ns
  constexpr long long kStill = 5'000;  // ns without any item taken: the consumers are elsewhere
  Cursor head = ring_.head();
  if (head_at_last_wait_.exchange(head.raw(), std::memory_order_relaxed) == head.raw() ||
      os::usable_cpus() == 1) {
    return false;
  }
  // Not for one item alone: the next ones are about to come.
  const std::size_t bytes = record_bytes(size) + ring_.capacity() / 16;
  const long long start = os::SpinBudget::now_ns();
  for (long long now = start, moved = start; now - moved < kStill && now - start < kMost;
       now = os::SpinBudget::now_ns()) {
    if (backlog.items() == 0 && ring_.free_bytes() >= bytes) return true;
    for (int i = 0; i < 8; ++i) os::cpu_relax();
    const Cursor seen = ring_.head();
    if (seen != head) moved = now;
    head = seen;
  }
  return false;
}

RingQueue::Moved RingQueue::put_records(std::span<const std::byte> records, Deadline deadline,
                                        Backlog* from) {
  check_open("Queue::put");
  Hold hold(*this, put_side_);
  if (!(from == nullptr ? hold.acquire(deadline) : hold.acquire_beside(deadline))) return {};
  Moved moved;
  if (wait_for_room(next_record_bytes(records), deadline)) {
    check_open("Queue::put");
    moved = write_records(records, from);
  }
  hold.went_well(moved.items != 0);
  return moved;
}

RingQueue::Moved RingQueue::put_records_if_free(std::span<const std::byte> records) {
  check_open("Queue::put");
  Hold hold(*this, put_side_);
  if (!acquire_if_free(hold, next_record_bytes(records))) return {};
  const Moved moved = write_records(records, nullptr);
  hold.went_well(true);
  return moved;
}

bool RingQueue::put_stream(const Outgoing& message, Deadline deadline, Backlog* from) {
  if (deadline.is_now()) {
    throw Error(concat("Queue::try_put on ", name_, ": a message of ",
                       std::to_string(message.bytes.size()), " bytes streams through the ring of ",
                       std::to_string(ring_.capacity()),
                       ", which takes time; use put or put_for, or a larger ring_bytes"));
  }
  Hold hold(*this, put_side_);
  if (!(from == nullptr ? hold.acquire(deadline) : hold.acquire_beside(deadline))) return false;

  const Keep keep(*this);
  const std::uint64_t total = message.bytes.size();
  std::span<const std::byte> prefix = bytes_of(total);
  std::span<const std::byte> rest = message.bytes;
  RecordKind kind = RecordKind::first;
  const auto break_off = [&] {
    if (kind != RecordKind::first) advance_tail(ring_.tail().with_streaming(false), 0, nullptr);
  };
  while (!rest.empty() || kind == RecordKind::first) {
    const std::size_t n = std::min(rest.size(), ring_.chunk_bytes());
    const std::size_t bytes = record_bytes(prefix.size() + n);
    if (n == rest.size() && kind != RecordKind::first) kind = RecordKind::last;
    // maxsize counts whole messages: nobody can add one while this one streams.
    if (!wait_for_room(bytes, deadline)) {
      break_off();
      hold.went_well(false);
      return false;
    }
    if (state() != QueueState::open) {
      break_off();
      throw_shut_down("Queue::put");
    }
    const Cursor tail = ring_.tail();
    const bool last = kind == RecordKind::last;
    ring_.write(tail, kind, false, message.type, rest.first(n), prefix);
    advance_tail(tail.with_streaming(!last).advanced(bytes, last ? 1 : 0), last ? 1 : 0, from);
    rest = rest.subspan(n);
    prefix = {};
    kind = RecordKind::more;
  }
  hold.went_well(true);
  return true;
}

bool RingQueue::take_turn(Hold& hold, Deadline deadline) {
  if (!deadline.is_now()) return hold.acquire(deadline);
  const auto something = [&] {
    return get_side_.promised() || !ring_.empty() || state() != QueueState::open;
  };
  return something() && hold.acquire_briefly(something);
}

// Held: get_lock, the queue is shut down, and the ring looks empty: can nothing come any more? A put
// that saw it open may be about to publish. \returns false when that was not known in time
bool RingQueue::no_put_is_under_way(Deadline deadline) {
  if (deadline.is_now()) deadline = Deadline::after(kBriefHold);
  if (!put_side_.promised()) {
    // It holds the lock until it has published; whoever takes it after us sees the state.
    Hold puts(*this, put_side_);
    return puts.acquire(deadline);
  }
  // The single producer keeps the lock, but says when it is within a put. Either its word is seen
  // here after the fence, or it has yet to look at the state.
  const auto over = [&] {
    return header_->putting.load(std::memory_order_acquire) == 0 || !ring_.empty();
  };
  const auto never = [] { return false; };
  if (!os::heavy_fence()) {
    ring_.state().fences_needed.store(1, std::memory_order_relaxed);
    // A producer that has not read this yet is not ordered. Its store is seen long before that time.
    (void)wait(never, never, data_spin_, ring_.state().reader_parked, Deadline::after(os::kSlice));
  }
  while (!over()) {
    Hold puts(*this, put_side_);
    if (puts.acquire_beside(Deadline::now())) return true;  // its thread has died
    if (deadline.passed()) return false;
    (void)wait(over, over, data_spin_, ring_.state().reader_parked,
               deadline.earlier(Deadline::after(os::kSlice)));
  }
  return true;
}

// Held: get_lock. \returns false when there was no record until the deadline
bool RingQueue::next_record(RecordHeader& header, Deadline deadline) {
  for (;;) {
    const bool there = ring_.peek(ring_.head(), header);
    const QueueState now = state();
    if (now == QueueState::ended) [[unlikely]]
      throw_shut_down("Queue::get");
    if (!there) {
      if (now == QueueState::open) {
        if (!wait_for_data(deadline)) return false;
      } else {
        if (!no_put_is_under_way(deadline)) return false;
        if (ring_.empty()) throw_shut_down("Queue::get");
      }
      continue;
    }
    switch (header.kind()) {
      case RecordKind::whole:
      case RecordKind::first:
        return true;
      case RecordKind::more:
      case RecordKind::last:
        skip(header);
        break;
      default:
        throw DecodeError(concat("Queue::get on ", name_,
                                 ": the shared ring is damaged: unknown kind of record"));
    }
  }
}

bool RingQueue::get(Incoming& into, Deadline deadline) {
  const bool found = take(into, deadline);
  if (bell_.watched()) [[unlikely]]
    tend_bell(found);
  return found;
}

bool RingQueue::take(Incoming& into, Deadline deadline) {
  Hold hold(*this, get_side_);
  if (!take_turn(hold, deadline)) return false;
  const bool got = get_held(into, deadline);
  hold.went_well(got);
  return got;
}

bool RingQueue::get_held(Incoming& into, Deadline deadline) {
  RecordHeader header;
  for (;;) {
    if (!next_record(header, deadline)) return false;
    if (header.kind() == RecordKind::first) {
      if (get_stream(into, header)) return true;
      continue;  // its writer died
    }
    const Cursor head = ring_.head();
    // What these throw leaves the item where it is.
    const bool wanted = into.begin(header.size(), header.size());
    if (wanted) [[likely]] {
      ring_.visit(head, 0, header.size(), [&](auto piece) { into.add(piece); });
      into.type = header.type;
    }
    advance_head(head, record_bytes(header.size()), 1);
    if (!wanted) [[unlikely]] {
      throw DecodeError(concat("Queue::get on ", name_, ": an item of ",
                               std::to_string(header.size()),
                               " bytes is not a value of the queue's type; it was dropped"));
    }
    return true;
  }
}

std::size_t RingQueue::get_records(Batch& into, std::size_t at_most, Deadline deadline) {
  const std::size_t items = take_records(into, at_most, deadline);
  if (bell_.watched()) [[unlikely]]
    tend_bell(items != 0);
  return items;
}

std::size_t RingQueue::take_records(Batch& into, std::size_t at_most, Deadline deadline) {
  Hold hold(*this, get_side_);
  if (!take_turn(hold, deadline)) return 0;
  RecordHeader header;
  if (!next_record(header, deadline) || header.kind() != RecordKind::whole) {
    hold.went_well(false);
    return 0;
  }
  const Cursor head = ring_.head();
  Cursor next = head;
  std::size_t bytes = 0;
  std::size_t items = 0;
  do {
    const std::size_t record = record_bytes(header.size());
    bytes += record;
    next = next.advanced(record, 1);
    ++items;
    // Cursors that were overwritten may make the same bytes seem to wait again and again.
  } while (items < at_most && bytes < kMostTaken && ring_.peek(next, header) &&
           header.kind() == RecordKind::whole &&
           bytes + record_bytes(header.size()) <= ring_.capacity());
  ring_.read_records(head, into.extend(bytes, items), bytes);
  advance_head(head, bytes, static_cast<std::uint32_t>(items));
  hold.went_well(true);
  return items;
}

// Held: get_lock. Whether the writer of the stream that is read up to `head` is gone.
bool RingQueue::stream_broke_off(Cursor head) {
  Cursor tail = ring_.tail();
  if (tail.position() == head.position() && !tail.streaming()) return true;
  Hold puts(*this, put_side_);
  if (!puts.acquire_beside(Deadline::now())) return false;  // the writer is at work
  tail = ring_.tail();
  if (tail.position() != head.position()) return false;  // it went on, and perhaps ended well
  if (tail.streaming()) ring_.publish(tail.with_streaming(false));
  return true;
}

// Held: get_lock. \returns false when the stream broke off: the part is dropped
bool RingQueue::get_stream(Incoming& into, RecordHeader header) {
  Cursor head = ring_.head();
  std::uint64_t total = 0;
  if (header.size() < kStreamPrefix) {
    throw DecodeError(concat("Queue::get on ", name_, ": the shared ring is damaged: no size"));
  }
  ring_.read(head, 0, reinterpret_cast<std::byte*>(&total), sizeof total);
  if (!os::machine_could_hold(total)) {
    throw DecodeError(concat("Queue::get on ", name_, ": the shared ring is damaged: a message of ",
                             "impossible size"));
  }
  // What it throws leaves the message where it is.
  const bool wanted = into.begin(total, header.size() - kStreamPrefix);
  std::exception_ptr failed;  // without memory the rest is taken, too
  into.type = header.type;

  std::size_t done = 0;
  std::size_t skip = kStreamPrefix;
  for (;;) {
    const std::size_t n = header.size() - skip;
    if (n > total - done) {
      throw DecodeError(concat("Queue::get on ", name_, ": the shared ring is damaged: a message ",
                               "is longer than it said"));
    }
    if (wanted && !failed) {
      try {
        ring_.visit(head, skip, n, [&](auto piece) { into.add(piece); });
      } catch (...) {
        failed = std::current_exception();
      }
    }
    done += n;
    skip = 0;
    const bool last = header.kind() == RecordKind::last;
    advance_head(head, record_bytes(header.size()), last ? 1 : 0);
    head = ring_.head();
    if (last) break;

    // From here on the message is finished, past the caller's deadline if need be.
    while (!ring_.peek(head, header)) {
      if (stream_broke_off(head)) return false;
      const auto more = [&] { return !ring_.empty(); };
      (void)wait(more, more, data_spin_, ring_.state().reader_parked, Deadline::after(os::kSlice));
    }
    if (header.kind() != RecordKind::more && header.kind() != RecordKind::last) return false;
  }
  if (failed) std::rethrow_exception(failed);
  if (!wanted || done != total) {
    throw DecodeError(concat("Queue::get on ", name_, ": a message of ", std::to_string(total),
                             " bytes is not a value of the queue's type; it was dropped"));
  }
  return true;
}

void RingQueue::shutdown(bool immediate) {
  auto& word = ring_.state().state;
  const auto wanted =
      static_cast<std::uint32_t>(immediate ? QueueState::ended : QueueState::draining);
  {
    // Whoever has the grip is the only one to silence the bell, so that a death between the two
    // steps is heard.
    const Bell::Grip grip(bell_);
    if (bell_.watched()) bell_.ring();
    std::uint32_t seen = word.load(std::memory_order_relaxed);
    while (seen < wanted && !word.compare_exchange_weak(seen, wanted)) {
    }
  }
  os::full_fence();  // pairs with the one in watch
  if (bell_.watched()) bell_.ring();
  os::futex_wake_all(ring_.state().reader_parked);
  os::futex_wake_all(ring_.state().writer_parked);
}

void RingQueue::watch() {
  bell_.watch();
  // Consumers look at the bell after they have taken what they take: one of the two sees the other.
  // If the system refuses, the bell may be readable once for nothing.
  (void)os::heavy_fence();
  if (ready()) {
    bell_.ring();  // a shutdown may not have seen the watcher
  } else {
    (void)silence_bell();
  }
}

// \returns false when something waits, or somebody stays inside a put
bool RingQueue::silence_bell() {
  const Bell::Grip grip(bell_);
  if (!grip) return false;
  Hold puts(*this, put_side_);
  if (!put_side_.promised()) {
    if (!puts.acquire_briefly([&] { return !ready(); }) || ready()) return false;
    bell_.silence();
  } else {
    // Its lock says nothing about the single producer. It says that it puts before it looks at the
    // bell, and then waits for our grip.
    const std::uint32_t before = bell_.seize();
    if (!(puts.acquire_beside(Deadline::now()) || single_producer_rests()) || ready()) {
      bell_.restore(before);
      return false;
    }
    bell_.silence();
  }
  // A shutdown that lost patience rings after its store.
  if (state() != QueueState::open) bell_.ring();
  return true;
}

// Whether a put of the single producer that has not looked at the bell yet sees what was stored
// there before this call, and no other is under way.
bool RingQueue::single_producer_rests() {
  if (!os::heavy_fence() &&
      ring_.state().fences_needed.exchange(1, std::memory_order_relaxed) == 0) {
    return false;  // it may not have seen this; next time it has
  }
  return header_->putting.load(std::memory_order_acquire) == 0;
}

// After a get. \param found whether it took something
void RingQueue::tend_bell(bool found) {
  if (!found) {
    settle_bell();
  } else if (!ready()) {
    (void)silence_bell();
  }
}

void RingQueue::settle_bell() {
  if (bell_.watched() && !bell_.at_rest() && !silence_bell()) bell_.ring();
}

}  // namespace tandem::detail
