#include <algorithm>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/text.hpp"
#include "tools/print.hpp"
#include "tools/text.hpp"

namespace tandem::tools {
namespace {

using detail::concat;

class Printer {
 public:
  Printer(const Snapshot& snapshot, bool rates) : snapshot_(snapshot), rates_(rates) {}

  std::string print() {
    deadlocks();
    queues();
    pipes();
    locks();
    others();
    memory();
    pools();
    managers();
    processes();
    if (text_.empty()) text_ = "Nothing of tandem's is alive.\n";
    if (snapshot_.processes_refused != 0) {
      text_ +=
          concat("\nNot allowed to look into ", std::to_string(snapshot_.processes_refused),
                 snapshot_.processes_refused == 1 ? " process" : " processes", " of this user.\n");
    }
    return std::move(text_);
  }

 private:
  // --- names ---

  std::string process(int pid) const {
    const std::string name = process_name(snapshot_, pid);
    if (pid <= 0) return "an unknown process";
    return concat(name.empty() ? "(gone)" : printable(name), "[", std::to_string(pid), "]");
  }
  std::string who(Who it) const {
    if (it.process == it.thread) return process(it.process);
    if (it.process == 0) return concat("thread ", std::to_string(it.thread), " (gone)");
    return concat(process(it.process), " thread ", std::to_string(it.thread));
  }
  template <class Range, class F>
  static std::string list(const Range& range, F f) {
    std::string text;
    for (const auto& element : range) text += concat(text.empty() ? "" : ", ", f(element));
    return text;
  }
  std::string processes_of(const Object& object) const {
    if (object.processes.empty()) return "nobody has it open";
    return list(object.processes, [&](int pid) { return process(pid); });
  }
  std::string holder(const LockWord& lock) const {
    if (lock.died) {
      return lock.process > 0 ? concat("OWNER DIED: process ", std::to_string(lock.process))
                              : "OWNER DIED";
    }
    return lock.thread == 0 ? "free" : who({lock.process, lock.thread});
  }
  static std::string name_of_object(const Object& object) {
    return concat(printable(object.description.name), object.path.empty() ? "" : " (named)");
  }

  // --- values ---

  template <class T>
  static const T* field(const Object& object, std::string_view key) {
    for (const Field& one : object.description.fields) {
      if (one.key == key) return std::get_if<T>(&one.value);
    }
    return nullptr;
  }
  static bool flag(const Object& object, std::string_view key) {
    const bool* const found = field<bool>(object, key);
    return found != nullptr && *found;
  }
  static std::uint64_t number(const Object& object, std::string_view key) {
    const auto* const found = field<std::uint64_t>(object, key);
    return found == nullptr ? 0 : *found;
  }
  static std::string word(const Object& object, std::string_view key) {
    const auto* const found = field<std::string>(object, key);
    return found == nullptr ? std::string() : *found;
  }
  static std::string bytes(const Object& object, std::string_view key) {
    return byte_text(static_cast<double>(number(object, key)));
  }
  /// The rate if there are rates, else the total.
  std::string counter(const Object& object, std::string_view key) const {
    if (rates_) {
      for (const Rate& rate : object.rates) {
        if (rate.key == key) return count_text(rate.per_second);
      }
      return "-";
    }
    for (const Counter& one : object.description.counters) {
      if (one.key == key) return std::to_string(one.value);
    }
    return "-";
  }
  std::string head(const char* total) const { return concat(total, rates_ ? "/s" : ""); }

  // --- parts ---

  std::vector<const Object*> all(std::initializer_list<Kind> kinds) const {
    std::vector<const Object*> found;
    for (const auto& [id, object] : snapshot_.objects) {
      if (std::find(kinds.begin(), kinds.end(), object.description.kind) != kinds.end()) {
        found.push_back(&object);
      }
    }
    return found;
  }

  void section(const Table& table) {
    if (!text_.empty()) text_ += '\n';
    text_ += table.text();
  }

  static bool readable(const Object& object, Table& table, std::size_t columns) {
    if (object.description.problem.empty()) return true;
    std::vector<std::string> row{name_of_object(object)};
    while (row.size() + 1 < columns) row.emplace_back("-");
    row.push_back(concat("unreadable: ", object.description.problem));
    table.row(std::move(row));
    return false;
  }

