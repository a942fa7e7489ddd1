#include "pool/worker.hpp"

#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "os/resources.hpp"
#include "os/self.hpp"
#include "os/signals.hpp"
#include "os/spin.hpp"
#include "pool/slot.hpp"
#include "tandem/detail/context.hpp"
#include "tandem/detail/exception.hpp"
#include "tandem/detail/log.hpp"
#include "tandem/detail/pool_chunk.hpp"

namespace tandem::detail {
namespace {

/// As encode_exception, for exceptions whose own encoding throws too.
void encode_any_exception(Encoder& to, std::exception_ptr error, const std::string& where) {
  const std::size_t size = to.buffer().size();
  const std::size_t descriptors = to.descriptors()->size();
  try {
    encode_exception(to, std::move(error), where);
  } catch (const std::exception& failure) {
    to.buffer().truncate(size);
    to.descriptors()->erase(to.descriptors()->begin() + static_cast<std::ptrdiff_t>(descriptors),
                            to.descriptors()->end());
    const RemoteError replacement(
        "unknown", "an exception that could not be encoded itself: " + std::string(failure.what()),
        where, os::process_id());
    encode_exception(to, std::make_exception_ptr(replacement), where);
  }
}

std::uint64_t now_ns() noexcept { return static_cast<std::uint64_t>(os::SpinBudget::now_ns()); }

/// The worker's side of its Slot.
class Doing {
 public:
  explicit Doing(Slot& slot) noexcept : slot_(slot) {}

  /// \param since_ns when it began; 0 if nobody wants to know
  void begin(Activity activity, std::uint64_t since_ns) noexcept {
    if (since_ns != since_ns_) {
      since_ns_ = since_ns;
      slot_.since_ns.store(since_ns, std::memory_order_relaxed);
    }
    slot_.activity.store(activity, std::memory_order_release);
  }
  void begin_initializer(Activity activity) noexcept {
    const std::uint64_t now = now_ns();
    slot_.initializer_ns.store(now, std::memory_order_relaxed);
    begin(activity, now);
  }
  void note_ready() noexcept { slot_.ready_ns.store(now_ns(), std::memory_order_release); }
  /// \returns whether the pool has taken back what else this process was sent
  bool leave(Activity from, Activity to) noexcept { return detail::leave(slot_, from, to); }
  void rest() noexcept {
    slot_.activity.store(Activity(WorkerState::idle), std::memory_order_release);
  }
  void count_task() noexcept {
    slot_.tasks_done.store(slot_.tasks_done.load(std::memory_order_relaxed) + 1,
                           std::memory_order_relaxed);
  }
  void count_busy(std::uint64_t ns) noexcept {
    slot_.busy_ns.fetch_add(ns, std::memory_order_relaxed);
  }

 private:
  Slot& slot_;
  std::uint64_t since_ns_ = 0;  // what the slot says
};

/// One chunk's way through the worker.
class Run final : public ChunkRun {
 public:
  /// \param max_memory_bytes the run stops after a task when the process has more; 0 = no limit
  Run(PoolEnd& pool, Doing& doing, std::size_t max_memory_bytes, const std::string& where,
      PoolMessage message);

  void run();
  /// Whether the process has more memory than it may, and is to have no further tasks.
  [[nodiscard]] bool too_large() const noexcept { return too_large_; }
  /// Whether the pool has taken back everything that came after the last task that ran.
  [[nodiscard]] bool recalled() const noexcept { return recalled_; }

  [[nodiscard]] bool next() override;
  [[nodiscard]] Decoder callable() override;
  void succeed() override;
  void fail(std::exception_ptr error) override;

 private:
  void begin_result();
  void send(ResultKind kind);

