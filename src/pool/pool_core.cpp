// The pool's own life.
#include <algorithm>
#include <utility>

#include "base/lazy.hpp"
#include "base/text.hpp"
#include "os/event_fd.hpp"
#include "os/exec.hpp"
#include "os/self.hpp"
#include "os/thread_id.hpp"
#include "pool/dispatcher.hpp"
#include "pool/progress.hpp"
#include "tandem/detail/context.hpp"
#include "tandem/detail/log.hpp"

namespace tandem::detail {
namespace {

// After a caller has led, the background thread gives it this long to come back.
constexpr std::chrono::milliseconds kGrace{1};

/// Pools that are not disposed of yet. At the end of a process they are terminated.
struct Registry {
  std::mutex mutex;
  std::vector<std::weak_ptr<Dispatcher>> pools;
};
constinit base::Lazy<Registry> registry;
constinit std::atomic<bool> end_is_known{false};

// A forked child may make pools of its own. Registered when the library is loaded, before there is a
// second thread that could fork.
[[maybe_unused]] const bool fork_safe =
    (os::at_fork([] { registry->mutex.lock(); }, [] { registry->mutex.unlock(); },
                 [] { registry->mutex.unlock(); }),
     true);

void end_pools() {
  std::vector<std::weak_ptr<Dispatcher>> pools;
  {
    const std::lock_guard lock(registry->mutex);
    pools = registry->pools;
  }
  for (const auto& pool : pools) {
    if (const auto alive = pool.lock()) alive->end_with_process();
  }
}

/// The hook comes too late for a function's static Pool, whose destructor would wait for its tasks:
/// it is destroyed first. The thread-local objects of the thread that ends the program go before
/// both.
struct MainThreadEnd {
  ~MainThreadEnd() {
    const os::ThreadId mine = os::ThreadId::mine();
    const auto thread = static_cast<std::uint32_t>(mine.raw());
    if (thread == static_cast<std::uint32_t>(mine.process())) end_pools();
  }
};

}  // namespace

std::shared_ptr<PoolCore> PoolCore::start(const PoolOptions& options) {
  // Twice does no harm; waiting for another thread would, in a child forked meanwhile.
  if (!end_is_known.load(std::memory_order_acquire)) {
    at_process_end(&end_pools);
    end_is_known.store(true, std::memory_order_release);
  }
  thread_local const MainThreadEnd at_end;
  static_cast<void>(&at_end);
  auto core = std::make_shared<Dispatcher>(options);
  core->start_workers();
  const std::lock_guard lock(registry->mutex);
  auto& pools = registry->pools;
  std::erase_if(pools, [](const auto& pool) { return pool.expired(); });
  pools.push_back(core);
  return core;
}

Dispatcher::Dispatcher(const PoolOptions& options)
    : options_(options),
      maker_(os::process_id()),
      output_(options.tag_output ? std::make_unique<OutputGatherer>() : nullptr),
      watcher_(options.insights),
      size_(options.processes != 0 ? options.processes : cpu_count()),
      seats_(size_),
      bell_(os::make_event_fd()) {}

Dispatcher::~Dispatcher() = default;

void Dispatcher::start_workers() {
  Lock lock(mutex_);
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    const std::exception_ptr error = start_worker(lock, seats_[i], i);
    if (error == nullptr) continue;
    end_all(lock, error);
    std::rethrow_exception(error);
  }
}

void Dispatcher::check_usable(std::string_view call) const {
  if (os::process_id() != maker_)
    throw Error(concat(call, ": the pool belongs to another process"));
  if (broken_ != nullptr) std::rethrow_exception(broken_);
  if (closed_) throw Closed(concat(call, ": the pool is closed"));
}

bool Dispatcher::wait(Lock& lock, const std::shared_ptr<PoolBatch>& batch, bool feeding,
                      Deadline deadline) {
  const bool background = on_background_thread();
  return wait_until(
      lock, batch.get(),
      [&] { return batch->satisfied(background) || (feeding && room_for(*batch) != 0); }, deadline);
}

bool Dispatcher::on_background_thread() const noexcept {
  return std::this_thread::get_id() == background_id_;
}

void Dispatcher::close() {
  Lock lock(mutex_);
  closed_ = true;
  if (leading_ || takeover_) {
    wake_leader();
  } else if (wanted() == 0) {
    const Leadership leadership(*this, lock);
    static_cast<void>(tend(lock));
  }
}

void Dispatcher::cancel_unsent(std::string_view call) {
  const Lock lock(mutex_);
  const auto error = std::make_exception_ptr(Cancelled(concat(call, ": cancelled")));
  const std::vector<std::shared_ptr<PoolBatch>> all = open_;
  for (const auto& batch : all) end_batch(*batch, error);
  wake_leader();
}

void Dispatcher::terminate() {
  Lock lock(mutex_);
  closed_ = true;
  terminated_ = true;
  Follower self;
  self.batch = nullptr;
  while (takeover_) {  // another thread is at it
    followers_.push_back(&self);
    self.wake.wait(lock);
    std::erase(followers_, &self);
  }
  takeover_ = true;
  while (leading_) {
    followers_.insert(followers_.begin(), &self);
    wake_leader();
    self.wake.wait(lock);
    std::erase(followers_, &self);
  }
  {
    const Leadership leadership(*this, lock);
    end_all(lock, std::make_exception_ptr(Cancelled("Pool::terminate: the pool was terminated")));
  }
  watcher_.finish();
  takeover_ = false;
  for (Follower* follower : followers_) follower->wake.notify_one();
}

