// What follows from what was found: holders, deadlocks, pools, managers, rates.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/text.hpp"
#include "tools/proc.hpp"
#include "tools/scan.hpp"

namespace tandem::tools {
namespace {

/// The process of a thread; 0 when it is gone.
int process_of(const Snapshot& snapshot, int thread) {
  for (const auto& [pid, process] : snapshot.processes) {
    if (std::any_of(process.threads.begin(), process.threads.end(),
                    [&](const Thread& one) { return one.id == thread; })) {
      return pid;
    }
  }
  int found = 0;
  const proc::Text text = proc::read_text(proc::path(thread, "status"), 4096);
  proc::for_each_line(text.text, [&](std::string_view line) {
    constexpr std::string_view kGroup = "Tgid:\t";
    if (!line.starts_with(kGroup)) return;
    found = static_cast<int>(proc::number(line.substr(kGroup.size())).value_or(0));
  });
  return found;
}

const Thread* find_thread(const Snapshot& snapshot, Who who) {
  const auto process = snapshot.processes.find(who.process);
  if (process == snapshot.processes.end()) return nullptr;
  for (const Thread& thread : process->second.threads) {
    if (thread.id == who.thread) return &thread;
  }
  return nullptr;
}

/// Whether the process is one of `pids`, or was started by one, by one of its children, and so on.
bool descends_from(const Snapshot& snapshot, int pid, const std::set<int>& pids) {
  constexpr int kMostGenerations = 100;  // what is read at different times might go in circles
  for (int i = 0; i < kMostGenerations && pid > 1; ++i) {
    if (pids.contains(pid)) return true;
    if (const auto at = snapshot.processes.find(pid); at != snapshot.processes.end()) {
      pid = at->second.parent;
    } else {
      const auto status = proc::status(proc::path(pid, "stat"));
      pid = status ? status->parent : 0;
    }
  }
  return pids.contains(pid);
}

/// The lock that a thread waits for, if it does.
const LockWord* awaited_lock(const Snapshot& snapshot, Who who, Deadlock::Step& step) {
  const Thread* const thread = find_thread(snapshot, who);
  if (thread == nullptr || !thread->object || !thread->lock) return nullptr;
  step = {who, *thread->object, *thread->lock};
  return &snapshot.objects.at(*thread->object).description.locks[*thread->lock];
}

}  // namespace

void resolve_holders(Snapshot& snapshot) {
  for (auto& [id, object] : snapshot.objects) {
    for (LockWord& lock : object.description.locks) {
      if (lock.thread != 0) lock.process = process_of(snapshot, lock.thread);
    }
  }
}

// Each thread waits for at most one lock, and each lock has at most one holder: following both from
// every thread that waits finds every cycle.
void find_deadlocks(Snapshot& snapshot) {
  std::set<Who> seen;
  for (const auto& [pid, process] : snapshot.processes) {
    for (const Thread& thread : process.threads) {
      std::vector<Deadlock::Step> way;
      for (Who who{pid, thread.id};;) {
        const auto again = std::find_if(
            way.begin(), way.end(), [&](const Deadlock::Step& step) { return step.waits == who; });
        if (again != way.end()) {
          std::rotate(again, std::min_element(again, way.end()), way.end());
          snapshot.deadlocks.push_back({{again, way.end()}});
          break;
        }
        Deadlock::Step step;
        const LockWord* const lock =
            seen.insert(who).second ? awaited_lock(snapshot, who, step) : nullptr;
        if (lock == nullptr || lock->thread == 0) break;
        way.push_back(step);
        who = {lock->process, lock->thread};
      }
    }
  }
}

// A worker's slot is made by the owner of its pool, and the worker is the first process that gets
// it; those that are forked later inherit it.
void find_pools(Snapshot& snapshot) {
  std::map<int, Pool> pools;
  for (const auto& [id, object] : snapshot.objects) {
    if (object.description.kind != Kind::worker || object.processes.empty()) continue;
    std::vector<std::tuple<std::uint64_t, int>> holders;
    for (const int pid : object.processes) {
      const auto at = snapshot.processes.find(pid);
      if (at != snapshot.processes.end()) holders.emplace_back(at->second.started, pid);
    }
    if (holders.empty()) continue;
    std::sort(holders.begin(), holders.end());
    const int owner = std::get<1>(holders[0]);
    pools[owner].owner = owner;
    pools[owner].workers.push_back({holders.size() > 1 ? std::get<1>(holders[1]) : 0, id});
  }
  for (auto& [owner, pool] : pools) {
    std::sort(pool.workers.begin(), pool.workers.end(),
              [](const auto& a, const auto& b) { return a.pid < b.pid; });
    snapshot.pools.push_back(std::move(pool));
  }
}

// Clients are at the other end of a server's pipes.
void find_managers(Snapshot& snapshot) {
  for (const auto& [pid, process] : snapshot.processes) {
    if (process.manager_address.empty()) continue;
    ManagerServer server{pid, process.manager_address, {}};
    for (const ObjectId& id : process.objects) {
      const Description& description = snapshot.objects.at(id).description;
      const auto& ends = description.roles;
      if (description.kind != Kind::pipe || ends.size() != 2) continue;
      for (std::size_t end = 0; end < 2; ++end) {
        if (ends[end].process == pid && ends[1 - end].process != pid) {
          server.clients.insert(ends[1 - end].process);
        }
      }
    }
    snapshot.managers.push_back(std::move(server));
  }
}

void name_others(Snapshot& snapshot) {
  const auto name = [&](int pid) {
    if (pid <= 0 || snapshot.processes.contains(pid) || snapshot.names.contains(pid)) return;
    if (const auto status = proc::status(proc::path(pid, "stat"))) {
      snapshot.names.emplace(pid, status->name);
    }
  };
  for (const auto& [id, object] : snapshot.objects) {
    for (const LockWord& lock : object.description.locks) name(lock.process);
    for (const Role& role : object.description.roles) name(role.process);
    for (const Role& role : object.description.parked) name(role.process);
  }
}

void set_rates(Snapshot& now, const Snapshot& before) {
  const double seconds = std::chrono::duration<double>(now.time - before.time).count();
  if (!(seconds > 0)) return;
  for (auto& [id, object] : now.objects) {
    const auto old = before.objects.find(id);
    if (old == before.objects.end()) continue;
    const auto& old_counters = old->second.description.counters;
    for (const Counter& counter : object.description.counters) {
      const auto at = std::find_if(old_counters.begin(), old_counters.end(),
                                   [&](const Counter& one) { return one.key == counter.key; });
      if (at == old_counters.end()) continue;
      std::uint64_t grown = counter.value - at->value;
      if (counter.modulus != 0) grown %= counter.modulus;
      object.rates.push_back({counter.key, static_cast<double>(grown) / seconds});
    }
  }
}

std::vector<int> keep_only(Snapshot& snapshot, const std::set<int>& pids) {
  std::set<int> family = pids;
  for (const auto& [pid, process] : snapshot.processes) {
    if (descends_from(snapshot, pid, pids)) family.insert(pid);
  }
  const auto wanted = [&](int pid) { return family.contains(pid); };
  std::erase_if(snapshot.pools, [&](const Pool& pool) {
    return !wanted(pool.owner) &&
           std::none_of(pool.workers.begin(), pool.workers.end(),
                        [&](const Pool::Worker& worker) { return wanted(worker.pid); });
  });
  std::erase_if(snapshot.managers, [&](const ManagerServer& server) {
    return !wanted(server.pid) &&
           std::none_of(server.clients.begin(), server.clients.end(), wanted);
  });
  std::erase_if(snapshot.deadlocks, [&](const Deadlock& deadlock) {
    return std::none_of(deadlock.steps.begin(), deadlock.steps.end(),
                        [&](const Deadlock::Step& step) { return wanted(step.waits.process); });
  });

  std::set<ObjectId> objects;
  for (const Pool& pool : snapshot.pools) {
    for (const Pool::Worker& worker : pool.workers) objects.insert(worker.slot);
  }
  for (const Deadlock& deadlock : snapshot.deadlocks) {
    for (const Deadlock::Step& step : deadlock.steps) objects.insert(step.object);
  }
  std::erase_if(snapshot.processes, [&](const auto& entry) {
    const Process& process = entry.second;
    if (wanted(process.pid)) {
      objects.insert(process.objects.begin(), process.objects.end());
      return false;
    }
    snapshot.names.emplace(process.pid, process.name);
    return true;
  });
  std::erase_if(snapshot.objects,
                [&](const auto& entry) { return !objects.contains(entry.first); });

  snapshot.processes_refused = 0;  // those that were asked for are what is returned
  std::vector<int> missing;
  for (const int pid : pids) {
    if (proc::read_text(proc::path(pid, "maps"), 1).error != 0) missing.push_back(pid);
  }
  return missing;
}

}  // namespace tandem::tools
