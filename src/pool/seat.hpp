// A worker's place in a pool, as the dispatcher sees it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "pool/message.hpp"
#include "pool/output.hpp"
#include "pool/slot.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/pool_chunk.hpp"
#include "tandem/detail/pool_core.hpp"
#include "tandem/memory.hpp"
#include "tandem/process.hpp"

namespace tandem::detail {

/// The process in a seat.
struct WorkerProcess {
  /// Starts it. \param number of its seat \param gatherer takes in what it writes; null: it writes
  /// where this process does \throws StartError, SystemError
  WorkerProcess(std::string name, const PoolOptions& options, std::size_t number,
                OutputGatherer* gatherer);

  [[nodiscard]] Slot& slot() const noexcept {
    return *static_cast<Slot*>(static_cast<void*>(memory.data()));
  }

  std::uint64_t began_ns;
  SharedMemory memory;
  PoolEnd pipe;
  Process process;
  int pid = 0;
  std::uint64_t output = 0;  // its output's key

 private:
  WorkerProcess(std::string name, const PoolOptions& options, std::size_t number,
                OutputGatherer* gatherer, Pipe<PoolMessage, PoolMessage> pipe,
                os::BytePipe output_pipe);
};

/// Why the pool killed a worker.
enum class Verdict { none, task_timeout, task_cancelled, initializer_timeout, finalizer_timeout };

/// The leader's alone; what `stats` reads is changed under the lock.
struct Seat {
  std::optional<WorkerProcess> worker;
  std::deque<std::unique_ptr<Chunk>> in_flight;  // the front one is being run
  std::size_t in_flight_bytes = 0;
  long long estimate_ns = 0;  // expected run time of what is in flight
  std::size_t tasks_sent = 0;
  bool ready = false;    // its initializer has run
  bool cut_off = false;  // nothing can be written to its pipe any more
  bool hung_up = false;  // nor read from it
  bool died = false;     // its sentinel said so
  bool stopped = false;  // was told to end, or has said that it does
  Verdict verdict = Verdict::none;
  std::optional<std::size_t> lane;  // where its watcher shows it

  // Others had nothing to do while this worker was at a task with more behind it: at which, and
  // until when they bear it. After that it is left with the task alone, and gets no other with it.
  std::uint64_t holding_task = 0;
  Deadline holding_until = Deadline::never();
  std::uint64_t alone_task = 0;

  [[nodiscard]] bool unusable() const noexcept { return cut_off || hung_up || died; }

  // Of this seat's former workers.
  std::size_t workers = 0;
  std::uint64_t tasks_done = 0;
  std::uint64_t busy_ns = 0;
};

}  // namespace tandem::detail
