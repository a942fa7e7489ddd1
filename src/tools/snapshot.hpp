// All that was found at one time.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "os/memfd.hpp"
#include "tools/description.hpp"

namespace tandem::tools {

/// What tells an object from all others, and one process's look at it from another's.
using ObjectId = os::FileIdentity;

/// A thread, and the process it is of. 0: not known.
struct Who {
  int process = 0;
  int thread = 0;
  auto operator<=>(const Who&) const = default;
};

struct Thread {
  int id = 0;
  std::string name;
  char state = '?';
  bool runs = false;  // or is about to
  std::string doing;  // "waits for an item", "runs", "polls"; empty: not known
  // What it waits on, if that is an object of the library.
  std::optional<ObjectId> object;
  std::string awaited;              // "put lock", "an item"
  std::optional<std::size_t> lock;  // which of the object's locks, if it is one
};

struct Mapped {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t offset = 0;
  ObjectId object;
};

struct Process {
  int pid = 0;
  int parent = 0;
  std::uint64_t started = 0;
  std::string name;
  std::string command;
  std::string problem;  // what could not be read of it; empty when all was
  std::set<ObjectId> objects;
  std::vector<Mapped> mapped;
  std::string manager_address;  // of a manager's server
  std::vector<Thread> threads;
};

struct Rate {
  std::string key;
  double per_second = 0;
};

struct Waiter {
  Who who;
  std::string awaited;
  std::optional<std::size_t> lock;
};

struct Object {
  ObjectId id;
  std::uint64_t size = 0;
  std::string path;  // of one in /dev/shm
  Description description;
  std::set<int> processes;  // that have it open or mapped
  std::vector<Waiter> waiters;
  std::vector<Rate> rates;
};

/// The workers of one process's pools.
struct Pool {
  int owner = 0;
  struct Worker {
    int pid = 0;  // 0: not started, or gone
    ObjectId slot;
  };
  std::vector<Worker> workers;
};

struct ManagerServer {
  int pid = 0;
  std::string address;
  std::set<int> clients;
};

/// Each waits for a lock that the next one holds, and the last for one of the first.
struct Deadlock {
  struct Step {
    Who waits;
    ObjectId object;
    std::size_t lock = 0;
    auto operator<=>(const Step&) const = default;
  };
  std::vector<Step> steps;  // the smallest first
  auto operator<=>(const Deadlock&) const = default;
};

struct Snapshot {
  std::chrono::steady_clock::time_point time;
  std::map<int, Process> processes;  // those that have to do with the library
  std::map<ObjectId, Object> objects;
  std::vector<Pool> pools;
  std::vector<ManagerServer> managers;
  std::vector<Deadlock> deadlocks;
  std::map<int, std::string> names;   // of other processes that are named by an object
  std::size_t processes_read = 0;     // how many of this user's could be looked into
  std::size_t processes_refused = 0;  // how many could not
};

}  // namespace tandem::tools
