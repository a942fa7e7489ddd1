#include "tools/scan.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "base/text.hpp"
#include "manager/protocol.hpp"
#include "tools/describe.hpp"
#include "tools/proc.hpp"

namespace tandem::tools {
namespace {

using detail::concat;

constexpr std::string_view kShared = "/dev/shm/";
constexpr std::string_view kMemfd = "/memfd:";
constexpr std::string_view kDeleted = " (deleted)";
constexpr std::size_t kMostMaps = std::size_t{16} << 20;

/// The file behind a descriptor or a mapping, as the kernel names it.
struct Named {
  std::string file;  // "tandem-lock"; empty for one of /dev/shm whose name is not known
  bool in_dev_shm = false;
};

std::optional<Named> parse_target(std::string_view target) {
  if (target.ends_with(kDeleted)) target.remove_suffix(kDeleted.size());
  if (target.starts_with(kMemfd)) {
    target.remove_prefix(kMemfd.size());
    if (bytes_to_read(target) == 0) return std::nullopt;
    return Named{std::string(target), false};
  }
  if (!target.starts_with(kShared)) return std::nullopt;
  target.remove_prefix(kShared.size());
  // Whoever makes a named one keeps seeing it as the nameless file it was before.
  if (target.starts_with('#')) return Named{{}, true};
  if (bytes_to_read(target) == 0) return std::nullopt;
  return Named{std::string(target), true};
}

class Scan {
 public:
  [[nodiscard]] Snapshot run() {
    result_.time = std::chrono::steady_clock::now();
    const std::string own_namespace = proc::link("/proc/self/ns/pid");
    find_named();
    find_manager_sockets();
    for (const int pid : proc::numbers_in("/proc")) {
      if (proc::owner_of(proc::path(pid, "")) != proc::own_user()) continue;
      // Thread ids in shared memory mean something in their own namespace only.
      const std::string its_namespace = proc::link(proc::path(pid, "ns/pid"));
      if (!its_namespace.empty() && its_namespace != own_namespace) continue;
      look_at_process(pid);
    }
    read_objects();
    add_parents();
    return std::move(result_);
  }

 private:
  // Under a name, whether somebody has them open or not.
  void find_named() {
    for (const std::string& name : proc::names_in("/dev/shm")) {
      if (bytes_to_read(name) == 0) continue;
      std::string path = concat(kShared, name);
      const auto found = proc::look(path);
      if (!found || found->user != proc::own_user()) continue;
      Candidate& candidate = candidates_[found->id];
      candidate.file = name;
      candidate.named = true;
      candidate.path = path;
      candidate.ways.push_back(std::move(path));
    }
  }

  // Listening sockets whose names only a manager's server has.
  void find_manager_sockets() {
    constexpr std::string_view kListens = "00010000";
    const proc::Text sockets = proc::read_text("/proc/self/net/unix", kMostMaps);
    proc::for_each_line(sockets.text, [&](std::string_view line) {
      std::array<std::string_view, 8> columns;  // number, users, protocol, flags, ..., inode, path
      for (std::string_view& column : columns) column = proc::take_word(line);
      const std::string_view path = columns[7];
      if (columns[3] != kListens || !path.starts_with('@')) return;
      if (!detail::manager_protocol::is_address(path.substr(1))) return;
      if (const auto inode = proc::number(columns[6])) manager_sockets_[*inode] = path.substr(1);
    });
  }

  void look_at_process(int pid) {
    Process process;
    process.pid = pid;
    const auto status = proc::status(proc::path(pid, "stat"));
    if (!status || status->state == 'Z' || status->state == 'X') return;
    process.parent = status->parent;
    process.started = status->started;
    process.name = status->name;
    process.command = proc::read_text(proc::path(pid, "cmdline"), 4096).text;
    look_at_descriptors(process);
    look_at_mappings(process);
    const bool child =
        process.command.find(std::string_view("\0--tandem-child\0", 16)) != process.command.npos;
    std::replace(process.command.begin(), process.command.end(), '\0', ' ');
    while (process.command.ends_with(' ')) process.command.pop_back();
    ++(process.problem.empty() ? result_.processes_read : result_.processes_refused);
    // Its parent runs the same program, unless it is an orphan's new one.
    if (child &&
        proc::link(proc::path(process.parent, "exe")) == proc::link(proc::path(pid, "exe"))) {
      parents_.insert(process.parent);
    }
    if (child || !process.manager_address.empty()) kept_.insert(pid);
    if (kept_.contains(pid) || !process.objects.empty()) {
      result_.processes.emplace(pid, std::move(process));
    } else {
      others_.emplace(pid, std::move(process));
    }
  }

