#include "pool/dispatcher.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "os/event_fd.hpp"
#include "tandem/detail/exception.hpp"
#include "tandem/detail/log.hpp"

namespace tandem::detail {
namespace {

// In flight per worker. What is sent ahead must find room in the pipe without waiting for a worker
// that is busy. Beside tasks longer than kLongTask_ns a trip to the worker is nothing.
constexpr std::size_t kAheadBytes = std::size_t{24} << 10;
constexpr std::size_t kAheadChunks = 64;
constexpr long long kAhead_ns = 8'000'000;
constexpr double kLongTask_ns = 20e6;
// What has never been measured may take long.
constexpr long long kUnknown_ns = 1'000'000;

// Results are left to gather while every worker has that much to do, for half of it at most: to be
// woken for each would cost more than a short task does, and take the CPU from a worker.
constexpr long long kGatherFrom_ns = 100'000;
constexpr long long kLongestGather_ns = 4'000'000;

// Messages taken from one worker before the next one's turn.
constexpr std::size_t kDrainAtOnce = 64;

constexpr double kWeight = 0.25;  // of a new run time in the average
constexpr double kSlower = 8;     // so many times the average is no fluctuation: start anew

}  // namespace

bool Dispatcher::wait_until(Lock& lock, const PoolBatch* batch, const Done& done,
                            Deadline deadline) {
  while (!done()) {
    if (!leading_ && !takeover_) {
      if (!on_background_thread()) led_by_caller_ = true;
      lead(lock, done, deadline);
    } else if (!deadline.is_now()) {
      Follower self;
      self.batch = batch;
      followers_.push_back(&self);
      wake_leader();
      if (deadline.is_never()) {
        self.wake.wait(lock);
      } else {
        self.wake.wait_until(lock, std::chrono::steady_clock::time_point(duration(deadline.ns())));
      }
      std::erase(followers_, &self);
    }
    if (deadline.passed()) {
      pass_on();
      return done();
    }
  }
  pass_on();
  return true;
}

void Dispatcher::lead(Lock& lock, const Done& done, Deadline deadline) {
  const Leadership leadership(*this, lock);
  for (;;) {
    const bool moved = pass(lock);
    if (done() || takeover_) return;
    if (deadline.passed()) return;
    if (!moved) sleep(lock, deadline);
  }
}

/// Without a leader one of those who wait must become it: also the one that leaves may have been
/// chosen.
void Dispatcher::pass_on() noexcept {
  if (!leading_ && !followers_.empty()) followers_.front()->wake.notify_one();
}

void Dispatcher::wake_leader() noexcept {
  news_ = true;
  if (sleeping_) {
    sleeping_ = false;
    os::ring_bell(bell_);
  }
}

/// One round of everything there is to do. \returns whether there was anything
bool Dispatcher::pass(Lock& lock) {
  news_ = false;
  bool moved = tend(lock);
  dispatch(lock);
  for (Seat& seat : seats_) {
    if (seat.worker && !seat.hung_up && drain(lock, seat, kDrainAtOnce)) moved = true;
    if (seat.unusable() && !seat.stopped) moved = true;
  }
  if (enforce_limits()) moved = true;
  if (recall_held_up(lock)) moved = true;
  return moved;
}

void Dispatcher::dispatch(Lock& lock) {
  while (!listed_.empty()) {
    PoolBatch& batch = *listed_.front();
    if (batch.ready_.empty()) {
      batch.last_size_ = chunk_size(batch);
      auto chunk = batch.carve(batch.last_size_);
      chunk->batch_ = batch.shared_from_this();
      batch.ready_bytes_ += chunk->size_bytes();
      batch.ready_.push_back(std::move(chunk));
    }
    divide_first(batch);
    Seat* const seat = choose(*batch.ready_.front(), batch);
    if (seat == nullptr) return;
    std::unique_ptr<Chunk> chunk = std::move(batch.ready_.front());
    batch.ready_.pop_front();
    batch.ready_bytes_ -= chunk->size_bytes();
    listed_.pop_front();
    if (batch.ready_.empty() && batch.to_carve() == 0) {
      batch.listed_ = false;
    } else {
      listed_.push_back(&batch);
    }
    send(lock, *seat, std::move(chunk));
  }
}

std::size_t Dispatcher::quota(const Seat& seat) const noexcept {
  if (options_.max_tasks_per_child == 0) return static_cast<std::size_t>(-1);
  return options_.max_tasks_per_child - seat.tasks_sent;
}

bool Dispatcher::takes_work(const Seat& seat) const noexcept {
  return seat.ready && !seat.unusable() && !seat.stopped && seat.verdict == Verdict::none &&
         quota(seat) != 0;
}

/// The worker that should get this chunk; null while it is better kept.
Seat* Dispatcher::choose(const Chunk& chunk, const PoolBatch& batch) {
  Seat* best = nullptr;
  const double task_ns = batch.run_time_->task_ns;
  const double estimate = task_ns * chunk.count();
  for (std::size_t i = 0; i < std::min(seats_.size(), size_); ++i) {
    Seat& seat = seats_[i];
    if (!takes_work(seat)) continue;
    if (seat.in_flight.empty()) return &seat;
    if (task_ns < 0 || task_ns > kLongTask_ns || chunk.gives_away_) continue;
    if (seat.alone_task == seat.in_flight.front()->next_task()) continue;
    if (seat.in_flight_bytes + chunk.size_bytes() > kAheadBytes) continue;
    const bool one_ahead =
        seat.in_flight.size() == 1 && static_cast<double>(seat.estimate_ns) < kLongTask_ns;
    if (!one_ahead && (seat.in_flight.size() >= kAheadChunks ||
                       static_cast<double>(seat.estimate_ns) + estimate > kAhead_ns)) {
      continue;
    }
    if (best == nullptr || seat.estimate_ns < best->estimate_ns) best = &seat;
  }
  return best;
}

void Dispatcher::send(Lock& lock, Seat& seat, std::unique_ptr<Chunk> chunk) {
  Chunk& c = *chunk;
  c.first_task_ = next_task_;
  next_task_ += c.count_;
  const std::size_t tasks = std::min<std::size_t>(c.count_ - c.done_, quota(seat));
  c.begin_ = c.done_;
  c.end_ = c.begin_ + static_cast<std::uint32_t>(tasks);
  c.estimate_ns_ = estimate_ns(c, tasks);
  seat.tasks_sent += tasks;
  seat.in_flight_bytes += c.size_bytes();
  seat.estimate_ns += c.estimate_ns_;
  sent_ += tasks;
  seat.in_flight.push_back(std::move(chunk));

  ChunkHeader header;
  std::memcpy(&header, c.message_.bytes.data(), sizeof(header));
  header.first_task = c.first_task_;
  header.begin = c.begin_;
  header.end = c.end_;
  header.flags = watcher_.timed() || c.batch_->options_.timeout ? kTimed : 0;
  std::memcpy(c.message_.bytes.data(), &header, sizeof(header));

  sending_ = c.batch_.get();
  lock.unlock();
  try {
    if (!c.message_.descriptors.empty()) {
      // They go with the message, and what the worker never begins is sent again to another.
      c.spare_.clear();
      for (const Fd& fd : c.message_.descriptors) c.spare_.push_back(fd.duplicate());
    }
    seat.worker->pipe.send(std::move(c.message_));  // takes the descriptors, leaves the bytes
    lock.lock();
    sent_one();
  } catch (const EndOfFile&) {
    seat.cut_off = true;
    lock.lock();
    sent_one();
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    lock.lock();
    sent_one();
    const std::unique_ptr<Chunk> unsent = std::move(seat.in_flight.back());
    seat.in_flight.pop_back();
    seat.tasks_sent -= tasks;
    seat.in_flight_bytes -= c.size_bytes();
    seat.estimate_ns -= c.estimate_ns_;
    sent_ -= tasks;
    fail_chunk(c, error);
  }
}

void Dispatcher::sent_one() noexcept {
  sending_ = nullptr;
  if (abandoning_ != 0) sent_one_.notify_all();
}

/// Takes what the worker sent. \returns whether there was anything
bool Dispatcher::drain(Lock& lock, Seat& seat, std::size_t at_most) {
  lock.unlock();
  std::size_t taken = 0;
  try {
    PoolEnd& pipe = seat.worker->pipe;
    while (taken < at_most) {
      const std::size_t n = pipe.visit_small(at_most - taken, [&](std::uint32_t type, auto bytes) {
        require_pool_message(type, "Pool");
        Decoder from(bytes, Route::connection);
        handle(lock, seat, from);
      });
      taken += n;
      if (n != 0) continue;
      std::optional<PoolMessage> message = pipe.try_recv();
      if (!message) break;
      ++taken;
      Decoder from = message->decoder(Route::connection);
      try {
        handle(lock, seat, from);
      } catch (const EndOfFile&) {
        // One that its worker broke off, without memory: the error follows.
        if (from.flow() == nullptr || !from.flow()->broken_off()) throw;
      }
    }
  } catch (const EndOfFile&) {
    seat.hung_up = true;
  } catch (const DecodeError& error) {
    // Not what a worker sends: its memory is damaged. It is killed, as if it had died by itself.
    log(LogLevel::error, "Pool: ", seat.worker->process.name(), ": ", error.what());
    seat.hung_up = true;
  }
  lock.lock();
  return taken != 0;
}

/// Called without the lock. \throws DecodeError when the message is not what the worker should send,
/// EndOfFile when it ends amid it
void Dispatcher::handle(Lock& lock, Seat& seat, Decoder& from) {
  const auto header = from.read_raw<ResultHeader>();
  switch (header.kind) {
    case ResultKind::ready: {
      const Lock held(mutex_);
      seat.ready = true;
      watcher_.ready(seat);
      return;
    }
    case ResultKind::init_failed: {
      std::exception_ptr error = decode_exception(from);
      const Lock held(mutex_);
      fail_pool(std::move(error));
      return;
    }
    case ResultKind::retiring: {
      const Lock held(mutex_);
      seat.stopped = true;
      take_back(seat);
      return;
    }
    case ResultKind::value:
    case ResultKind::error:
      handle_outcome(lock, seat, header, from);
      return;
  }
  throw DecodeError("a result of unknown kind");
}

void Dispatcher::handle_outcome(Lock& lock, Seat& seat, const ResultHeader& header, Decoder& from) {
  if (seat.in_flight.empty()) throw DecodeError("a result of no task");
  Chunk& chunk = *seat.in_flight.front();
  if (header.task != chunk.next_task()) {
    throw DecodeError("a result of another task");
  }
  // Kept beyond the chunk's end: nobody else may be left.
  const std::shared_ptr<PoolBatch> batch = chunk.batch_;
  TaskTimes times;
  if (header.timed != 0) times = from.read_raw<TaskTimes>();
  std::exception_ptr error;
  try {
    if (header.kind == ResultKind::error) {
      error = decode_exception(from);
    } else if (!batch->abandoned_) {
      batch->receive(from);
    }
  } catch (...) {
    if (from.flow() != nullptr && from.flow()->failed()) throw;  // the result did not come whole
    error = std::current_exception();
  }
  lock.lock();
  fruitless_ = 0;
  if (header.run_ns != 0) learn(chunk, *batch, header.run_ns);
  settle(seat, std::move(error), times);
  lock.unlock();
}

/// Remembers how long the elements [begin, end) of a chunk took together.
void Dispatcher::learn(const Chunk& chunk, PoolBatch& batch, std::uint64_t run_ns) {
  RunTime& known = *batch.run_time_;
  const double task_ns = static_cast<double>(run_ns) / (chunk.end_ - chunk.begin_);
  const bool first = known.task_ns < 0;
  if (!first && task_ns <= kSlower * known.task_ns) {
    known.task_ns += kWeight * (task_ns - known.task_ns);
    return;
  }
  known.task_ns = task_ns;
  if (!first) batch.last_size_ = 1;
  for (Seat& seat : seats_) {
    for (const std::unique_ptr<Chunk>& sent : seat.in_flight) {
      if (sent->batch_->run_time_ != &known) continue;
      seat.estimate_ns -= sent->estimate_ns_;
      sent->estimate_ns_ = estimate_ns(*sent, sent->end_ - sent->begin_);
      seat.estimate_ns += sent->estimate_ns_;
    }
  }
}

/// How long so many tasks of this chunk will take.
long long Dispatcher::estimate_ns(const Chunk& chunk, std::size_t tasks) noexcept {
  const double task_ns = chunk.batch_->run_time_->task_ns;
  return task_ns < 0 ? kUnknown_ns : static_cast<long long>(task_ns * static_cast<double>(tasks));
}

/// The next task in flight at this seat has its outcome: the error, or what the batch has received.
void Dispatcher::settle(Seat& seat, std::exception_ptr error, TaskTimes times, bool died) {
  Chunk& chunk = *seat.in_flight.front();
  const std::size_t index = chunk.first_index_ + chunk.done_;
  const std::shared_ptr<PoolBatch> batch = chunk.batch_;
  watcher_.attempt_ended(seat, *batch, index, times, error, died);
  ++chunk.done_;
  chunk.attempts_ = 0;
  --sent_;
  if (chunk.done_ == chunk.end_) {
    std::unique_ptr<Chunk> ended = std::move(seat.in_flight.front());
    seat.in_flight.pop_front();
    seat.in_flight_bytes -= ended->size_bytes();
    seat.estimate_ns -= ended->estimate_ns_;
    if (ended->done_ != ended->count_) put_back(std::move(ended));
  }
  finish_task(*batch, index, std::move(error));
}

/// How long no worker will be without work, whatever becomes of the chunks being run; zero: not
/// long.
duration Dispatcher::time_to_gather() const noexcept {
  long long least_ns = std::numeric_limits<long long>::max();
  for (const Seat& seat : seats_) {
    if (!seat.ready || seat.unusable() || seat.in_flight.empty()) return duration::zero();
    least_ns = std::min(least_ns, seat.estimate_ns - seat.in_flight.front()->estimate_ns_);
  }
  if (least_ns < kGatherFrom_ns) return duration::zero();
  return duration(std::min(least_ns / 2, kLongestGather_ns));
}

void Dispatcher::sleep(Lock& lock, Deadline deadline) {
  if (news_) return;
  sleeping_ = true;
  deadline = deadline.earlier(next_look()).earlier(limits_at_);
  const duration gather = time_to_gather();
  const bool gathers = gather != duration::zero();
  if (gathers) deadline = deadline.earlier(Deadline::after(gather));
  lock.unlock();
  waitables_.clear();
  waitables_.emplace_back(bell_.get());
  for (Seat& seat : seats_) {
    if (!seat.worker) continue;
    waitables_.emplace_back(seat.worker->process);
    if (!seat.hung_up && !gathers) waitables_.emplace_back(seat.worker->pipe);
  }
  std::optional<duration> timeout;
  if (!deadline.is_never()) timeout = deadline.left();
  std::vector<std::size_t> ready;
  try {
    ready = wait_any(waitables_, timeout);
  } catch (...) {
    lock.lock();
    sleeping_ = false;
    throw;
  }
  lock.lock();
  sleeping_ = false;
  auto it = ready.begin();
  if (it != ready.end() && *it == 0) os::silence_bell(bell_);
  std::size_t index = 1;
  for (Seat& seat : seats_) {
    if (!seat.worker) continue;
    if (std::binary_search(ready.begin(), ready.end(), index)) seat.died = true;
    index += seat.hung_up || gathers ? 1 : 2;
  }
}

}  // namespace tandem::detail
