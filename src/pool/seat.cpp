#include "pool/seat.hpp"

#include <utility>

#include "pool/worker.hpp"

namespace tandem::detail {

WorkerProcess::WorkerProcess(std::string name, const PoolOptions& options, std::size_t number)
    : WorkerProcess(std::move(name), options, number, Pipe<PoolMessage, PoolMessage>()) {}

WorkerProcess::WorkerProcess(std::string name, const PoolOptions& options, std::size_t number,
                             Pipe<PoolMessage, PoolMessage> ends)
    : memory(sizeof(Slot), kSlotLabel),
      pipe(std::move(ends.first)),
      process(
          ProcessOptions{
              .name = std::move(name), .daemon = true, .start_method = options.start_method},
          &run_worker, std::move(ends.second), memory,
          WorkerOptions{.max_memory_bytes = options.max_memory_per_child,
                        .cpu = options.pin_cpus ? std::optional(number) : std::nullopt,
                        .niceness = options.niceness}) {
  process.start();
  pid = process.pid();
}

}  // namespace tandem::detail
