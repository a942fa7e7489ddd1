// Calls and their tasks.
#include <algorithm>
#include <utility>

#include "base/text.hpp"
#include "os/self.hpp"
#include "pool/dispatcher.hpp"
#include "pool/progress.hpp"

namespace tandem::detail {
namespace {

// Work in one chunk, so that its trip costs little beside it.
constexpr double kChunk_ns = 200'000;
constexpr std::size_t kLargestChunk = 4096;

// Encoded and not sent: enough for the next round of dispatching.
constexpr std::size_t kReadyPerWorker = 2;
constexpr std::size_t kReadyShort = 32;  // where tasks are short
constexpr std::size_t kReadyBytes = std::size_t{256} << 10;

constexpr std::size_t kMostRunTimes = 1024;

}  // namespace

void Dispatcher::open(const std::shared_ptr<PoolBatch>& batch, bool in_background) {
  const Lock lock(mutex_);
  check_usable(batch->name());
  batch->number_ = ++calls_;
  batch->run_time_ = &run_time_of(batch->call());
  batch->in_background_ = in_background;
  if (batch->options_.progress.enabled) {
    batch->progress_ = std::make_unique<Progress>(batch->options_.progress, batch->total_);
  }
  batch->place_ = open_.size();
  open_.push_back(batch);
  batch->open_ = true;
  if (in_background && !background_.joinable()) {
    background_ended_ = false;
    background_ = std::thread([self = shared_from_this()] { self->background(); });
    background_id_ = background_.get_id();
  }
}

/// Calls with more and more different states share one average in the end.
RunTime& Dispatcher::run_time_of(const TaskCall& call) {
  const std::uint64_t identity = call.identity();
  const auto known = run_times_.find(identity);
  if (known != run_times_.end()) return known->second;
  return run_times_[run_times_.size() < kMostRunTimes ? identity : 0];
}

void Dispatcher::add(PoolBatch& batch, std::size_t n) {
  batch.added_ += n;
  batch.make_room(batch.added_);
  unfinished_ += n;
  if (batch.in_background_) {
    if (background_tasks_ == 0) background_wake_.notify_one();
    background_tasks_ += n;
  }
}

void Dispatcher::list(PoolBatch& batch, bool first) {
  if (!batch.listed_) {
    batch.listed_ = true;
    if (first) {
      listed_.push_front(&batch);
    } else {
      listed_.push_back(&batch);
    }
  }
  wake_leader();
}

void Dispatcher::unlist(PoolBatch& batch) noexcept {
  if (batch.listed_) std::erase(listed_, &batch);
  batch.listed_ = false;
}

void Dispatcher::submit(const std::shared_ptr<PoolBatch>& batch, std::unique_ptr<Chunk> chunk) {
  Lock lock(mutex_);
  if (batch->input_ended_) return;  // the pool has ended meanwhile
  add(*batch, chunk->count());
  batch->last_size_ = chunk->count();
  batch->ready_bytes_ += chunk->size_bytes();
  chunk->batch_ = batch;
  batch->ready_.push_back(std::move(chunk));
  list(*batch, false);
  dispatch_now(lock, *batch);
}

void Dispatcher::submit_whole(const std::shared_ptr<PoolBatch>& batch, std::size_t n) {
  Lock lock(mutex_);
  if (batch->input_ended_) return;
  add(*batch, n);
  if (n == 0) return;
  list(*batch, false);
  dispatch_now(lock, *batch);
}

/// The caller of an asynchronous call does not wait, but idle workers need not wait for the
/// background.
void Dispatcher::dispatch_now(Lock& lock, const PoolBatch& batch) {
  if (!batch.in_background_ || leading_ || takeover_) return;
  const Leadership leadership(*this, lock);
  dispatch(lock);
}

void Dispatcher::submit_failure(const std::shared_ptr<PoolBatch>& batch, std::exception_ptr error) {
  const Lock lock(mutex_);
  if (batch->input_ended_) return;
  add(*batch, 1);
  finish_task(*batch, batch->added_ - 1, std::move(error));
}

void Dispatcher::end_input(const std::shared_ptr<PoolBatch>& batch, std::exception_ptr error) {
  const Lock lock(mutex_);
  if (batch->input_ended_) return;
  batch->input_ended_ = true;
  if (error != nullptr) batch->input_failed(std::move(error));
  check_complete(*batch);
}

std::size_t Dispatcher::room(const std::shared_ptr<PoolBatch>& batch) {
  const Lock lock(mutex_);
  return room_for(*batch);
}

std::size_t Dispatcher::window(const PoolBatch& batch) const {
  if (!batch.windowed()) return static_cast<std::size_t>(-1);
  return batch.options_.window != 0 ? batch.options_.window : 4 * size_;
}

std::size_t Dispatcher::room_for(const PoolBatch& batch) const {
  if (batch.input_ended_) return 0;
  const double task_ns = batch.run_time_->task_ns;
  const std::size_t enough = task_ns >= 0 && task_ns < kChunk_ns
                                 ? std::max(kReadyPerWorker * size_, kReadyShort)
                                 : kReadyPerWorker * size_;
  if (batch.ready_.size() >= enough || batch.ready_bytes_ > kReadyBytes) return 0;
  const std::size_t n = chunk_size(batch);
  const std::size_t outstanding = batch.outstanding();
  const std::size_t most = window(batch);
  return outstanding < most && most - outstanding >= n ? n : 0;
}

/// How many tasks the next chunk should have.
std::size_t Dispatcher::chunk_size(const PoolBatch& batch) const {
  const std::size_t most = window(batch);
  if (batch.options_.chunksize != 0) return std::min(batch.options_.chunksize, most);
  const double task_ns = batch.run_time_->task_ns;
  if (task_ns < 0) return 1;
  const double fitting = kChunk_ns / std::max(task_ns, 1.0);
  std::size_t n = fitting < static_cast<double>(kLargestChunk) ? static_cast<std::size_t>(fitting)
                                                               : kLargestChunk;
  n = std::min(n, 2 * std::max<std::size_t>(batch.last_size_, 1));
  const std::size_t shares = 2 * size_;
  if (batch.to_carve() != 0) {
    n = std::min(n, batch.to_carve() / shares);
  } else if (batch.total_ && *batch.total_ > batch.added_) {
    n = std::min(n, (*batch.total_ - batch.added_) / shares);
  }
  if (batch.windowed()) n = std::min(n, most / shares);
  return std::max<std::size_t>(n, 1);
}

/// Without an error the batch has received a result.
void Dispatcher::finish_task(PoolBatch& batch, std::size_t index, std::exception_ptr error) {
  ++batch.finished_;
  --unfinished_;
  if (batch.in_background_) --background_tasks_;
  ++done_;
  const bool failed = error != nullptr;
  if (failed) ++failed_;
  if (failed && batch.options_.fail_fast && !batch.failing_) {
    batch.failing_ = true;
    failing_.push_back(batch.shared_from_this());
    wake_leader();
  }
  if (!batch.abandoned_) {
    if (failed) {
      batch.fail(index, std::move(error));
    } else {
      batch.keep(index);
    }
  }
  if (batch.progress_) batch.progress_->advance(failed);
  notify(&batch);
  check_complete(batch);
}

void Dispatcher::fail_chunk(Chunk& chunk, const std::exception_ptr& error) {
  for (; chunk.done_ < chunk.count_; ++chunk.done_) {
    finish_task(*chunk.batch_, chunk.first_index_ + chunk.done_, error);
  }
}

/// \returns whether there was any
bool Dispatcher::finish_unsent(PoolBatch& batch, const std::exception_ptr& error) {
  unlist(batch);
  batch.ready_bytes_ = 0;
  const std::deque<std::unique_ptr<Chunk>> unsent = std::exchange(batch.ready_, {});
  for (const auto& chunk : unsent) fail_chunk(*chunk, error);
  const std::size_t first = batch.drop_rest();
  // All that could be carved was added.
  for (std::size_t index = first; index < batch.added_; ++index) {
    finish_task(batch, index, error);
  }
  return !unsent.empty() || first < batch.added_;
}

/// Of a batch with nothing in flight.
void Dispatcher::end_batch(PoolBatch& batch, const std::exception_ptr& error) {
  if (!batch.input_ended_) {
    batch.input_ended_ = true;
    if (!batch.abandoned_) batch.input_failed(error);
  }
  finish_unsent(batch, error);
  check_complete(batch);
}

bool Dispatcher::cancel(const std::shared_ptr<PoolBatch>& batch) {
  const Lock lock(mutex_);
  return cancel_rest(*batch);
}

void Dispatcher::abandon(const std::shared_ptr<PoolBatch>& batch) noexcept {
  if (os::process_id() != maker_) return;  // a forked copy, where the lock may be held for ever
  Lock lock(mutex_);
  if (batch->complete() || batch->abandoned_) return;
  batch->abandoned_ = true;
  batch->input_ended_ = true;
  finish_unsent(*batch, cancelled(*batch));
  check_complete(*batch);
  // Another leader may be reading what belongs to the owner.
  ++abandoning_;
  while (sending_ == batch.get()) sent_one_.wait(lock);
  --abandoning_;
}

/// What a worker did not begin is the next to be sent.
void Dispatcher::put_back(std::unique_ptr<Chunk> chunk) {
  PoolBatch& batch = *chunk->batch_;
  if (chunk->done_ == chunk->count_) return;
  if (batch.abandoned_ || chunk->cancelled_) {
    fail_chunk(*chunk, cancelled(batch));
    return;
  }
  if (chunk->message_.descriptors.empty()) chunk->message_.descriptors = std::move(chunk->spare_);
  batch.ready_bytes_ += chunk->size_bytes();
  batch.ready_.push_front(std::move(chunk));
  list(batch, true);
}

void Dispatcher::check_complete(PoolBatch& batch) {
  if (!batch.open_ || !batch.complete()) return;
  batch.open_ = false;
  unlist(batch);
  const std::shared_ptr<PoolBatch> self = open_[batch.place_];
  open_.back()->place_ = batch.place_;
  std::swap(open_[batch.place_], open_.back());
  open_.pop_back();
  if (batch.progress_ && !batch.abandoned_) batch.progress_->finish();
  if (batch.has_callbacks()) queue_callbacks(self);
  notify(&batch);
  if (unfinished_ == 0) notify(nullptr);
}

void Dispatcher::notify(const PoolBatch* batch) noexcept {
  for (Follower* follower : followers_) {
    if (follower->batch == batch) follower->wake.notify_one();
  }
}

void Dispatcher::queue_callbacks(const std::shared_ptr<PoolBatch>& batch) {
  if (batch->callbacks_queued_) return;
  batch->callbacks_queued_ = true;
  callbacks_.push_back(batch);
  // The background thread may be the one that leads.
  wake_leader();
  background_wake_.notify_one();
}

}  // namespace tandem::detail
