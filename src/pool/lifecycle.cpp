// Workers come and go.
#include <algorithm>
#include <atomic>
#include <exception>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "pool/dispatcher.hpp"
#include "tandem/detail/log.hpp"

namespace tandem::detail {
namespace {

// Workers that die before they begin anything are replaced at once a few times (somebody may be
// killing them), then ever more slowly, then the pool gives up.
constexpr std::size_t kDelays = 12;
constexpr std::chrono::milliseconds kFirstDelay{1};
constexpr std::chrono::milliseconds kStartAgain{100};

std::atomic<std::uint64_t> worker_number{0};

std::string how_it_ended(int exit_code) {
  return exit_code < 0 ? "was killed by signal " + std::to_string(-exit_code)
                       : "exited with code " + std::to_string(exit_code);
}

}  // namespace

std::size_t Dispatcher::wanted() const noexcept {
  const bool idle = unfinished_ == 0 && (joining_ || (closed_ && open_.empty()));
  return broken_ != nullptr || terminated_ || idle ? 0 : size_;
}

bool Dispatcher::vacant() const noexcept {
  return std::none_of(seats_.begin(), seats_.end(),
                      [](const Seat& seat) { return seat.worker.has_value(); });
}

/// Buries the dead, sends home whose time is up, fills empty seats. \returns whether there was any
bool Dispatcher::tend(Lock& lock) {
  if (broken_ != nullptr && (!open_.empty() || !vacant())) end_all(lock, broken_);
  bool moved = false;
  for (Seat& seat : seats_) {
    if (seat.worker && (seat.died || (seat.unusable() && !seat.stopped))) {
      bury(lock, seat);
      moved = true;
    }
  }
  if (joining_ && unfinished_ == 0) {
    // Streams whose input was not read to its end.
    const auto error = std::make_exception_ptr(Closed("ResultStream::next: the pool was closed"));
    while (!open_.empty()) end_batch(*std::shared_ptr<PoolBatch>(open_.back()), error);
  }
  seat_as_many_as_wanted();
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    Seat& seat = seats_[i];
    if (seat.worker && !seat.stopped && !seat.unusable() && seat.verdict == Verdict::none &&
        seat.in_flight.empty() && (i >= wanted() || quota(seat) == 0)) {
      stop_worker(lock, seat);
      moved = true;
    }
  }
  for (std::size_t i = 0; i < std::min(seats_.size(), wanted()); ++i) {
    Seat& seat = seats_[i];
    if (seat.worker || !next_start_.passed()) continue;
    moved = true;
    const std::exception_ptr error = start_worker(lock, seat, i);
    if (error == nullptr) continue;
    // With others at work it may go better later; without any nothing would ever happen.
    if (vacant()) {
      fail_pool(error);
    } else {
      next_start_ = Deadline::after(kStartAgain);
    }
  }
  return moved;
}

/// Seats beyond those wanted go once they are empty.
void Dispatcher::seat_as_many_as_wanted() {
  while (seats_.size() < size_) seats_.emplace_back();
  while (seats_.size() > size_ && !seats_.back().worker) seats_.pop_back();
}

/// When `tend` has something to do though nothing happens.
Deadline Dispatcher::next_look() const noexcept {
  for (std::size_t i = 0; i < std::min(seats_.size(), wanted()); ++i) {
    if (!seats_[i].worker) return next_start_;
  }
  return Deadline::never();
}

/// Leader only. \returns why it could not be started
std::exception_ptr Dispatcher::start_worker(Lock& lock, Seat& seat, std::size_t number) {
  std::optional<WorkerProcess> worker;
  bool cut_off = false;
  std::exception_ptr error;
  lock.unlock();
  try {
    worker.emplace("PoolWorker-" + std::to_string(++worker_number), options_, number,
                   output_.get());
    for (const Call* call : {&options_.initializer, &options_.finalizer}) {
      PoolMessage message;
      if (*call) {
        Encoder encoder(message.bytes, Route::process, &message.descriptors);
        call->encode(encoder);
      }
      worker->pipe.send(std::move(message));
    }
  } catch (const EndOfFile&) {
    cut_off = true;  // dead already: buried in the next round
  } catch (const std::exception& e) {
    log(LogLevel::warning, "Pool: a worker could not be started: ", e.what());
    error = std::current_exception();
  }
  lock.lock();
  if (error == nullptr) {
    // Under the lock: `stats` looks here.
    seat.worker.emplace(std::move(*worker));
    seat.cut_off = cut_off;
    ++seat.workers;
    watcher_.started(seat);
  }
  return error;
}

void Dispatcher::stop_worker(Lock& lock, Seat& seat) {
  seat.stopped = true;
  tell(lock, seat, PoolMessage());
}

/// Sends what is not a chunk.
void Dispatcher::tell(Lock& lock, Seat& seat, PoolMessage message) {
  lock.unlock();
  try {
    seat.worker->pipe.send(std::move(message));
  } catch (const EndOfFile&) {
    seat.cut_off = true;
  }
  lock.lock();
}

