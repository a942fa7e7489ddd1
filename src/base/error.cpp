#include "tandem/error.hpp"

#include <utility>

#include "base/text.hpp"

namespace tandem {

SystemError::SystemError(std::error_code code, std::string_view what)
    : Error(detail::concat(what, ": ", code.message())), code_(code) {}

RemoteError::RemoteError(std::string type_name, std::string_view what, std::string remote_trace,
                         int pid)
    : Error(std::string(what)),
      type_name_(std::move(type_name)),
      remote_trace_(std::move(remote_trace)),
      pid_(pid) {}

WorkerDied::WorkerDied(std::string_view what, int pid, int exit_code)
    : Error(std::string(what)), pid_(pid), exit_code_(exit_code) {}

}  // namespace tandem