  PoolEnd& pool_;
  Doing& doing_;
  const std::size_t max_memory_bytes_;
  const std::string& where_;
  PoolMessage message_;
  PoolMessage out_;
  Decoder rest_;  // of the chunk's bytes
  ChunkHeader header_;
  Buffer kept_callable_;  // of a chunk that comes while it is read
  std::span<const std::byte> callable_;
  std::optional<Decoder> small_element_;
  bool timed_ = false;
  std::uint32_t position_ = 0;  // of the next element
  Activity activity_;           // what the slot says
  bool too_large_ = false;
  bool recalled_ = false;
  std::exception_ptr gone_;  // what sending a result met
  std::uint64_t started_ns_;
  TaskTimes times_;
};

Run::Run(PoolEnd& pool, Doing& doing, std::size_t max_memory_bytes, const std::string& where,
         PoolMessage message)
    : pool_(pool),
      doing_(doing),
      max_memory_bytes_(max_memory_bytes),
      where_(where),
      message_(std::move(message)),
      rest_(message_.decoder(Route::process)),
      header_(rest_.read_raw<ChunkHeader>()),
      started_ns_(now_ns()) {
  timed_ = (header_.flags & kTimed) != 0;
  callable_ = rest_.take(header_.callable_size);
  if (rest_.flow() != nullptr) {
    kept_callable_.append(callable_.data(), callable_.size());
    callable_ = kept_callable_.bytes();
  }
  for (; position_ < header_.begin; ++position_) rest_.skip(rest_.read_size(1));
}

void Run::run() {
  ChunkThunk* thunk = nullptr;
  try {
    thunk = resolve(header_.thunk);
  } catch (const Error&) {
    // A module that is not loaded here: each task fails for itself.
    while (next()) fail(std::current_exception());
    return;
  }
  thunk(*this);
}

bool Run::next() {
  if (gone_ != nullptr) std::rethrow_exception(gone_);
  if (position_ != header_.begin && max_memory_bytes_ != 0) {
    too_large_ = os::resident_bytes() > max_memory_bytes_;
  }
  if (position_ == header_.end || too_large_) {
    doing_.rest();
    return false;
  }
  activity_ = Activity(WorkerState::running, header_.first_task + position_);
  times_.began_ns = timed_ ? now_ns() : 0;
  doing_.begin(activity_, times_.began_ns);
  const std::size_t size = rest_.read_size(1);
  if (rest_.flow() != nullptr && size == rest_.left()) {
    element_ = &rest_;
  } else {
    rest_.await_all();  // what it is sent meanwhile could not be told from the rest
    element_ = &small_element_.emplace(rest_.take(size), Route::process, &message_.descriptors);
  }
  ++position_;
  begin_result();
  return true;
}

void Run::begin_result() {
  out_.descriptors.clear();
  out_.blocks.clear();
  static_cast<void>(out_.bytes.assign(sizeof(ResultHeader) + (timed_ ? sizeof(TaskTimes) : 0)));
  result_.emplace(out_.bytes, Route::connection, &out_.descriptors, &out_.blocks);
}

Decoder Run::callable() { return Decoder(callable_, Route::process, &message_.descriptors); }

void Run::succeed() {
  try {
    send(ResultKind::value);
  } catch (const EndOfFile&) {
    gone_ = std::current_exception();
  } catch (const std::exception&) {
    fail(std::current_exception());  // no room for its descriptors, no memory
  }
}

void Run::fail(std::exception_ptr error) {
  if (rest_.flow() != nullptr && rest_.flow()->failed()) {
    gone_ = std::move(error);  // the element never came whole, so it has no outcome
    return;
  }
  rest_.let_go();
  begin_result();
  encode_any_exception(*result_, std::move(error), where_);
  try {
    send(ResultKind::error);
  } catch (const EndOfFile&) {
    gone_ = std::current_exception();
  }
}

void Run::send(ResultKind kind) {
  if (activity_.kind() == WorkerState::running) {  // else it is the second try to send something
    const Activity sending(WorkerState::sending, activity_.task());
    if (doing_.leave(std::exchange(activity_, sending), sending)) {
      recalled_ = true;
      header_.end = position_;
    }
    doing_.count_task();
  }
  ResultHeader& header = *new (out_.bytes.data()) ResultHeader;
  header.task = header_.first_task + position_ - 1;
  header.kind = kind;
  if (position_ == header_.end) {
    header.run_ns = now_ns() - started_ns_;
    if (!timed_) doing_.count_busy(header.run_ns);
  }
  if (timed_) {
    header.timed = 1;
    times_.ran_ns = now_ns() - times_.began_ns;
    doing_.count_busy(times_.ran_ns);
    std::memcpy(out_.bytes.data() + sizeof(header), &times_, sizeof(times_));
  }
  pool_.send(std::move(out_));
  static_cast<void>(result_->shipped());
  if (position_ == header_.end) doing_.rest();
}

void send_plain(PoolEnd& pool, ResultKind kind, std::exception_ptr error,
                const std::string& where) {
  PoolMessage out;
  ResultHeader header;
  header.kind = kind;
  out.bytes.append(&header, sizeof(header));
  if (error != nullptr) {
    Encoder encoder(out.bytes, Route::connection, &out.descriptors);
    encode_any_exception(encoder, std::move(error), where);
  }
  pool.send(std::move(out));
}

void run_encoded_call(PoolMessage& message) {
  Decoder from = message.decoder(Route::process);
  run_call(from);
}

std::string where(const char* call) {
  return std::string(call) + ", " + process_name() + ", pid " + std::to_string(os::process_id());
}

// So much of what a task freed is kept for the next one.
constexpr std::size_t kKeptBytes = std::size_t{64} << 20;

void apply(const WorkerOptions& options) {
  os::keep_freed_memory(kKeptBytes);
  if (options.niceness) os::set_niceness(*options.niceness);
  if (options.cpu) {
    // Before it is tied to one: that the pool may run on another is why waiting can mean spinning.
    static_cast<void>(os::usable_cpus());
    os::stay_on_cpu(*options.cpu);
  }
}

/// \returns the finalizer if it is to be run
std::optional<PoolMessage> serve(PoolEnd& pool, Doing& doing, const WorkerOptions& options) {
  PoolMessage initializer = pool.recv();
  initializer.await_all();
  PoolMessage finalizer = pool.recv();
  finalizer.await_all();
  try {
    apply(options);
    if (!initializer.empty()) {
      const Activity initializing(WorkerState::initializing);
      doing.begin_initializer(initializing);
      run_encoded_call(initializer);
      doing.leave(initializing, Activity(WorkerState::idle));
    } else {
      doing.rest();
    }
  } catch (...) {
    send_plain(pool, ResultKind::init_failed, std::current_exception(), where("Pool initializer"));
    return std::nullopt;
  }
  doing.note_ready();
  send_plain(pool, ResultKind::ready, nullptr, {});

  const std::string task_where = where("Pool task");
  bool recalled = false;
  for (;;) {
    PoolMessage message = pool.recv();
    if (message.empty()) break;
    if (recalled) {
      recalled = !ends_recall(message);
      continue;
    }
    Run run(pool, doing, options.max_memory_bytes, task_where, std::move(message));
    run.run();
    if (run.too_large()) {
      send_plain(pool, ResultKind::retiring, nullptr, {});
      break;
    }
    recalled = run.recalled();
  }
  return finalizer;
}

}  // namespace

void run_worker(PoolEnd pool, SharedMemory memory, OutputEnd output, WorkerOptions options) {
  os::ignore_interrupts();
  output.redirect();
  // A line at a time, so that those of several workers do not mix. Standard error has no buffer
  // that could be lost when the worker is killed, and keeps none.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  Doing doing(*static_cast<Slot*>(static_cast<void*>(memory.data())));
  std::optional<PoolMessage> finalizer;
  try {
    finalizer = serve(pool, doing, options);
  } catch (const EndOfFile&) {
    // The pool is gone: nobody is left to tell, nothing to finish for.
  }
  if (finalizer && !finalizer->empty()) {
    const Activity finishing(WorkerState::finishing);
    doing.begin(finishing, now_ns());
    run_encoded_call(*finalizer);
    doing.leave(finishing, Activity(WorkerState::idle));
  }
}

}  // namespace tandem::detail