/// Takes in what a dead or lost worker left behind, and empties its seat.
void Dispatcher::bury(Lock& lock, Seat& seat) {
  lock.unlock();
  WorkerProcess& worker = *seat.worker;
  if (!seat.died) worker.process.kill();
  worker.process.join();
  const int exit_code = worker.process.exitcode().value_or(255);
  if (output_ != nullptr) output_->finish(worker.output);
  lock.lock();
  // What it had sent counts, however it ended.
  while (!seat.hung_up && drain(lock, seat, static_cast<std::size_t>(-1))) {
  }

  const Slot& slot = worker.slot();
  const Activity activity = slot.activity.load(std::memory_order_relaxed);
  const bool in_task = activity.task() != 0;
  std::exception_ptr pool_error;
  if (!seat.stopped && broken_ == nullptr) {
    const std::string end = how_it_ended(exit_code);
    log(LogLevel::info, "Pool: ", worker.process.name(), ", pid ", std::to_string(worker.pid), ", ",
        end);
    if (activity.kind() == WorkerState::initializing ||
        seat.verdict == Verdict::initializer_timeout) {
      pool_error = initializer_death(seat, end, exit_code);
    }
    if (!seat.in_flight.empty() && activity.task() == seat.in_flight.front()->next_task()) {
      Chunk& chunk = *seat.in_flight.front();
      std::exception_ptr error = outcome_of_death(seat, end, exit_code);
      if (seat.verdict == Verdict::none && !chunk.gives_away_ && !chunk.cancelled_ &&
          chunk.attempts_ < chunk.batch_->options_.retries) {
        ++chunk.attempts_;
        watcher_.attempt_ended(seat, *chunk.batch_, chunk.first_index_ + chunk.done_, {}, error,
                               true);
      } else {
        settle(seat, std::move(error), {}, true);
      }
    }
    if (in_task || slot.tasks_done.load(std::memory_order_relaxed) != 0) {
      fruitless_ = 0;
    } else if (++fruitless_ > 2 * size_ + 2) {
      const std::size_t delays = fruitless_ - 2 * size_ - 2;
      next_start_ = Deadline::after(kFirstDelay * (std::int64_t{1} << std::min(delays, kDelays)));
      if (delays > kDelays && pool_error == nullptr) {
        pool_error = std::make_exception_ptr(WorkerDied(
            concat("Pool: one worker after the other dies before its first task; the last, pid ",
                   std::to_string(worker.pid), ", ", end),
            worker.pid, exit_code));
      }
    }
  } else if (seat.stopped && seat.verdict == Verdict::finalizer_timeout) {
    log(LogLevel::warning, "Pool finalizer: killed ", worker.process.name(), ", pid ",
        std::to_string(worker.pid), ": it took longer than allowed");
  } else if (seat.stopped && exit_code != 0) {
    log(LogLevel::warning, "Pool: ", worker.process.name(), ", pid ", std::to_string(worker.pid),
        ", told to end, ", how_it_ended(exit_code));
  }

  const bool told = seat.stopped || broken_ != nullptr || terminated_;
  watcher_.gone(seat,
                !told           ? Departure::died
                : wanted() != 0 ? Departure::replaced
                                : Departure::ended,
                how_it_ended(exit_code));
  take_back(seat);
  seat.tasks_done += slot.tasks_done.load(std::memory_order_relaxed);
  seat.busy_ns += slot.busy_ns.load(std::memory_order_relaxed);
  seat.worker.reset();
  seat.tasks_sent = 0;
  seat.ready = seat.cut_off = seat.hung_up = seat.died = seat.stopped = false;
  seat.verdict = Verdict::none;
  if (pool_error != nullptr) fail_pool(std::move(pool_error));
  notify(nullptr);
}

/// What the worker will not begin goes back to the front, in its old order: all chunks but the first
/// `kept`.
void Dispatcher::take_back(Seat& seat, std::size_t kept) {
  while (seat.in_flight.size() > kept) {
    std::unique_ptr<Chunk> chunk = std::move(seat.in_flight.back());
    seat.in_flight.pop_back();
    const std::uint32_t tasks = chunk->end_ - chunk->done_;
    sent_ -= tasks;
    seat.tasks_sent -= tasks;
    seat.in_flight_bytes -= chunk->size_bytes();
    seat.estimate_ns -= chunk->estimate_ns_;
    put_back(std::move(chunk));
  }
}

/// From the next round on, every call throws this.
void Dispatcher::fail_pool(std::exception_ptr error) {
  if (broken_ == nullptr) broken_ = std::move(error);
  news_ = true;
}

/// Leader only: no worker is left afterwards, and everything has its outcome.
void Dispatcher::end_all(Lock& lock, const std::exception_ptr& error) {
  lock.unlock();
  for (Seat& seat : seats_) {
    if (seat.worker) seat.worker->process.kill();
  }
  lock.lock();
  for (Seat& seat : seats_) {
    seat.hung_up = true;
    while (!seat.in_flight.empty()) {
      const std::unique_ptr<Chunk> chunk = std::move(seat.in_flight.front());
      seat.in_flight.pop_front();
      sent_ -= chunk->end_ - chunk->done_;
      fail_chunk(*chunk, error);
    }
  }
  while (!open_.empty()) end_batch(*std::shared_ptr<PoolBatch>(open_.back()), error);
  for (Seat& seat : seats_) {
    if (seat.worker) bury(lock, seat);
  }
}

}  // namespace tandem::detail
