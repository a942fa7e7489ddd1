#include "base/text.hpp"
#include "os/self.hpp"
#include "tandem/detail/async_call.hpp"
#include "tandem/detail/context.hpp"

namespace tandem::detail {

std::string async_place() {
  return concat("async in ", process_name(), " (pid ", std::to_string(os::process_id()), ")");
}

std::exception_ptr death_before_outcome(Process& process) {
  process.join();
  const int code = process.exitcode().value();
  const std::string how = code < 0 ? concat("was ended by signal ", std::to_string(-code))
                                   : concat("exited with code ", std::to_string(code));
  return std::make_exception_ptr(
      WorkerDied(concat("async in ", process.name(), " (pid ", std::to_string(process.pid()),
                        "): it ", how, " before the call returned"),
                 process.pid(), code));
}

}  // namespace tandem::detail
