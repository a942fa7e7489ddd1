#include "os/cpus.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <string>
#include <string_view>

#include "os/spin.hpp"

namespace tandem::os {
namespace {

// CPUs the scheduler may put this thread on. The kernel refuses a set too small for the machine.
unsigned cpus_of_affinity() {
  for (std::size_t most = 1024; most <= (1U << 20); most *= 2) {
    cpu_set_t* const set = CPU_ALLOC(most);
    if (set == nullptr) return 1;
    const std::size_t size = CPU_ALLOC_SIZE(most);
    const int result = ::sched_getaffinity(0, size, set);
    const int count = result == 0 ? CPU_COUNT_S(size, set) : 0;
    const int error = errno;
    CPU_FREE(set);
    if (count > 0) return static_cast<unsigned>(count);
    if (error != EINVAL) return 1;
  }
  return 1;
}

// What a quota of so much CPU time per period is worth, rounded up.
unsigned cpus_of_quota(double quota, double period) {
  constexpr double kNoLimit = 1 << 20;
  if (!(quota > 0) || !(period > 0) || quota / period >= kNoLimit) return 1 << 20;
  const double cpus = quota / period;
  const auto whole = static_cast<unsigned>(cpus);
  return std::max(1U, cpus > whole ? whole + 1 : whole);
}

unsigned quota_v2(const std::string& group) {
  std::ifstream file(group + "/cpu.max");
  double quota = 0;  // "max" leaves it 0: no limit
  double period = 0;
  file >> quota >> period;
  return cpus_of_quota(quota, period);
}

unsigned quota_v1(const std::string& group) {
  double quota = 0;
  double period = 0;
  std::ifstream(group + "/cpu.cfs_quota_us") >> quota;
  std::ifstream(group + "/cpu.cfs_period_us") >> period;
  return cpus_of_quota(quota, period);
}

// The smallest quota of a group and those above it. In a container the path may be that of the
// host, of which only the upper end is mounted.
template <class Quota>
unsigned least_quota(const std::string& mount, std::string path, Quota quota) {
  unsigned least = quota(mount);
  while (path.size() > 1) {
    least = std::min(least, quota(mount + path));
    path.resize(path.rfind('/'));
  }
  return least;
}

bool lists_cpu(std::string_view controllers) {
  while (!controllers.empty()) {
    const std::size_t comma = controllers.find(',');
    if (controllers.substr(0, comma) == "cpu") return true;
    if (comma == std::string_view::npos) break;
    controllers.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace

unsigned cpus_of_cgroups(const std::string& groups, const std::string& mount) {
  unsigned least = ~0U;
  std::ifstream file(groups);  // lines of  id:controllers:path
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (path.empty() || path.front() != '/') continue;
    if (controllers.empty()) {
      least = std::min(least, least_quota(mount, path, quota_v2));
    } else if (lists_cpu(controllers)) {
      least = std::min(least, least_quota(mount + "/cpu", path, quota_v1));
      least = std::min(least, least_quota(mount + "/" + controllers, path, quota_v1));
    }
  }
  return least;
}

unsigned count_usable_cpus() {
  return std::max(
      1U, std::min(cpus_of_affinity(), cpus_of_cgroups("/proc/self/cgroup", "/sys/fs/cgroup")));
}

unsigned usable_cpus() {
  // No guarded static: a child forked while another thread is counting would wait for it for ever.
  static constinit std::atomic<unsigned> known{0};
  unsigned cpus = known.load(std::memory_order_relaxed);
  if (cpus == 0) {
    cpus = count_usable_cpus();
    known.store(cpus, std::memory_order_relaxed);
  }
  return cpus;
}

}  // namespace tandem::os
