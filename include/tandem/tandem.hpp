/// \file
/// All of tandem.
#pragma once

#include "tandem/async_result.hpp"
#include "tandem/call.hpp"
#include "tandem/connection.hpp"
#include "tandem/error.hpp"
#include "tandem/init.hpp"
#include "tandem/log.hpp"
#include "tandem/manager.hpp"
#include "tandem/pipe.hpp"
#include "tandem/pool.hpp"
#include "tandem/process.hpp"
#include "tandem/progress.hpp"
#include "tandem/queue.hpp"
#include "tandem/result_stream.hpp"
#include "tandem/sendable.hpp"
#include "tandem/shared_memory.hpp"
#include "tandem/sync.hpp"
#include "tandem/version.hpp"
#include "tandem/wait.hpp"