bool Dispatcher::join(Deadline deadline) {
  Lock lock(mutex_);
  if (!closed_) throw Error("Pool::join: close or terminate the pool first");
  if (on_background_thread()) throw Error("Pool::join: a callback cannot wait for its own end");
  joining_ = true;
  wake_leader();
  const bool ended = wait_until(
      lock, nullptr, [&] { return unfinished_ == 0 && vacant() && callbacks_.empty(); }, deadline);
  if (ended) watcher_.finish();
  return ended;
}

void Dispatcher::dispose(bool terminated) noexcept {
  if (os::process_id() != maker_) {
    // A forked copy: workers and threads are the maker's. Kept, so that nothing is closed or
    // joined.
    new std::shared_ptr<Dispatcher>(shared_from_this());
    return;
  }
  try {
    Lock lock(mutex_);
    const bool in_callback = on_background_thread();
    lock.unlock();
    if (terminated || in_callback) {
      terminate();
    } else {
      close();
      static_cast<void>(join(Deadline::never()));
    }
    std::thread background;
    lock.lock();
    background_ends_ = true;
    wake_leader();
    background_wake_.notify_one();
    background = std::move(background_);
    lock.unlock();
    if (in_callback) {
      background.detach();  // this thread
    } else if (background.joinable()) {
      background.join();
    }
    output_.reset();
  } catch (const std::exception& error) {
    log(LogLevel::error, "Pool: ", error.what());
  }
}

void Dispatcher::end_with_process() noexcept {
  if (os::process_id() != maker_) return;
  try {
    terminate();
  } catch (const std::exception& error) {
    log(LogLevel::error, "Pool: ", error.what());
  }
}

void Dispatcher::resize(std::size_t processes) {
  if (processes == 0) throw Error("Pool::resize: a pool needs a worker; close() it to end them");
  Lock lock(mutex_);
  check_usable("Pool::resize");
  size_ = processes;
  if (leading_ || takeover_) {
    wake_leader();
    return;
  }
  const Leadership leadership(*this, lock);
  static_cast<void>(tend(lock));
}

std::size_t Dispatcher::size() const {
  const Lock lock(mutex_);
  return size_;
}

PoolStats Dispatcher::stats() const {
  const Lock lock(mutex_);
  PoolStats stats;
  stats.queued = unfinished_ - sent_;
  stats.running = sent_;
  stats.done = done_;
  stats.failed = failed_;
  const duration age = std::chrono::steady_clock::now() - made_;
  for (const Seat& seat : seats_) {
    WorkerStats& worker = stats.workers.emplace_back();
    std::uint64_t busy_ns = seat.busy_ns;
    worker.tasks_done = seat.tasks_done;
    worker.restarts = seat.workers > 1 ? seat.workers - 1 : 0;
    if (seat.worker) {
      worker.pid = seat.worker->pid;
      worker.tasks_done += seat.worker->slot().tasks_done.load(std::memory_order_relaxed);
      busy_ns += seat.worker->slot().busy_ns.load(std::memory_order_relaxed);
    }
    worker.busy = duration(static_cast<std::int64_t>(busy_ns));
    worker.idle = std::max(age - worker.busy, duration::zero());
  }
  return stats;
}

PoolInsights Dispatcher::insights() const {
  const Lock lock(mutex_);
  PoolInsights insights = watcher_.insights();
  for (const Seat& seat : seats_) watcher_.add_running(seat, insights);
  return insights;
}

void Dispatcher::trace_to(const std::filesystem::path& path) {
  const Lock lock(mutex_);
  check_usable("Pool::trace_to");
  watcher_.trace_to(path);
  for (const Seat& seat : seats_) {
    if (seat.worker) watcher_.introduce(seat);
  }
}

void Dispatcher::run_callbacks(Lock& lock, const std::shared_ptr<PoolBatch>& batch) {
  if (!batch->complete()) return;
  if (background_ended_) {
    run_batch_callbacks(lock, batch);
  } else {
    queue_callbacks(batch);
  }
}

/// Called with the lock, which is not held while callbacks run.
void Dispatcher::run_batch_callbacks(Lock& lock, const std::shared_ptr<PoolBatch>& batch) {
  batch->callbacks_queued_ = false;
  auto callbacks = batch->take_callbacks();
  lock.unlock();
  for (const auto& callback : callbacks) {
    try {
      callback();
    } catch (const std::exception& error) {
      log(LogLevel::error, batch->name(), ": a callback threw: ", error.what());
    } catch (...) {
      log(LogLevel::error, batch->name(), ": a callback threw what is no std::exception");
    }
  }
  callbacks.clear();
  lock.lock();
  batch->callbacks_ran();
  notify(batch.get());
  if (callbacks_.empty()) notify(nullptr);
  wake_leader();  // it may be the one that waits for this
}

void Dispatcher::lead_in_background(Lock& lock) {
  const auto done = [this] {
    return background_ends_ || !callbacks_.empty() || !followers_.empty() || background_tasks_ == 0;
  };
  try {
    lead(lock, done, Deadline::never());
  } catch (const std::exception& error) {
    log(LogLevel::error, "Pool: ", error.what());
    fail_pool(std::current_exception());
    background_wake_.wait_for(lock, kGrace);
  }
}

void Dispatcher::background() {
  Lock lock(mutex_);
  for (;;) {
    if (!callbacks_.empty()) {
      const std::shared_ptr<PoolBatch> batch = std::move(callbacks_.front());
      callbacks_.pop_front();
      run_batch_callbacks(lock, batch);
    } else if (background_ends_) {
      break;
    } else if (background_tasks_ == 0) {
      background_wake_.wait(lock);
    } else if (leading_ || takeover_ || !followers_.empty() ||
               std::exchange(led_by_caller_, false)) {
      background_wake_.wait_for(lock, kGrace);
    } else {
      lead_in_background(lock);
    }
  }
  background_ended_ = true;
}

}  // namespace tandem::detail
