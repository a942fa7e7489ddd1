#include "pool/seat.hpp"

#include <utility>

#include "base/text.hpp"
#include "os/spin.hpp"
#include "pool/worker.hpp"

namespace tandem::detail {

WorkerProcess::WorkerProcess(std::string name, std::optional<StartMethod> method,
                             OutputGatherer* gatherer)
    : WorkerProcess(std::move(name), method, gatherer, Pipe<PoolMessage, PoolMessage>(),
                    gatherer != nullptr ? os::make_byte_pipe() : os::BytePipe()) {}

WorkerProcess::WorkerProcess(std::string name, std::optional<StartMethod> method,
                             OutputGatherer* gatherer, Pipe<PoolMessage, PoolMessage> ends,
                             os::BytePipe output_pipe)
    : began_ns(static_cast<std::uint64_t>(os::SpinBudget::now_ns())),
      memory(sizeof(Slot)),
      pipe(std::move(ends.first)),
      process(ProcessOptions{.name = std::move(name), .daemon = true, .start_method = method},
              &run_worker, std::move(ends.second), memory,
              OutputEnd(std::move(output_pipe.writer))) {
  process.start();
  pid = process.pid();
  if (gatherer == nullptr) return;
  output = gatherer->add(std::move(output_pipe.reader),
                         concat("[", process.name(), " ", std::to_string(pid), "] "));
}

}  // namespace tandem::detail
