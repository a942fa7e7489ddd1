#include "pool/seat.hpp"

#include <utility>

#include "base/text.hpp"
#include "os/spin.hpp"
#include "pool/worker.hpp"

namespace tandem::detail {

WorkerProcess::WorkerProcess(std::string name, const PoolOptions& options, std::size_t number,
                             OutputGatherer* gatherer)
    : WorkerProcess(std::move(name), options, number, gatherer, Pipe<PoolMessage, PoolMessage>(),
                    gatherer != nullptr ? os::make_byte_pipe() : os::BytePipe()) {}

WorkerProcess::WorkerProcess(std::string name, const PoolOptions& options, std::size_t number,
                             OutputGatherer* gatherer, Pipe<PoolMessage, PoolMessage> ends,
                             os::BytePipe output_pipe)
    : began_ns(static_cast<std::uint64_t>(os::SpinBudget::now_ns())),
      memory(sizeof(Slot), kSlotLabel),
      pipe(std::move(ends.first)),
      process(
          ProcessOptions{
              .name = std::move(name), .daemon = true, .start_method = options.start_method},
          &run_worker, std::move(ends.second), memory, OutputEnd(std::move(output_pipe.writer)),
          WorkerOptions{.max_memory_bytes = options.max_memory_per_child,
                        .cpu = options.pin_cpus ? std::optional(number) : std::nullopt,
                        .niceness = options.niceness}) {
  prepare(slot());
  process.start();
  pid = process.pid();
  if (gatherer == nullptr) return;
  output = gatherer->add(std::move(output_pipe.reader),
                         concat("[", process.name(), " ", std::to_string(pid), "] "));
}

}  // namespace tandem::detail
