/// \file
/// The one call a program makes before it starts processes.
///
///     int main(int argc, char** argv) {
///       tandem::init(argc, argv);
///       ...
///     }
#pragma once

#include "tandem/detail/export.hpp"

namespace tandem {

/// First statement of main(). In a process that a Process started by exec, it runs that process's
/// target and never returns: main goes no further there, std::exit is called. Elsewhere it returns
/// at once; the arguments are left as they are. Standard streams that are closed are opened on
/// /dev/null.
///
/// Without it, starting such a process throws StartError. What must hold in children too, such as
/// register_exception and set_log_handler, may be called before it.
/// \param argc,argv as main received them
TANDEM_EXPORT void init(int& argc, char**& argv);

}  // namespace tandem
