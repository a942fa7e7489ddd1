/// \file
/// The core of Pool: calls as batches of encoded tasks, their results as bytes.
///
/// A call is a PoolBatch. Its owner encodes tasks into chunks and submits them; the dispatcher
/// gives chunks to workers and hands each result to the batch. Whoever waits for a batch does the
/// dispatching, one thread at a time: the leader.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/call.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/pool_chunk.hpp"
#include "tandem/insights.hpp"
#include "tandem/process.hpp"
#include "tandem/progress.hpp"

namespace tandem {

/// How a pool is made.
struct PoolOptions {
  std::size_t processes = 0;                     ///< workers; 0 = cpu_count()
  std::optional<StartMethod> start_method = {};  ///< nothing: `start_method()`
  std::size_t max_tasks_per_child = 0;           ///< a worker is replaced after so many; 0 = never
  /// Bytes of memory in RAM (RSS), looked at after each task: a worker that has more is replaced.
  /// 0: no limit.
  std::size_t max_memory_per_child = 0;
  Call initializer = {};  ///< run by each worker before its first task
  Call finalizer = {};    ///< run by each worker before it ends normally
  /// An initializer that takes longer is killed, which fails the pool with TimedOut.
  std::optional<duration> initializer_timeout = {};
  /// A finalizer that takes longer is killed, with a warning in the log.
  std::optional<duration> finalizer_timeout = {};
  /// Worker i stays on the i-th of the CPUs that the maker may use, counted round and round.
  bool pin_cpus = false;
  std::optional<int> niceness = {};  ///< of the workers, as setpriority(2) has it: -20 to 19
  /// Tasks are timed, so that Pool::insights knows the slowest; two readings of the clock for each.
  bool insights = false;
  /// What workers and their children write to standard output and standard error comes to this
  /// process's standard error in whole lines that begin with `[PoolWorker-3 pid] `. A line of more
  /// than 64 KiB is cut into several. Costs a thread, and a pipe for each worker.
  bool tag_output = false;
};

/// How the tasks of one call are run.
struct TaskOptions {
  std::size_t chunksize = 0;  ///< tasks sent at once; 0 = as many as measured run time suggests
  /// A task that runs longer is killed, with its worker, and ends with TaskTimeout. Counted from
  /// when its worker begins to decode it. What else its chunk has is run by another worker.
  std::optional<duration> timeout = {};
  /// How often a task whose worker dies under it is tried again before it ends with WorkerDied.
  /// A task that was moved a Connection is tried once.
  int retries = 0;
  std::size_t window = 0;         ///< imap: most tasks in flight; 0 = 4 x workers
  ProgressOptions progress = {};  ///< how a person is told how far it is
  /// The first task that fails ends the call: those not begun are not run, those running are
  /// killed, and they end with Cancelled. The error of a map is the one that came first.
  bool fail_fast = false;
};

/// What one worker has done, replacements included.
struct WorkerStats {
  int pid = 0;                 ///< of the process there now
  std::size_t tasks_done = 0;  ///< those that failed included
  duration busy = {};          ///< in tasks
  duration idle = {};          ///< since the start, less busy
  std::size_t restarts = 0;    ///< how often a new process took the place
};

/// Tasks of a pool by where they are, since it was made.
struct PoolStats {
  std::vector<WorkerStats> workers;  ///< one for each place
  std::size_t queued = 0;            ///< not sent to a worker yet
  std::size_t running = 0;           ///< sent, no outcome yet
  std::size_t done = 0;              ///< outcome known, `failed` included
  std::size_t failed = 0;            ///< ended with an error
};

namespace detail {

class PoolCore;
class Progress;
struct RunTime;

/// One call to a pool. Everything is guarded by the core's lock but `receive`.
class TANDEM_EXPORT PoolBatch : public std::enable_shared_from_this<PoolBatch> {
 public:
  /// \param name for messages: Pool::map
  /// \param total number of tasks where it is known beforehand
  PoolBatch(std::string_view name, TaskCall call, TaskOptions options,
            std::optional<std::size_t> total);
  PoolBatch(const PoolBatch&) = delete;
  PoolBatch& operator=(const PoolBatch&) = delete;
  virtual ~PoolBatch();

  [[nodiscard]] const TaskCall& call() const noexcept { return call_; }
  [[nodiscard]] std::string_view name() const noexcept { return name_; }
  /// What it is called where people look: the label of its progress, else its name.
  [[nodiscard]] std::string_view title() const noexcept {
    return options_.progress.label.empty() ? name_ : std::string_view(options_.progress.label);
  }
  /// Whether all outcomes are in and no task will be added.
  [[nodiscard]] bool complete() const noexcept { return input_ended_ && finished_ == added_; }

 protected:
  friend class Chunk;
  friend class Dispatcher;
  friend class Watcher;

  [[nodiscard]] bool fails_fast() const noexcept { return options_.fail_fast; }

  /// Leader only, without the lock: decodes a result and puts it by for `keep`.
  virtual void receive(Decoder& from) = 0;
  /// Takes what `receive` put by as the result of task `index`.
  virtual void keep(std::size_t index) = 0;
  virtual void fail(std::size_t index, std::exception_ptr error) = 0;
  /// Room for the outcomes of tasks up to `added`.
  virtual void make_room(std::size_t added) = 0;
  /// The input threw, or the pool ended first: no more tasks will be added.
  virtual void input_failed(std::exception_ptr error) = 0;
  /// Whether there is what its owner waits for.
  [[nodiscard]] virtual bool satisfied(bool on_background) const = 0;
  /// Tasks that were read from the input and whose outcome its owner has not been given.
  [[nodiscard]] virtual std::size_t outstanding() const noexcept { return added_ - finished_; }