  // Who holds which lock of it and who waits, below its row.
  void notes(const Object& object, Table& table) const {
    const Description& it = object.description;
    for (std::size_t i = 0; i < it.locks.size(); ++i) {
      const std::string waiting = lock_waiters(object, i);
      if (it.locks[i].free() && waiting.empty()) continue;
      table.note(concat(it.locks[i].label, ": ", holder(it.locks[i]),
                        waiting.empty() ? "" : "; wanted by ", waiting));
    }
    for (const Waiter& waiter : object.waiters) {
      if (!waiter.lock) table.note(concat("waits for ", waiter.awaited, ": ", who(waiter.who)));
    }
    for (const Role& role : it.parked) {
      table.note(concat("waits for ", role.what, ": ", process(role.process)));
    }
    for (const Role& role : it.roles) {
      if (it.kind != Kind::pipe) table.note(concat(process(role.process), " ", role.what));
    }
  }
  std::string lock_waiters(const Object& object, std::size_t lock) const {
    std::string text;
    for (const Waiter& waiter : object.waiters) {
      if (waiter.lock == lock) text += concat(text.empty() ? "" : ", ", who(waiter.who));
    }
    if (text.empty() && object.description.locks[lock].contended) text = "somebody";
    return text;
  }

  void deadlocks() {
    for (const Deadlock& deadlock : snapshot_.deadlocks) {
      text_ += "DEADLOCK\n";
      for (const Deadlock::Step& step : deadlock.steps) {
        const Description& it = snapshot_.objects.at(step.object).description;
        const LockWord& lock = it.locks[step.lock];
        text_ += concat("  ", who(step.waits), " waits for ", printable(it.name),
                        lock.label == "lock" ? "" : concat(" (", lock.label, ")"), ", held by ",
                        holder(lock), "\n");
      }
    }
  }

  void queues() {
    const auto found = all({Kind::queue});
    if (found.empty()) return;
    Table table(
        {"QUEUE", "ITEMS", "BYTES", "CAPACITY", head("PUT"), head("GOT"), "STATE", "PROCESSES"});
    for (const Object* const object : found) {
      if (!readable(*object, table, 8)) continue;
      const std::uint64_t most = number(*object, "maxsize");
      const std::string items = std::to_string(number(*object, "items"));
      table.row({name_of_object(*object),
                 most == 0 ? items : concat(items, "/", std::to_string(most)),
                 bytes(*object, "bytes"), bytes(*object, "capacity"), counter(*object, "put"),
                 counter(*object, "got"), word(*object, "state"), processes_of(*object)});
      notes(*object, table);
    }
    section(table);
  }

  void pipes() {
    const auto found = all({Kind::pipe});
    if (found.empty()) return;
    Table table({"PIPE", "0->1", head("SENT"), "1->0", head("SENT"), "ENDS"});
    for (const Object* const object : found) {
      if (!readable(*object, table, 6)) continue;
      std::string ends = list(object->description.roles, [&](const Role& role) {
        const bool closed = flag(*object, role.what == "end 0" ? "0_to_1_closed" : "1_to_0_closed");
        return concat(process(role.process), closed ? " (closed)" : "");
      });
      table.row({name_of_object(*object), depth(*object, "0_to_1_"),
                 counter(*object, "0_to_1_sent"), depth(*object, "1_to_0_"),
                 counter(*object, "1_to_0_sent"), std::move(ends)});
      notes(*object, table);
    }
    section(table);
  }
  static std::string depth(const Object& object, const std::string& way) {
    return concat(std::to_string(number(object, way + "items")), " (", bytes(object, way + "bytes"),
                  ")");
  }

  void locks() {
    const auto found = all({Kind::lock, Kind::rlock});
    if (found.empty()) return;
    Table table({"LOCK", "HELD BY", "WANTED BY", "PROCESSES"});
    for (const Object* const object : found) {
      if (!readable(*object, table, 4)) continue;
      const LockWord& lock = object->description.locks[0];
      const std::uint64_t times = number(*object, "depth");
      const std::string waiting = lock_waiters(*object, 0);
      table.row({name_of_object(*object),
                 concat(holder(lock), times > 1 ? concat(" x ", std::to_string(times)) : ""),
                 waiting.empty() ? "-" : waiting, processes_of(*object)});
    }
    section(table);
  }

