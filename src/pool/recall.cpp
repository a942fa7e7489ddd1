// Tasks that wait behind another one while a worker has nothing to do are given to that worker.
#include <algorithm>
#include <chrono>
#include <utility>

#include "pool/dispatcher.hpp"

namespace tandem::detail {
namespace {

// A trip to a worker and back with both asleep takes up to a tenth of a millisecond: what is done
// sooner than this is not worth one.
constexpr std::chrono::microseconds kWorthIt{200};

}  // namespace

/// \returns whether anything was taken back
bool Dispatcher::recall_held_up(Lock& lock) {
  bool idle = false;
  for (std::size_t i = 0; i < std::min(seats_.size(), size_) && !idle; ++i) {
    idle = takes_work(seats_[i]) && seats_[i].in_flight.empty();
  }
  if (!idle) return false;
  for (Seat& seat : seats_) {
    if (!seat.worker || seat.unusable() || seat.verdict != Verdict::none || !holds_up(seat)) {
      continue;
    }
    const std::uint64_t task = seat.in_flight.front()->next_task();
    if (seat.holding_task != task) {
      seat.holding_task = task;
      seat.holding_until = Deadline::after(kWorthIt);
    }
    const long long behind_ns = seat.estimate_ns - seat.in_flight.front()->estimate_ns_;
    if (duration(behind_ns) < kWorthIt && !seat.holding_until.passed()) {
      limits_at_ = limits_at_.earlier(seat.holding_until);
    } else if (recall(lock, seat)) {
      return true;
    } else {
      // It is between two tasks, or its outcome is on the way.
      limits_at_ = limits_at_.earlier(Deadline::after(kWorthIt));
    }
  }
  return false;
}

/// Whether a task of this seat waits that could be elsewhere.
bool Dispatcher::holds_up(const Seat& seat) noexcept {
  if (seat.in_flight.empty()) return false;
  const Chunk& front = *seat.in_flight.front();
  return seat.in_flight.size() > 1 || (front.end_ - front.done_ > 1 && front.divisible());
}

/// Takes back what this worker has not begun. \returns false if it is not at the task that the
/// dispatcher believes
bool Dispatcher::recall(Lock& lock, Seat& seat) {
  Chunk& front = *seat.in_flight.front();
  const Activity running(WorkerState::running, front.next_task());
  if (!claim(seat.worker->slot(), running, ClaimKind::alone)) return false;

  seat.alone_task = front.next_task();
  // At once, whatever becomes of the rest. Who was told to end will read that no more comes.
  if (!seat.stopped) tell(lock, seat, end_of_recall());
  take_back(seat, 1);
  const std::uint32_t taken = front.end_ - front.done_ - 1;
  front.end_ -= taken;
  seat.tasks_sent -= taken;
  sent_ -= taken;
  if (front.end_ != front.count_ && front.divisible()) {
    seat.in_flight_bytes -= front.size_bytes();
    if (std::unique_ptr<Chunk> rest = front.split(front.end_)) put_back(std::move(rest));
    seat.in_flight_bytes += front.size_bytes();
  }
  return true;
}

/// A chunk that was taken back may be larger than the next one should be.
void Dispatcher::divide_first(PoolBatch& batch) {
  Chunk& chunk = *batch.ready_.front();
  if (chunk.first_task_ == 0 || !chunk.divisible()) return;
  const std::size_t wanted = chunk.done_ + chunk_size(batch);
  if (wanted >= chunk.count_) return;
  const auto place = batch.ready_.emplace(batch.ready_.begin() + 1);
  batch.ready_bytes_ -= chunk.size_bytes();
  *place = chunk.split(static_cast<std::uint32_t>(wanted));
  batch.ready_bytes_ += chunk.size_bytes();
  if (*place) {
    batch.ready_bytes_ += (*place)->size_bytes();
  } else {
    batch.ready_.erase(place);
  }
}

}  // namespace tandem::detail
