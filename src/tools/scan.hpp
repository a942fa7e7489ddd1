// Finds the objects of this user's processes.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tools/snapshot.hpp"

namespace tandem::tools {

/// Looks into /proc and /dev/shm. Takes no lock, writes nothing, and leaves out what vanishes
/// meanwhile or cannot be read.
[[nodiscard]] Snapshot scan();

/// Says how fast the counters of `now` have grown since `before`.
void set_rates(Snapshot& now, const Snapshot& before);

/// Keeps what has to do with these processes and their descendants.
/// \returns those of them that cannot be looked into, or do not exist
[[nodiscard]] std::vector<int> keep_only(Snapshot& snapshot, const std::set<int>& pids);

// Parts of a scan, in this order.
void find_waits(Snapshot& snapshot);       // threads, and what each waits for
void resolve_holders(Snapshot& snapshot);  // the processes of those who hold locks
void find_deadlocks(Snapshot& snapshot);
void find_pools(Snapshot& snapshot);
void find_managers(Snapshot& snapshot);
void name_others(Snapshot& snapshot);  // processes that objects name, but that hold none

}  // namespace tandem::tools