  void others() {
    const auto found = all({Kind::semaphore, Kind::bounded_semaphore, Kind::condition, Kind::event,
                            Kind::barrier, Kind::value, Kind::array, Kind::heap});
    if (found.empty()) return;
    Table table({"OBJECT", "STATE", "PROCESSES"});
    for (const Object* const object : found) {
      if (!readable(*object, table, 3)) continue;
      table.row({name_of_object(*object), state(*object), processes_of(*object)});
      notes(*object, table);
    }
    section(table);
  }
  std::string state(const Object& object) const {
    const auto text = [&](std::string_view key) { return std::to_string(number(object, key)); };
    switch (object.description.kind) {
      case Kind::semaphore:
        return concat("permits: ", text("permits"));
      case Kind::bounded_semaphore:
        return concat("permits: ", text("permits"), " of ", text("limit"));
      case Kind::condition:
        return concat("waiters: ", text("waiters"),
                      ", notifications not taken: ", text("notifications_not_taken"));
      case Kind::event:
        return flag(object, "set") ? "set" : "not set";
      case Kind::barrier:
        return concat(text("arrived"), " of ", text("parties"), " have arrived",
                      flag(object, "broken") ? ", broken" : "");
      case Kind::value:
        return concat("a Value of ", bytes(object, "value_bytes"),
                      field<std::uint64_t>(object, "word") == nullptr
                          ? concat(", ", head("stored"), ": ", counter(object, "stored"))
                          : concat(", as a number: ", text("word")));
      case Kind::array:
        return concat("an Array of ", text("elements"), " x ", bytes(object, "element_bytes"));
      default:
        return concat("a SharedHeap of ", byte_text(static_cast<double>(object.size)),
                      flag(object, "damaged") ? ", damaged" : "");
    }
  }

  void memory() {
    const auto found = all({Kind::memory});
    if (found.empty()) return;
    Table table({"MEMORY", "SIZE", "LABEL", "PROCESSES"});
    for (const Object* const object : found) {
      if (!readable(*object, table, 4)) continue;
      const std::string label = printable(word(*object, "label"));
      table.row({name_of_object(*object), byte_text(static_cast<double>(object->size)),
                 label.empty() ? "-" : label, processes_of(*object)});
    }
    section(table);
  }

  void pools() {
    for (const Pool& pool : snapshot_.pools) {
      Table table({concat("POOL of ", process(pool.owner)), "STATE", "TASK", head("DONE"), "BUSY"});
      for (const Pool::Worker& worker : pool.workers) {
        const Object& object = snapshot_.objects.at(worker.slot);
        const std::string name = worker.pid == 0 ? "(no process)" : process(worker.pid);
        if (!object.description.problem.empty()) {
          table.row({name, "-", "-", "-", concat("unreadable: ", object.description.problem)});
          continue;
        }
        table.row({name, word(object, "state"),
                   flag(object, "busy") ? std::to_string(number(object, "task")) : "-",
                   counter(object, "tasks_done"), busy(object)});
      }
      section(table);
    }
  }
  std::string busy(const Object& object) const {
    if (!rates_) {
      for (const Counter& one : object.description.counters) {
        if (one.key == "busy_ns") return concat(std::to_string(one.value / 1'000'000), " ms");
      }
      return "-";
    }
    for (const Rate& rate : object.rates) {
      if (rate.key == "busy_ns") {
        return concat(std::to_string(static_cast<int>(std::min(rate.per_second / 1e7, 100.0))),
                      " %");
      }
    }
    return "-";
  }

  void managers() {
    if (snapshot_.managers.empty()) return;
    Table table({"MANAGER", "ADDRESS", "CLIENTS"});
    for (const ManagerServer& server : snapshot_.managers) {
      const std::string clients = list(server.clients, [&](int pid) { return process(pid); });
      table.row({process(server.pid), server.address, clients.empty() ? "-" : clients});
    }
    section(table);
  }

  void processes() {
    if (snapshot_.processes.empty()) return;
    Table table({"PROCESS", "THREAD", "NAME", "DOES"});
    for (const auto& [pid, one] : snapshot_.processes) {
      if (one.threads.empty()) table.row({process(pid), "-", "-", one.problem});
      for (const Thread& thread : one.threads) {
        const bool first = &thread == &one.threads.front();
        table.row({first ? process(pid) : "", std::to_string(thread.id), printable(thread.name),
                   doing(thread)});
      }
    }
    section(table);
  }
  std::string doing(const Thread& thread) const {
    if (!thread.object) return thread.doing.empty() ? "unknown" : thread.doing;
    const Description& it = snapshot_.objects.at(*thread.object).description;
    std::string text = concat("waits for ");
    if (thread.awaited != "lock") text += concat(thread.awaited, " of ");
    text += printable(it.name);
    if (thread.lock && it.locks[*thread.lock].thread != 0) {
      text += concat(", held by ", holder(it.locks[*thread.lock]));
    }
    return text;
  }

  const Snapshot& snapshot_;
  const bool rates_;
  std::string text_;
};

}  // namespace

std::string to_text(const Snapshot& snapshot, bool rates) {
  return Printer(snapshot, rates).print();
}

std::string process_name(const Snapshot& snapshot, int pid) {
  if (const auto at = snapshot.processes.find(pid); at != snapshot.processes.end()) {
    return at->second.name;
  }
  if (const auto at = snapshot.names.find(pid); at != snapshot.names.end()) return at->second;
  return {};
}

}  // namespace tandem::tools
