// How many CPUs there are for this process, and which one it is on.
#pragma once

#include <sched.h>

#include <cstdint>
#include <string>

namespace tandem::os {

/// CPUs this process may use now: affinity and cgroup quota count. At least 1.
[[nodiscard]] unsigned count_usable_cpus();

/// The number of the CPU that the caller runs on, for shared memory: one more than the system's, so
/// that 0 says that nobody knows. It may be another one at once.
[[nodiscard]] inline std::uint32_t current_cpu() noexcept {
  return static_cast<std::uint32_t>(::sched_getcpu()) + 1;
}

/// What the quotas of cgroups are worth in CPUs, rounded up; very many where there is none.
/// \param groups a file as /proc/self/cgroup
/// \param mount where the hierarchies are mounted: version 2 there, those of version 1 below
[[nodiscard]] unsigned cpus_of_cgroups(const std::string& groups, const std::string& mount);

}  // namespace tandem::os
