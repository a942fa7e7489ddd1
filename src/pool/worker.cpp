#include "pool/worker.hpp"

#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <utility>

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

/// One chunk's way through the worker.
class Run final : public ChunkRun {
 public:
  Run(PoolEnd& pool, Slot& slot, const std::string& where, PoolMessage message);

  void run();
  [[nodiscard]] bool next() override;
  [[nodiscard]] Decoder callable() override;
  void succeed() override;
  void fail(std::exception_ptr error) override;

 private:
  void begin_result();
  void send(ResultKind kind);

  PoolEnd& pool_;
  Slot& slot_;
  const std::string& where_;
  PoolMessage message_;
  PoolMessage out_;
  ChunkHeader header_;
  std::span<const std::byte> callable_;
  std::span<const std::byte> rest_;
  bool timed_ = false;
  std::uint32_t position_ = 0;  // of the next element
  long long started_ns_;
  TaskTimes times_;
};

Run::Run(PoolEnd& pool, Slot& slot, const std::string& where, PoolMessage message)
    : pool_(pool),
      slot_(slot),
      where_(where),
      message_(std::move(message)),
      started_ns_(os::SpinBudget::now_ns()) {
  Decoder from(message_.bytes.bytes(), Route::process);
  header_ = from.read_raw<ChunkHeader>();
  timed_ = (header_.flags & kTimed) != 0;
  slot_.task_began_ns.store(0, std::memory_order_relaxed);
  callable_ = from.take(header_.callable_size);
  for (; position_ < header_.begin; ++position_) {
    static_cast<void>(from.take(from.read_size(1)));
  }
  rest_ = from.take(from.left());
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
  if (position_ == header_.end) return false;
  slot_.task.store(header_.first_task + position_, std::memory_order_relaxed);
  if (timed_) {
    times_.began_ns = now_ns();
    slot_.task_began_ns.store(times_.began_ns, std::memory_order_relaxed);
  }
  slot_.state.store(WorkerState::running, std::memory_order_release);
  Decoder from(rest_, Route::process);
  const std::span<const std::byte> element = from.take(from.read_size(1));
  rest_ = from.take(from.left());
  element_.emplace(element, Route::process, &message_.descriptors);
  ++position_;
  begin_result();
  return true;
}

void Run::begin_result() {
  out_.descriptors.clear();
  static_cast<void>(out_.bytes.assign(sizeof(ResultHeader) + (timed_ ? sizeof(TaskTimes) : 0)));
  result_.emplace(out_.bytes, Route::connection, &out_.descriptors);
}

Decoder Run::callable() { return Decoder(callable_, Route::process, &message_.descriptors); }

void Run::succeed() {
  try {
    send(ResultKind::value);
  } catch (const EndOfFile&) {
    throw;
  } catch (const std::exception&) {
    fail(std::current_exception());  // no room for its descriptors, no memory
  }
}

void Run::fail(std::exception_ptr error) {
  begin_result();
  encode_any_exception(*result_, std::move(error), where_);
  send(ResultKind::error);
}

void Run::send(ResultKind kind) {
  ResultHeader header;
  header.task = header_.first_task + position_ - 1;
  header.kind = kind;
  if (position_ == header_.end) {
    const long long ran_ns = os::SpinBudget::now_ns() - started_ns_;
    header.run_ns = static_cast<std::uint64_t>(ran_ns);
    if (!timed_) slot_.busy_ns.fetch_add(header.run_ns, std::memory_order_relaxed);
  }
  if (timed_) {
    header.timed = 1;
    times_.ran_ns = now_ns() - times_.began_ns;
    slot_.busy_ns.fetch_add(times_.ran_ns, std::memory_order_relaxed);
    std::memcpy(out_.bytes.data() + sizeof(header), &times_, sizeof(times_));
  }
  std::memcpy(out_.bytes.data(), &header, sizeof(header));
  slot_.tasks_done.store(slot_.tasks_done.load(std::memory_order_relaxed) + 1,
                         std::memory_order_relaxed);
  slot_.state.store(WorkerState::sending, std::memory_order_release);
  pool_.send(std::move(out_));
  result_->shipped();
  slot_.state.store(WorkerState::idle, std::memory_order_release);
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
  if (message.bytes.size() == 0) return;
  Decoder from(message.bytes.bytes(), Route::process, &message.descriptors);
  run_call(from);
}

std::string where(const char* call) {
  return std::string(call) + ", " + process_name() + ", pid " + std::to_string(os::process_id());
}

/// \returns the finalizer if it is to be run
std::optional<PoolMessage> serve(PoolEnd& pool, Slot& slot) {
  PoolMessage initializer = pool.recv();
  PoolMessage finalizer = pool.recv();
  if (initializer.bytes.size() != 0) {
    slot.initializer_ns.store(now_ns(), std::memory_order_relaxed);
    slot.state.store(WorkerState::initializing, std::memory_order_release);
    try {
      run_encoded_call(initializer);
    } catch (...) {
      send_plain(pool, ResultKind::init_failed, std::current_exception(),
                 where("Pool initializer"));
      return std::nullopt;
    }
  }
  slot.ready_ns.store(now_ns(), std::memory_order_release);
  slot.state.store(WorkerState::idle, std::memory_order_release);
  send_plain(pool, ResultKind::ready, nullptr, {});

  const std::string task_where = where("Pool task");
  for (;;) {
    PoolMessage message = pool.recv();
    if (message.bytes.size() == 0) break;
    Run(pool, slot, task_where, std::move(message)).run();
  }
  slot.state.store(WorkerState::finishing, std::memory_order_release);
  return finalizer;
}

}  // namespace

void run_worker(PoolEnd pool, SharedMemory memory, OutputEnd output) {
  os::ignore_interrupts();
  output.redirect();
  // A line at a time, so that those of several workers do not mix. Standard error has no buffer
  // that could be lost when the worker is killed, and keeps none.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  Slot& slot = *static_cast<Slot*>(static_cast<void*>(memory.data()));
  std::optional<PoolMessage> finalizer;
  try {
    finalizer = serve(pool, slot);
  } catch (const EndOfFile&) {
    // The pool is gone: nobody is left to tell, nothing to finish for.
  }
  if (finalizer) run_encoded_call(*finalizer);
}

}  // namespace tandem::detail
