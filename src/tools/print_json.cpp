#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tandem/version.hpp"
#include "tools/json.hpp"
#include "tools/print.hpp"

namespace tandem::tools {
namespace {

class Printer {
 public:
  explicit Printer(const Snapshot& snapshot) : snapshot_(snapshot) {}

  std::string print(std::optional<double> seconds) {
    json_.object().member("version", kVersion);
    json_.key("interval_seconds");
    seconds ? json_.value(*seconds) : json_.null();
    json_.member("unreadable_processes", std::uint64_t{snapshot_.processes_refused});
    list("objects", snapshot_.objects, [&](const auto& entry) { print(entry.second); });
    list("processes", snapshot_.processes, [&](const auto& entry) { print(entry.second); });
    list("pools", snapshot_.pools, [&](const Pool& pool) { print(pool); });
    list("managers", snapshot_.managers, [&](const ManagerServer& server) { print(server); });
    list("deadlocks", snapshot_.deadlocks, [&](const Deadlock& deadlock) { print(deadlock); });
    return json_.end().text();
  }

 private:
  template <class Range, class F>
  void list(std::string_view name, const Range& range, F f) {
    json_.key(name).array();
    for (const auto& element : range) f(element);
    json_.end();
  }

  void print_process(std::string_view key, int pid) {
    if (!key.empty()) json_.key(key);
    if (pid == 0) {
      json_.null();
      return;
    }
    json_.object().member("pid", pid).member("name", process_name(snapshot_, pid)).end();
  }

  void print_who(Who who) {
    json_.object();
    json_.member("pid", who.process).member("tid", who.thread);
    json_.member("name", process_name(snapshot_, who.process));
  }

  void print(const LockWord& lock, const Object& object, std::size_t index) {
    json_.object().member("lock", lock.label).key("holder");
    if (lock.thread != 0 || lock.process != 0) {
      print_who({lock.process, lock.thread});
      json_.end();
    } else {
      json_.null();
    }
    json_.member("holder_died", lock.died).member("contended", lock.contended);
    list("waiters", object.waiters, [&](const Waiter& waiter) {
      if (waiter.lock != index) return;
      print_who(waiter.who);
      json_.end();
    });
    json_.end();
  }

  void print(const Object& object) {
    const Description& it = object.description;
    json_.object().member("kind", name_of(it.kind)).member("name", it.name);
    json_.member("device", std::uint64_t{object.id.device});
    json_.member("inode", std::uint64_t{object.id.inode});
    json_.member("size_bytes", object.size);
    json_.key("path");
    object.path.empty() ? json_.null() : json_.value(object.path);
    json_.member("readable", it.problem.empty());
    json_.key("problem");
    it.problem.empty() ? json_.null() : json_.value(it.problem);
    for (const Field& field : it.fields) {
      json_.key(field.key);
      std::visit([&](const auto& value) { json_.value(value); }, field.value);
    }
    for (const Counter& counter : it.counters) json_.member(counter.key, counter.value);
    json_.key("per_second").object();
    for (const Rate& rate : object.rates) json_.member(rate.key, rate.per_second);
    json_.end();
    std::size_t index = 0;
    list("locks", it.locks, [&](const LockWord& lock) { print(lock, object, index++); });
    list("waiting", object.waiters, [&](const Waiter& waiter) {
      if (waiter.lock) return;
      print_who(waiter.who);
      json_.member("for", waiter.awaited).end();
    });
    print_roles("parked", "for", it.parked);
    print_roles("roles", "role", it.roles);
    list("processes", object.processes, [&](int pid) { print_process({}, pid); });
    json_.end();
  }

  void print_roles(std::string_view name, std::string_view what, const std::vector<Role>& roles) {
    list(name, roles, [&](const Role& role) {
      json_.object().member("pid", role.process);
      json_.member("name", process_name(snapshot_, role.process));
      json_.member(what, role.what).end();
    });
  }

  void print(const Process& process) {
    json_.object().member("pid", process.pid).member("name", process.name);
    json_.member("parent", process.parent).member("command", process.command);
    json_.key("problem");
    process.problem.empty() ? json_.null() : json_.value(process.problem);
    list("threads", process.threads, [&](const Thread& thread) {
      json_.object().member("tid", thread.id).member("name", thread.name);
      json_.member("state", std::string_view(&thread.state, 1)).member("doing", thread.doing);
      json_.key("waits_for");
      if (!thread.object) {
        json_.null().end();
        return;
      }
      const Description& it = snapshot_.objects.at(*thread.object).description;
      json_.object().member("kind", name_of(it.kind)).member("object", it.name);
      json_.member("what", thread.awaited).key("held_by");
      if (thread.lock && it.locks[*thread.lock].thread != 0) {
        const LockWord& lock = it.locks[*thread.lock];
        print_who({lock.process, lock.thread});
        json_.end();
      } else {
        json_.null();
      }
      json_.end().end();
    });
    json_.end();
  }

  void print(const Pool& pool) {
    json_.object();
    print_process("owner", pool.owner);
    list("workers", pool.workers, [&](const Pool::Worker& worker) {
      json_.object();
      print_process("process", worker.pid);
      const Object& object = snapshot_.objects.at(worker.slot);
      json_.member("readable", object.description.problem.empty());
      for (const Field& field : object.description.fields) {
        json_.key(field.key);
        std::visit([&](const auto& value) { json_.value(value); }, field.value);
      }
      for (const Counter& counter : object.description.counters) {
        json_.member(counter.key, counter.value);
      }
      json_.key("per_second").object();
      for (const Rate& rate : object.rates) json_.member(rate.key, rate.per_second);
      json_.end().end();
    });
    json_.end();
  }

  void print(const ManagerServer& server) {
    json_.object();
    print_process("process", server.pid);
    json_.member("address", server.address);
    list("clients", server.clients, [&](int pid) { print_process({}, pid); });
    json_.end();
  }

  void print(const Deadlock& deadlock) {
    json_.array();
    for (const Deadlock::Step& step : deadlock.steps) {
      const Description& it = snapshot_.objects.at(step.object).description;
      print_who(step.waits);
      json_.member("object", it.name).member("lock", it.locks[step.lock].label);
      json_.end();
    }
    json_.end();
  }

  const Snapshot& snapshot_;
  Json json_;
};

}  // namespace

std::string to_json(const Snapshot& snapshot, std::optional<double> seconds) {
  return Printer(snapshot).print(seconds);
}

}  // namespace tandem::tools