  void look_at_descriptors(Process& process) {
    const std::string directory = proc::path(process.pid, "fd");
    for (const int fd : proc::numbers_in(directory)) {
      std::string path = concat(directory, "/", std::to_string(fd));
      const std::string target = proc::link(path);
      constexpr std::string_view kSocket = "socket:[";
      if (target.starts_with(kSocket)) {
        const auto inode = proc::number(
            std::string_view(target).substr(kSocket.size(), target.size() - kSocket.size() - 1));
        if (const auto at = manager_sockets_.find(inode.value_or(0));
            at != manager_sockets_.end()) {
          process.manager_address = at->second;
        }
        continue;
      }
      const auto named = parse_target(target);
      if (!named) continue;
      if (const auto found = proc::look(path)) add(process, *named, found->id, std::move(path));
    }
  }

  void look_at_mappings(Process& process) {
    const proc::Text maps = proc::read_text(proc::path(process.pid, "maps"), kMostMaps);
    if (maps.error == EACCES || maps.error == EPERM) {
      process.problem = std::strerror(maps.error);
      return;
    }
    proc::for_each_line(maps.text, [&](std::string_view line) {
      const auto mapping = proc::parse_mapping(line);
      if (!mapping) return;
      const auto named = parse_target(mapping->path);
      if (!named) return;
      // The kernel lets some users read a file through its mapping.
      std::string_view rest = line;
      std::string way =
          concat("/proc/", std::to_string(process.pid), "/map_files/", proc::take_word(rest));
      add(process, *named, mapping->id, std::move(way));
      process.mapped.push_back({mapping->begin, mapping->end, mapping->offset, mapping->id});
    });
  }

  void add(Process& process, const Named& named, ObjectId id, std::string way) {
    Candidate& candidate = candidates_[id];
    if (candidate.file.empty()) candidate.file = named.file;
    if (named.in_dev_shm) candidate.named = true;
    // A few are enough; a process that holds the same one a thousand times adds nothing.
    if (candidate.ways.size() < 16) candidate.ways.push_back(std::move(way));
    candidate.processes.insert(process.pid);
    process.objects.insert(id);
  }

  void read_objects() {
    for (auto& [id, candidate] : candidates_) {
      Object object;
      object.id = id;
      object.path = candidate.path;
      object.processes = candidate.processes;
      auto description = read_object(id, candidate, object.size);
      if (description) {
        object.description = std::move(*description);
        result_.objects.emplace(id, std::move(object));
      } else {
        for (const int pid : candidate.processes) forget(pid, id);
      }
    }
  }

  struct Candidate {
    std::string file;
    bool named = false;
    std::string path;
    std::vector<std::string> ways;  // paths that may lead to it
    std::set<int> processes;
  };

  std::optional<Description> read_object(ObjectId id, const Candidate& candidate,
                                         std::uint64_t& size) {
    int error = ENOENT;
    for (const std::string& way : candidate.ways) {
      // Nothing else is opened: to open a FIFO, say, can be noticed.
      const auto expected = proc::look(way);
      if (!expected || expected->id != id) continue;
      const proc::File file(way);
      if (file.error() != 0) error = file.error();
      const auto found = file.info();
      if (!found || found->id != id) continue;
      size = found->size;
      std::vector<std::byte> bytes(static_cast<std::size_t>(
          std::min<std::uint64_t>(found->size, bytes_to_read(candidate.file))));
      bytes.resize(file.read(0, bytes));
      return describe({candidate.file, id.inode, size, candidate.named}, bytes);
    }
    auto description = describe({candidate.file, id.inode, 0, candidate.named}, {});
    if (description) description->problem = concat("it cannot be read: ", std::strerror(error));
    return description;
  }

  void forget(int pid, ObjectId id) {
    const auto at = result_.processes.find(pid);
    if (at == result_.processes.end()) return;
    at->second.objects.erase(id);
    if (!at->second.objects.empty() || kept_.contains(pid)) return;
    others_.insert(result_.processes.extract(at));
  }

  // Whoever started one of the processes, though it may have nothing in shared memory itself.
  void add_parents() {
    for (const int parent : parents_) {
      if (auto node = others_.extract(parent)) result_.processes.insert(std::move(node));
    }
  }

  Snapshot result_;
  std::map<ObjectId, Candidate> candidates_;
  std::map<int, Process> others_;
  std::set<int> parents_;  // of processes that the library has started
  std::set<int> kept_;     // though they may have no object
  std::map<std::uint64_t, std::string> manager_sockets_;
};

Snapshot scan_once() {
  Snapshot snapshot = Scan().run();
  find_waits(snapshot);
  resolve_holders(snapshot);
  find_deadlocks(snapshot);
  find_pools(snapshot);
  find_managers(snapshot);
  name_others(snapshot);
  return snapshot;
}

}  // namespace

// Holders and waiters are not read in one instant, so that busy locks may look like a deadlock. A
// real one is still there when one looks again.
Snapshot scan() {
  Snapshot snapshot = scan_once();
  if (snapshot.deadlocks.empty()) return snapshot;
  Snapshot again = scan_once();
  std::erase_if(again.deadlocks, [&](const Deadlock& deadlock) {
    return std::find(snapshot.deadlocks.begin(), snapshot.deadlocks.end(), deadlock) ==
           snapshot.deadlocks.end();
  });
  return again;
}

}  // namespace tandem::tools
