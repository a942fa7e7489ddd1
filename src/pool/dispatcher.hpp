// Leader and followers: whoever waits for a result does the pool's work.
//
// 1. One thread at a time is the leader (leading_). Seats, and what is in flight at them, are its
//    alone; it sends to workers, receives from them, buries and replaces them, mostly without the
//    lock.
// 2. Everything else is guarded by mutex_. A batch is open from `open` until it is complete, and is
//    kept alive meanwhile.
// 3. A thread that waits while another leads is a follower. The leader wakes it when its batch has
//    something for it; who stops leading wakes one follower, which leads next.
// 4. The background thread leads while tasks of background batches are unfinished and nobody waits.
// 5. What a worker is doing is decided in its Slot (slot.hpp): a task that was killed there has that
//    outcome, one whose outcome the worker was first to announce keeps it.
// 6. A leader that sleeps (sleeping_) is woken by the bell for what it cannot see: new chunks, a
//    follower that wants to lead instead of the background thread, the end of the pool.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "pool/output.hpp"
#include "pool/seat.hpp"
#include "pool/watcher.hpp"
#include "tandem/detail/fd.hpp"
#include "tandem/detail/pool_core.hpp"
#include "tandem/wait.hpp"

namespace tandem::detail {

/// A moving average of how long one task of a call takes.
struct RunTime {
  double task_ns = -1;  // negative: not known
};

class Dispatcher final : public PoolCore, public std::enable_shared_from_this<Dispatcher> {
 public:
  explicit Dispatcher(const PoolOptions& options);
  ~Dispatcher() override;
  void start_workers();
  /// The program ends without having destroyed the pool.
  void end_with_process() noexcept;

  void open(const std::shared_ptr<PoolBatch>& batch, bool in_background) override;
  void submit(const std::shared_ptr<PoolBatch>& batch, std::unique_ptr<Chunk> chunk) override;
  void submit_whole(const std::shared_ptr<PoolBatch>& batch, std::size_t n) override;
  void submit_failure(const std::shared_ptr<PoolBatch>& batch, std::exception_ptr error) override;
  void end_input(const std::shared_ptr<PoolBatch>& batch, std::exception_ptr error) override;
  [[nodiscard]] std::size_t room(const std::shared_ptr<PoolBatch>& batch) override;
  [[nodiscard]] bool wait(Lock& lock, const std::shared_ptr<PoolBatch>& batch, bool feeding,
                          Deadline deadline) override;
  [[nodiscard]] Lock lock() override { return Lock(mutex_); }
  void wake(const PoolBatch& batch) noexcept override { notify(&batch); }
  bool cancel(const std::shared_ptr<PoolBatch>& batch) override;
  void cancel_unsent(std::string_view call) override;
  void abandon(const std::shared_ptr<PoolBatch>& batch) noexcept override;
  void run_callbacks(Lock& lock, const std::shared_ptr<PoolBatch>& batch) override;
  [[nodiscard]] bool on_background_thread() const noexcept override;
  void close() override;
  void terminate() override;
  [[nodiscard]] bool join(Deadline deadline) override;
  void dispose(bool terminated) noexcept override;
  void resize(std::size_t processes) override;
  [[nodiscard]] std::size_t size() const override;
  [[nodiscard]] PoolStats stats() const override;
  [[nodiscard]] PoolInsights insights() const override;
  void trace_to(const std::filesystem::path& path) override;

 private:
  struct Follower {
    std::condition_variable wake;
    const PoolBatch* batch;
  };
  using Done = std::function<bool()>;

  /// While it lives this thread is the leader. Its end takes the lock if need be and wakes who
  /// leads next.
  class Leadership {
   public:
    Leadership(Dispatcher& pool, Lock& lock) noexcept : pool_(pool), lock_(lock) {
      pool_.leading_ = true;
    }
    Leadership(const Leadership&) = delete;
    Leadership& operator=(const Leadership&) = delete;
    ~Leadership() {
      if (!lock_.owns_lock()) lock_.lock();
      pool_.leading_ = false;
      pool_.pass_on();
    }

   private:
    Dispatcher& pool_;
    Lock& lock_;
  };

  // dispatcher.cpp: the leader's work.
  bool wait_until(Lock& lock, const PoolBatch* batch, const Done& done, Deadline deadline);
  void lead(Lock& lock, const Done& done, Deadline deadline);
  void pass_on() noexcept;
  [[nodiscard]] bool pass(Lock& lock);
  void dispatch(Lock& lock);
  void send(Lock& lock, Seat& seat, std::unique_ptr<Chunk> chunk);
  void sent_one() noexcept;
  [[nodiscard]] Seat* choose(const Chunk& chunk, const PoolBatch& batch);
  [[nodiscard]] bool takes_work(const Seat& seat) const noexcept;
  [[nodiscard]] std::size_t quota(const Seat& seat) const noexcept;
  [[nodiscard]] bool drain(Lock& lock, Seat& seat, std::size_t at_most);
  void handle(Lock& lock, Seat& seat, Decoder& message);
  void handle_outcome(Lock& lock, Seat& seat, const ResultHeader& header, Decoder& from);
  void settle(Seat& seat, std::exception_ptr error, TaskTimes times, bool died = false);
  void learn(const Chunk& chunk, PoolBatch& batch, std::uint64_t run_ns);
  [[nodiscard]] static long long estimate_ns(const Chunk& chunk, std::size_t tasks) noexcept;
  void put_back(std::unique_ptr<Chunk> chunk);
  [[nodiscard]] duration time_to_gather() const noexcept;
  void sleep(Lock& lock, Deadline deadline);
  void wake_leader() noexcept;

