#include "tandem/init.hpp"

#include <string_view>

#include "os/exec.hpp"
#include "process/context.hpp"
#include "process/start.hpp"

namespace tandem {

void init(int& argc, char**& argv) {
  const char* program = argc > 0 ? argv[0] : "";
  // What is written to a closed stream must not reach a descriptor that took its number.
  os::fill_standard_streams();
  detail::set_initialised(program);
  // Registered now, when every global exists, so that the hooks run before any of them is
  // destroyed.
  detail::run_hooks_at_exit();
  if (argc == 3 && std::string_view(argv[1]) == "--tandem-child") {
    detail::run_spawned_child(program, argv[2]);
  }
}

}  // namespace tandem
