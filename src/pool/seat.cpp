#include "pool/seat.hpp"

#include <utility>

#include "pool/worker.hpp"

namespace tandem::detail {

WorkerProcess::WorkerProcess(std::string name, std::optional<StartMethod> method)
    : WorkerProcess(std::move(name), method, Pipe<PoolMessage, PoolMessage>()) {}

WorkerProcess::WorkerProcess(std::string name, std::optional<StartMethod> method,
                             Pipe<PoolMessage, PoolMessage> ends)
    : memory(sizeof(Slot), kSlotLabel),
      pipe(std::move(ends.first)),
      process(ProcessOptions{.name = std::move(name), .daemon = true, .start_method = method},
              &run_worker, std::move(ends.second), memory) {
  process.start();
  pid = process.pid();
}

}  // namespace tandem::detail