  // limits.cpp: what takes too long, or is not wanted any more.
  [[nodiscard]] bool enforce_limits();
  [[nodiscard]] std::optional<duration> time_limit(const Seat& seat) const;
  [[nodiscard]] static bool is_at(const Seat& seat, Activity activity) noexcept;
  [[nodiscard]] static bool condemn(Seat& seat, Activity activity, Verdict verdict);
  bool cancel_rest(PoolBatch& batch);
  [[nodiscard]] static std::exception_ptr cancelled(const PoolBatch& batch);
  [[nodiscard]] static std::exception_ptr outcome_of_death(const Seat& seat, const std::string& end,
                                                           int exit_code);
  [[nodiscard]] std::exception_ptr initializer_death(const Seat& seat, const std::string& end,
                                                     int exit_code) const;

  // recall.cpp: what waits behind a task while a worker has nothing to do.
  [[nodiscard]] bool recall_held_up(Lock& lock);
  [[nodiscard]] static bool holds_up(const Seat& seat) noexcept;
  [[nodiscard]] bool recall(Lock& lock, Seat& seat);
  void divide_first(PoolBatch& batch);

  // lifecycle.cpp: workers come and go.
  [[nodiscard]] bool tend(Lock& lock);
  void seat_as_many_as_wanted();
  [[nodiscard]] std::exception_ptr start_worker(Lock& lock, Seat& seat, std::size_t number);
  void bury(Lock& lock, Seat& seat);
  void stop_worker(Lock& lock, Seat& seat);
  void tell(Lock& lock, Seat& seat, PoolMessage message);
  void take_back(Seat& seat, std::size_t kept = 0);
  [[nodiscard]] Deadline next_look() const noexcept;
  void end_all(Lock& lock, const std::exception_ptr& error);
  void fail_pool(std::exception_ptr error);
  [[nodiscard]] std::size_t wanted() const noexcept;
  [[nodiscard]] bool vacant() const noexcept;

  // batches.cpp: calls and their tasks.
  void add(PoolBatch& batch, std::size_t n);
  void list(PoolBatch& batch, bool first);
  void unlist(PoolBatch& batch) noexcept;
  [[nodiscard]] std::size_t room_for(const PoolBatch& batch) const;
  [[nodiscard]] std::size_t chunk_size(const PoolBatch& batch) const;
  [[nodiscard]] std::size_t window(const PoolBatch& batch) const;
  void dispatch_now(Lock& lock, const PoolBatch& batch);
  void finish_task(PoolBatch& batch, std::size_t index, std::exception_ptr error);
  void fail_chunk(Chunk& chunk, const std::exception_ptr& error);
  bool finish_unsent(PoolBatch& batch, const std::exception_ptr& error);
  void end_batch(PoolBatch& batch, const std::exception_ptr& error);
  void check_complete(PoolBatch& batch);
  void notify(const PoolBatch* batch) noexcept;
  [[nodiscard]] RunTime& run_time_of(const TaskCall& call);
  void queue_callbacks(const std::shared_ptr<PoolBatch>& batch);

  // pool_core.cpp: the pool's own life.
  void check_usable(std::string_view call) const;
  void background();
  void lead_in_background(Lock& lock);
  void run_batch_callbacks(Lock& lock, const std::shared_ptr<PoolBatch>& batch);

  const PoolOptions options_;
  const int maker_;  // pid
  const std::chrono::steady_clock::time_point made_ = std::chrono::steady_clock::now();
  mutable std::mutex mutex_;

  std::unique_ptr<OutputGatherer> output_;  // of workers, where it is wanted
  Watcher watcher_;
  std::size_t size_;        // of the pool: how many workers it should have
  std::deque<Seat> seats_;  // stay where they are; added and removed by the leader, under the lock
  std::vector<Waitable> waitables_;
  std::unordered_map<std::uint64_t, RunTime> run_times_;
  std::vector<std::shared_ptr<PoolBatch>> open_;
  std::deque<PoolBatch*> listed_;                    // open batches with something to send, in turn
  std::vector<std::shared_ptr<PoolBatch>> failing_;  // whose rest is to be cancelled
  Deadline limits_at_ = Deadline::never();
  std::uint64_t next_task_ = 1;
  std::uint64_t calls_ = 0;
  std::size_t unfinished_ = 0;
  std::size_t background_tasks_ = 0;  // unfinished ones of background batches
  std::size_t done_ = 0;
  std::size_t failed_ = 0;
  std::size_t sent_ = 0;                // at workers
  const PoolBatch* sending_ = nullptr;  // whose chunk the leader is sending
  std::condition_variable sent_one_;
  std::size_t abandoning_ = 0;  // so many wait for that

  std::vector<Follower*> followers_;
  Fd bell_;
  bool leading_ = false;
  bool sleeping_ = false;
  bool news_ = false;           // since the leader last looked
  bool takeover_ = false;       // who ends the pool leads next
  bool led_by_caller_ = false;  // since the background thread last looked

  bool closed_ = false;
  bool terminated_ = false;
  bool joining_ = false;
  std::exception_ptr broken_;  // every call throws this

  std::size_t fruitless_ = 0;  // workers in a row that died before they began any task
  Deadline next_start_ = Deadline::now();

  std::thread background_;
  std::thread::id background_id_;
  std::condition_variable background_wake_;
  bool background_ends_ = false;
  bool background_ended_ = true;
  std::deque<std::shared_ptr<PoolBatch>> callbacks_;
};

}  // namespace tandem::detail
