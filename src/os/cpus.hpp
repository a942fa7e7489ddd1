// How many CPUs there are for this process.
#pragma once

#include <string>

namespace tandem::os {

/// CPUs this process may use now: affinity and cgroup quota count. At least 1.
[[nodiscard]] unsigned count_usable_cpus();

/// What the quotas of cgroups are worth in CPUs, rounded up; very many where there is none.
/// \param groups a file as /proc/self/cgroup
/// \param mount where the hierarchies are mounted: version 2 there, those of version 1 below
[[nodiscard]] unsigned cpus_of_cgroups(const std::string& groups, const std::string& mount);

}  // namespace tandem::os