  /// Whether only so many of its tasks may be outstanding.
  [[nodiscard]] virtual bool windowed() const noexcept { return false; }

  /// A batch that was encoded as a whole: how many tasks were not handed out yet, and the next of
  /// them.
  [[nodiscard]] virtual std::size_t to_carve() const noexcept { return 0; }
  [[nodiscard]] virtual std::unique_ptr<Chunk> carve(std::size_t at_most);
  /// Gives up what was not handed out. \returns the index of the first such task
  virtual std::size_t drop_rest() { return added_; }

  /// What is to be run on the background thread once the batch is complete, and that it was.
  [[nodiscard]] virtual bool has_callbacks() const noexcept { return false; }
  [[nodiscard]] virtual std::vector<std::function<void()>> take_callbacks() { return {}; }
  virtual void callbacks_ran() noexcept {}

  std::size_t added_ = 0;     // tasks known: read from the input
  std::size_t finished_ = 0;  // tasks whose outcome is in
  bool input_ended_ = false;

 private:
  std::string_view name_;
  TaskCall call_;
  TaskOptions options_;
  std::optional<std::size_t> total_;

  // The dispatcher's own.
  std::deque<std::unique_ptr<Chunk>> ready_;  // encoded, not sent
  std::size_t ready_bytes_ = 0;
  std::size_t place_ = 0;  // in the list of open batches
  bool open_ = false;
  std::uint64_t number_ = 0;   // calls of a pool are counted from 1
  std::size_t kind_ = 0;       // its watcher's
  std::size_t last_size_ = 0;  // of the latest chunk, which may at most double
  RunTime* run_time_ = nullptr;
  bool listed_ = false;                  // among those with something to send
  std::atomic<bool> abandoned_ = false;  // outcomes are of no use any more
  bool callbacks_queued_ = false;
  bool in_background_ = false;  // goes on while nobody waits
  bool failing_ = false;        // fails fast, and a task has failed
  std::unique_ptr<Progress> progress_;
};

/// Any thread, unless it says otherwise.
class TANDEM_EXPORT PoolCore {
 public:
  using Lock = std::unique_lock<std::mutex>;

  PoolCore() = default;
  PoolCore(const PoolCore&) = delete;
  PoolCore& operator=(const PoolCore&) = delete;
  virtual ~PoolCore() = default;

  /// Starts the workers. \throws StartError
  [[nodiscard]] static std::shared_ptr<PoolCore> start(const PoolOptions& options);

  /// Admits a batch.
  /// \param in_background go on with it while nobody waits
  /// \throws Closed, the initializer's error
  virtual void open(const std::shared_ptr<PoolBatch>& batch, bool in_background) = 0;
  /// Adds the tasks of a chunk at the end of the batch.
  virtual void submit(const std::shared_ptr<PoolBatch>& batch, std::unique_ptr<Chunk> chunk) = 0;
  /// Adds `n` tasks that the batch will `carve`.
  virtual void submit_whole(const std::shared_ptr<PoolBatch>& batch, std::size_t n) = 0;
  /// Adds a task that failed before it could be sent.
  virtual void submit_failure(const std::shared_ptr<PoolBatch>& batch,
                              std::exception_ptr error) = 0;
  /// No more tasks will be added. \param error what the input threw, if it did
  virtual void end_input(const std::shared_ptr<PoolBatch>& batch, std::exception_ptr error) = 0;

  /// How many tasks should be read from the input now; 0 while enough of them wait.
  [[nodiscard]] virtual std::size_t room(const std::shared_ptr<PoolBatch>& batch) = 0;
  /// Dispatches until the batch is satisfied or, if `feeding`, has room for tasks.
  /// \returns false when the deadline passed first
  [[nodiscard]] virtual bool wait(Lock& lock, const std::shared_ptr<PoolBatch>& batch, bool feeding,
                                  Deadline deadline) = 0;
  [[nodiscard]] virtual Lock lock() = 0;
  /// Has a `wait` for this batch look again whether it is satisfied. Under the lock.
  virtual void wake(const PoolBatch& batch) noexcept = 0;

  /// Ends with Cancelled what has no outcome yet, unless that is on its way.
  /// \returns whether there was any
  virtual bool cancel(const std::shared_ptr<PoolBatch>& batch) = 0;
  /// The same for all calls; input that was not read yet is not run.
  virtual void cancel_unsent(std::string_view call) = 0;
  /// Its owner is gone: nothing more is sent once this returns, outcomes are dropped.
  virtual void abandon(const std::shared_ptr<PoolBatch>& batch) noexcept = 0;
  /// Has the callbacks of a complete batch run on the background thread, or here when that has
  /// ended.
  virtual void run_callbacks(Lock& lock, const std::shared_ptr<PoolBatch>& batch) = 0;

  [[nodiscard]] virtual bool on_background_thread() const noexcept = 0;

  virtual void close() = 0;
  virtual void terminate() = 0;
  [[nodiscard]] virtual bool join(Deadline deadline) = 0;
  /// Closes or terminates, joins, and ends the background thread.
  virtual void dispose(bool terminated) noexcept = 0;

  virtual void resize(std::size_t processes) = 0;
  [[nodiscard]] virtual std::size_t size() const = 0;
  [[nodiscard]] virtual PoolStats stats() const = 0;
  [[nodiscard]] virtual PoolInsights insights() const = 0;
  virtual void trace_to(const std::filesystem::path& path) = 0;
};

}  // namespace detail
}  // namespace tandem
