#include "os/liveness.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include "os/check.hpp"
#include "os/thread_id.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::os {

namespace {

// What was found out last; of a forked child it is the parent's, which the id tells.
constinit thread_local std::uint64_t cached_task = 0;
constinit std::atomic<std::uint64_t> cached_process{0};

struct Stat {
  bool exiting = false;
  std::uint32_t birth = 0;
};

/// \returns nothing when it is gone or a zombie
std::optional<Stat> stat_of(int id) {
  const std::string path = "/proc/" + std::to_string(id) + "/stat";
  const detail::Fd file(retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  if (!file) {
    if (errno == ENOENT || errno == ESRCH) return std::nullopt;
    throw_last_error("open " + path);
  }
  char text[1024];
  const ssize_t size = retry([&] { return ::read(file.get(), text, sizeof text - 1); });
  if (size <= 0) return std::nullopt;
  text[size] = '\0';
  // "pid (name) state ..."; the name may hold anything, parentheses too. The flags are the 9th
  // field, the start is the 22nd.
  const char* field = std::strrchr(text, ')');
  if (field == nullptr || field[1] != ' ') return std::nullopt;
  field += 2;
  if (*field == 'Z' || *field == 'X') return std::nullopt;
  constexpr unsigned long kExiting = 4;  // PF_EXITING of the kernel
  Stat stat;
  for (int i = 3; i < 22; ++i) {
    if (i == 9) stat.exiting = (std::strtoul(field, nullptr, 10) & kExiting) != 0;
    field = std::strchr(field, ' ');
    if (field == nullptr) return std::nullopt;
    ++field;
  }
  stat.birth = static_cast<std::uint32_t>(std::strtoull(field, nullptr, 10));
  return stat;
}

Task task_of(int id) {
  return Task(std::uint64_t{static_cast<std::uint32_t>(id)} << 32 | birth_of(id).value_or(0));
}

}  // namespace

Task Task::mine() {
  const int id = ThreadId::mine().thread();
  if (Task(cached_task).id() != id) cached_task = task_of(id).raw();
  return Task(cached_task);
}

Task Task::of_process() {
  Task process(cached_process.load(std::memory_order_relaxed));
  if (process.id() != cached_process_id) {
    process = Task(task_of(cached_process_id).raw() | kWholeProcess);
    cached_process.store(process.raw(), std::memory_order_relaxed);
  }
  return process;
}

bool Task::alive() const {
  if (id() <= 0) return false;
  const std::optional<Stat> stat = stat_of(id());
  // A thread can be joined a moment before it leaves the list of those that there are.
  const bool whole_process = (raw_ & kWholeProcess) != 0;
  return stat && stat->birth == static_cast<std::uint32_t>(raw_) &&
         (whole_process || !stat->exiting);
}

std::optional<std::uint32_t> birth_of(int pid) {
  const std::optional<Stat> stat = stat_of(pid);
  return stat ? std::optional(stat->birth) : std::nullopt;
}

}  // namespace tandem::os
