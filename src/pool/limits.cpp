// What takes too long, and what is not wanted any more.
#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "os/spin.hpp"
#include "pool/dispatcher.hpp"
#include "tandem/detail/log.hpp"

namespace tandem::detail {
namespace {

// A cancelled task that its worker has not come to yet, but soon may.
constexpr std::chrono::milliseconds kSoon{1};

std::string in_ms(duration d) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g ms",
                std::chrono::duration<double, std::milli>(d).count());
  return text.data();
}

}  // namespace

/// Kills for what has lasted too long or was cancelled; finds out when to look again. \returns
/// whether there was anything to do
bool Dispatcher::enforce_limits() {
  limits_at_ = Deadline::never();
  bool moved = false;
  for (const auto& batch : std::exchange(failing_, {})) {
    batch->input_ended_ = true;
    cancel_rest(*batch);
    check_complete(*batch);
    moved = true;
  }
  for (Seat& seat : seats_) {
    if (!seat.worker || seat.unusable() || seat.verdict != Verdict::none) continue;
    const bool cancelled = !seat.in_flight.empty() && seat.in_flight.front()->cancelled_;
    const std::optional<duration> limit = time_limit(seat);
    if (!cancelled && !limit) continue;
    const Slot& slot = seat.worker->slot();
    const Activity activity = slot.activity.load(std::memory_order_acquire);
    if (!is_at(seat, activity)) {
      // It is not there yet, or what it did is on its way.
      limits_at_ = limits_at_.earlier(Deadline::after(cancelled ? kSoon : *limit));
      continue;
    }
    if (!cancelled) {
      // Of a later task, if not of this one: then it has time still.
      const auto since_ns = static_cast<long long>(slot.since_ns.load(std::memory_order_relaxed));
      const duration left = *limit - duration(os::SpinBudget::now_ns() - since_ns);
      if (left > duration::zero()) {
        limits_at_ = limits_at_.earlier(Deadline::after(left));
        continue;
      }
    }
    const Verdict verdict = cancelled                ? Verdict::task_cancelled
                            : !seat.ready            ? Verdict::initializer_timeout
                            : seat.in_flight.empty() ? Verdict::finalizer_timeout
                                                     : Verdict::task_timeout;
    if (condemn(seat, activity, verdict)) moved = true;
  }
  return moved;
}

/// How long what this worker is at may take.
std::optional<duration> Dispatcher::time_limit(const Seat& seat) const {
  if (!seat.ready) return options_.initializer_timeout;
  if (!seat.in_flight.empty()) return seat.in_flight.front()->batch_->options_.timeout;
  return seat.stopped ? options_.finalizer_timeout : std::nullopt;
}

/// Whether the user's code is running that the limit of this seat is for.
bool Dispatcher::is_at(const Seat& seat, Activity activity) noexcept {
  if (!seat.ready) return activity.kind() == WorkerState::initializing;
  if (seat.in_flight.empty()) return activity.kind() == WorkerState::finishing;
  return activity.kind() == WorkerState::running &&
         activity.task() == seat.in_flight.front()->next_task();
}

/// Kills the worker for what it is doing. \returns false when that has ended meanwhile
bool Dispatcher::condemn(Seat& seat, Activity activity, Verdict verdict) {
  if (!claim(seat.worker->slot(), activity, ClaimKind::kill)) return false;
  seat.verdict = verdict;
  seat.worker->process.kill();
  return true;
}

/// Any thread. \returns whether there was anything that has no outcome yet, nor one on its way
bool Dispatcher::cancel_rest(PoolBatch& batch) {
  bool any = finish_unsent(batch, cancelled(batch));
  for (Seat& seat : seats_) {
    for (const std::unique_ptr<Chunk>& chunk : seat.in_flight) {
      if (chunk->batch_.get() != &batch || chunk->cancelled_) continue;
      chunk->cancelled_ = true;
      std::uint32_t left = chunk->end_ - chunk->done_;
      if (seat.worker && seat.verdict == Verdict::none && chunk == seat.in_flight.front()) {
        const Activity activity = seat.worker->slot().activity.load(std::memory_order_acquire);
        if (activity.task() == chunk->next_task()) {
          --left;
          if (is_at(seat, activity) && condemn(seat, activity, Verdict::task_cancelled)) any = true;
        }
      }
      if (left != 0) any = true;
    }
  }
  wake_leader();
  return any;
}

std::exception_ptr Dispatcher::cancelled(const PoolBatch& batch) {
  return std::make_exception_ptr(Cancelled(concat(batch.name(), ": cancelled")));
}

/// Of the task that the worker was running.
std::exception_ptr Dispatcher::outcome_of_death(const Seat& seat, const std::string& end,
                                                int exit_code) {
  const WorkerProcess& worker = *seat.worker;
  const Chunk& chunk = *seat.in_flight.front();
  const PoolBatch& batch = *chunk.batch_;
  const std::string task = "task " + std::to_string(chunk.first_index_ + chunk.done_);
  const std::string who = concat(worker.process.name(), ", pid ", std::to_string(worker.pid));
  switch (seat.verdict) {
    case Verdict::task_timeout:
      return std::make_exception_ptr(
          TaskTimeout(concat(batch.name(), ": ", task, " was still running after ",
                             in_ms(*batch.options_.timeout), " in ", who, ", which was killed")));
    case Verdict::task_cancelled:
      return std::make_exception_ptr(
          Cancelled(concat(batch.name(), ": ", task, " was cancelled while it ran in ", who)));
    default:
      return std::make_exception_ptr(WorkerDied(
          concat(batch.name(), ": ", who, ", ", end, " in ", task), worker.pid, exit_code));
  }
}

/// Of the pool, when a worker ends in its initializer.
std::exception_ptr Dispatcher::initializer_death(const Seat& seat, const std::string& end,
                                                 int exit_code) const {
  const WorkerProcess& worker = *seat.worker;
  const std::string who = concat(worker.process.name(), ", pid ", std::to_string(worker.pid));
  if (seat.verdict == Verdict::initializer_timeout) {
    return std::make_exception_ptr(
        TimedOut(concat("Pool initializer: still running after ",
                        in_ms(*options_.initializer_timeout), " in ", who, ", which was killed")));
  }
  return std::make_exception_ptr(
      WorkerDied(concat("Pool initializer: ", who, ", ", end), worker.pid, exit_code));
}

}  // namespace tandem::detail
