#include "pool/watcher.hpp"

#include <algorithm>
#include <utility>

#include "os/spin.hpp"

namespace tandem::detail {
namespace {

std::uint64_t now_ns() noexcept { return static_cast<std::uint64_t>(os::SpinBudget::now_ns()); }

/// Clocks of two processes are one, but who died may have been between two stores.
std::uint64_t less(std::uint64_t to_ns, std::uint64_t from_ns) noexcept {
  return to_ns > from_ns ? to_ns - from_ns : 0;
}

std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

/// Adds up the parts of a process's life, and what it did.
void add(WorkerInsights& to, const WorkerLife& life, const Slot& slot, std::uint64_t busy_ns) {
  const auto add_ns = [](duration& sum, std::uint64_t ns) {
    sum += duration(static_cast<std::int64_t>(ns));
  };
  const std::uint64_t ready_ns = life.ready_ns != 0 ? life.ready_ns : life.gone_ns;
  const std::uint64_t usable_ns = life.initializer_ns != 0 ? life.initializer_ns : ready_ns;
  add_ns(to.start_up, less(usable_ns, life.began_ns));
  add_ns(to.initializer, less(ready_ns, usable_ns));
  add_ns(to.busy, busy_ns);
  add_ns(to.idle, less(life.gone_ns, ready_ns + busy_ns));
  to.tasks += slot.tasks_done.load(std::memory_order_relaxed);
  to.name = life.name;
  to.pid = life.pid;
}

/// Time in tasks until now: the one that is being run is in the sum only later.
std::uint64_t busy_until(std::uint64_t now_ns, const Slot& slot) noexcept {
  std::uint64_t busy_ns = slot.busy_ns.load(std::memory_order_relaxed);
  if (slot.activity.load(std::memory_order_acquire).kind() == WorkerState::running) {
    const std::uint64_t began_ns = slot.since_ns.load(std::memory_order_relaxed);
    if (began_ns != 0) busy_ns += less(now_ns, began_ns);
  }
  return busy_ns;
}

}  // namespace

Watcher::Watcher(bool insights) noexcept : insights_(insights), made_ns_(now_ns()) {}

void Watcher::trace_to(const std::filesystem::path& path) {
  std::unique_ptr<TraceWriter> trace = open_trace(path, made_ns_);
  finish();
  trace_ = std::move(trace);
}

void Watcher::introduce(const Seat& seat) {
  const WorkerLife life = life_of(seat);
  trace_->started(life);
  if (seat.ready) trace_->ready(life);
}

void Watcher::finish() noexcept {
  if (trace_ != nullptr) trace_->finish();
  trace_ = nullptr;
}

WorkerLife Watcher::life_of(const Seat& seat) const {
  const WorkerProcess& worker = *seat.worker;
  const Slot& slot = worker.slot();
  WorkerLife life;
  life.number = lanes_[*seat.lane].number;
  life.lane = *seat.lane;
  life.name = worker.process.name();
  life.pid = worker.pid;
  life.began_ns = worker.began_ns;
  life.ready_ns = slot.ready_ns.load(std::memory_order_acquire);
  life.initializer_ns = slot.initializer_ns.load(std::memory_order_relaxed);
  return life;
}

void Watcher::started(Seat& seat) {
  if (!seat.lane) {
    seat.lane = lanes_.size();
    lanes_.emplace_back();
  }
  Lane& lane = lanes_[*seat.lane];
  if (lane.workers++ != 0) ++lane.sum.restarts;
  lane.number = ++workers_;
  if (trace_ != nullptr) trace_->started(life_of(seat));
}

void Watcher::ready(const Seat& seat) {
  if (trace_ != nullptr) trace_->ready(life_of(seat));
}

void Watcher::attempt_ended(const Seat& seat, PoolBatch& batch, std::size_t index, TaskTimes times,
                            const std::exception_ptr& error, bool died) {
  if (!timed()) return;
  if (died) {
    times.began_ns = seat.worker->slot().since_ns.load(std::memory_order_relaxed);
    times.ran_ns = less(now_ns(), times.began_ns);
  }
  if (times.began_ns == 0) return;
  TaskRun task;
  task.title = batch.title();
  task.single = batch.total_ == 1;
  task.call = batch.number_;
  task.index = index;
  task.began_ns = times.began_ns;
  task.ran_ns = times.ran_ns;
  task.outcome = died ? Outcome::died : error != nullptr ? Outcome::error : Outcome::value;
  keep_if_slow(seat, task);
  if (trace_ == nullptr) return;
  number_kind(batch);
  task.kind = batch.kind_;
  std::string text;
  if (error != nullptr) text = text_of(error);
  task.error = text;
  trace_->task(life_of(seat), task);
}

void Watcher::gone(const Seat& seat, Departure departure, std::string_view how) {
  WorkerLife life = life_of(seat);
  life.gone_ns = now_ns();
  const Slot& slot = seat.worker->slot();
  add(lanes_[*seat.lane].sum, life, slot, busy_until(life.gone_ns, slot));
  if (trace_ != nullptr) trace_->gone(life, departure, how);
}

PoolInsights Watcher::insights() const {
  PoolInsights all;
  for (const Lane& lane : lanes_) all.workers.push_back(lane.sum);
  for (const Slow& slow : slowest_) {
    all.slowest.push_back({.call = slow.title,
                           .number = slow.call,
                           .index = slow.index,
                           .took = duration(static_cast<std::int64_t>(slow.ran_ns)),
                           .pid = slow.pid,
                           .failed = slow.failed});
  }
  return all;
}

void Watcher::add_running(const Seat& seat, PoolInsights& to) const {
  if (!seat.worker) return;
  WorkerLife life = life_of(seat);
  life.gone_ns = now_ns();
  const Slot& slot = seat.worker->slot();
  add(to.workers[*seat.lane], life, slot, busy_until(life.gone_ns, slot));
}

void Watcher::keep_if_slow(const Seat& seat, const TaskRun& task) {
  const bool full = slowest_.size() == kSlowest;
  if (full && task.ran_ns <= slowest_.back().ran_ns) return;
  if (full) slowest_.pop_back();
  const auto slower = [&](const Slow& other) { return other.ran_ns >= task.ran_ns; };
  slowest_.insert(std::find_if_not(slowest_.begin(), slowest_.end(), slower),
                  {task.ran_ns, std::string(task.title), task.call, task.index, seat.worker->pid,
                   task.outcome != Outcome::value});
}

/// Past many kinds those that are new count as the one of number 0.
void Watcher::number_kind(PoolBatch& batch) {
  if (batch.kind_ != 0) return;
  const auto key = std::tuple(static_cast<const RunTime*>(batch.run_time_),
                              std::string(batch.title()), batch.total_ == 1);
  const auto known = kinds_.find(key);
  if (known != kinds_.end()) {
    batch.kind_ = known->second;
  } else if (kinds_.size() < kMostKinds) {
    batch.kind_ = kinds_.size() + 1;
    kinds_.emplace(key, batch.kind_);
  }
}

}  // namespace tandem::detail
