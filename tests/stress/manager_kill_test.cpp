// Clients of a manager are stopped and killed at random instants, in the middle of calls: every step
// that was acknowledged was done exactly once, the one on its way at most once, the survivors go on,
// and the server is left with nothing of the dead. Then the server is killed under its clients.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/proc.hpp"
#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/array.hpp"
#include "tandem/error.hpp"
#include "tandem/manager.hpp"
#include "tandem/process.hpp"

namespace tandem::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kClients = 8;
constexpr int kRounds = kTsan || kAsan ? 4 : 20;

/// What a client appends to the list all share.
struct Entry {
  std::uint32_t client = 0;
  std::uint64_t number = 0;
  std::vector<std::uint32_t> body;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(client, number, body);
  }
};

/// Most fit into one piece of a request, some need several.
Entry make_entry(std::uint32_t client, std::uint64_t number) {
  return {client, number,
          std::vector<std::uint32_t>(number % 50 == 49 ? 10'000 : number % 10,
                                     client * 1'000'003 + static_cast<std::uint32_t>(number))};
}

using Counts = DictProxy<std::string, std::int64_t>;
using Entries = ListProxy<Entry>;
using Numbers = ListProxy<std::int64_t>;
using Shelf = DictProxy<std::uint32_t, Numbers>;

struct World {
  Counts counts;
  Entries entries;
  Numbers sum;  // of all clients
  Shelf shelf;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(counts, entries, sum, shelf);
  }
};

enum Kind : std::size_t { added, applied, exchanged, appended, batched, summed, nested, kinds };
constexpr std::array<const char*, kinds> kNames = {"added",   "applied", "exchanged", "appended",
                                                   "batched", "summed",  "nested"};

std::string key_of(std::uint32_t client, Kind kind) {
  return std::to_string(client) + " " + kNames.at(kind);
}

void count_up(std::int64_t& value) { ++value; }

void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

/// One step of each kind in turn; what was acknowledged is in shared memory when the next begins.
void call_for_ever(World world, Address address, AuthKey key, Array<std::uint64_t> acknowledged,
                   std::uint32_t self) {
  Manager manager = Manager::connect(address, key);
  const std::atomic_ref<std::uint64_t> done(acknowledged.at(self));
  for (std::uint64_t step = 0;; done.store(++step)) {
    const auto kind = static_cast<Kind>(step % kinds);
    const std::string mine = key_of(self, kind);
    const auto number = static_cast<std::int64_t>(step / kinds);
    switch (kind) {
      case added:
        require(world.counts.fetch_add(mine, 1) == number, "somebody else has added");
        break;
      case applied:
        world.counts.apply(mine, count_up);
        break;
      case exchanged:
        require(world.counts.compare_exchange(mine, number, number + 1), "somebody has exchanged");
        break;
      case appended:
        world.entries.push_back(make_entry(self, step / kinds));
        break;
      case batched: {  // one request: both or none
        auto batch = world.counts.batch();
        batch.fetch_add(mine, 1);
        batch.fetch_add(mine + " too", 1);
        batch.run();
        break;
      }
      case nested: {  // objects of its own come and go
        world.shelf.set(self, manager.list<std::int64_t>({number}));
        require(world.shelf.at(self).at(0) == number, "somebody else's list");
        break;
      }
      case summed:
        world.sum.fetch_add(0, 1);
        break;
      case kinds:
        break;
    }
  }
}

std::size_t entries_of(int pid, const char* what) {
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/" + what);
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// Looks until it is so; the watchdog is the limit.
template <class Condition>
void await(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

/// Eight clients, and one after the other is stopped or killed.
class Storm {
 public:
  Storm() {
    static_cast<void>(manager_.statistics());  // it runs
    descriptors_ = entries_of(manager_.pid(), "fd");
    threads_ = entries_of(manager_.pid(), "task");
    for (std::size_t i = 0; i < kClients; ++i) add();
  }

  void run(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      const std::size_t victim = random_() % living_.size();
      const std::uint64_t least = random_() % 20;
      await([&] { return acknowledged_by(living_[victim].number) > least; });
      const int pid = living_[victim].process.pid();
      switch (random_() % 4) {
        case 0:
          stop_within(pid, 3ms, random_);
          break;
        case 1:
          signal_within(pid, SIGSTOP, 3ms, random_);
          expect_progress(victim);  // a stopped one holds up nobody
          [[fallthrough]];
        default:
          kill(victim);
          add();
      }
      expect_progress(living_.size());
    }
  }

  void finish() {
    while (!living_.empty()) kill(living_.size() - 1);
    await([&] { return manager_.statistics().connections == 1; });
    // Read only now: what the dead had sent has been done or dropped.
    std::map<std::uint32_t, std::vector<Entry>> entries;
    for (Entry& entry : world_.entries.copy()) entries[entry.client].push_back(std::move(entry));
    Range sum;
    for (std::uint32_t client = 0; client < next_; ++client) {
      expect_exact(client, entries[client]);
      const Range some = range(client, summed);
      sum = {sum.least + some.least, sum.most + some.most};
    }
    expect_within(sum, world_.sum.at(0), "the sum of all");
    world_.shelf.clear();
    EXPECT_EQ(manager_.statistics().objects, 4u);
    EXPECT_EQ(entries_of(manager_.pid(), "fd"), descriptors_);
    // Steps that took long have passed the lead on: there may be a monitor and two spares by now.
    EXPECT_LE(entries_of(manager_.pid(), "task"), threads_ + 3);
  }

 private:
  struct Living {
    std::uint32_t number;
    Process process;
  };

  void add() {
    for (std::size_t kind = 0; kind < kinds; ++kind) {
      world_.counts.set(key_of(next_, static_cast<Kind>(kind)), 0);
    }
    world_.counts.set(key_of(next_, batched) + " too", 0);
    living_.push_back({next_, Process(call_for_ever, world_, manager_.address(), manager_.authkey(),
                                      acknowledged_, next_)});
    living_.back().process.start();
    ++next_;
  }
  void kill(std::size_t victim) {
    kill_within(living_[victim].process.pid(), 3ms, random_);
    living_[victim].process.join();
    EXPECT_EQ(living_[victim].process.exitcode(), -SIGKILL);
    living_.erase(living_.begin() + static_cast<std::ptrdiff_t>(victim));
  }
  [[nodiscard]] std::uint64_t acknowledged_by(std::uint32_t client) const {
    return std::atomic_ref(acknowledged_.at(client)).load();
  }
  /// Each goes on, but the one that is stopped.
  void expect_progress(std::size_t but) const {
    for (std::size_t i = 0; i < living_.size(); ++i) {
      if (i == but) continue;
      const std::uint64_t before = acknowledged_by(living_[i].number);
      await([&] { return acknowledged_by(living_[i].number) != before; });
    }
  }

  struct Range {
    std::int64_t least = 0;
    std::int64_t most = 0;
  };
  /// How often a step was done: as often as its client was told, and once more only if that is where
  /// it was killed.
  [[nodiscard]] Range range(std::uint32_t client, Kind kind) const {
    const std::uint64_t steps = acknowledged_by(client);
    const auto told = static_cast<std::int64_t>((steps + kinds - 1 - kind) / kinds);
    return {told, told + (steps % kinds == kind ? 1 : 0)};
  }
  static void expect_within(const Range& range, std::int64_t found, const std::string& what) {
    EXPECT_GE(found, range.least) << what;
    EXPECT_LE(found, range.most) << what;
  }
  void expect_exact(std::uint32_t client, const std::vector<Entry>& entries) {
    for (const Kind kind : {added, applied, exchanged, batched}) {
      const std::string key = key_of(client, kind);
      expect_within(range(client, kind), world_.counts.at(key), key);
    }
    const std::string both = key_of(client, batched);
    EXPECT_EQ(world_.counts.at(both), world_.counts.at(both + " too"));
    expect_within(range(client, appended), static_cast<std::int64_t>(entries.size()),
                  key_of(client, appended));
    for (std::uint64_t number = 0; number < entries.size(); ++number) {  // in order, none twice
      ASSERT_EQ(entries[number].number, number) << "of client " << client;
      ASSERT_EQ(entries[number].body, make_entry(client, number).body) << "of client " << client;
    }
  }

  std::mt19937_64 random_{seed()};
  Manager manager_;
  World world_{manager_.dict<std::string, std::int64_t>(), manager_.list<Entry>(),
               manager_.list<std::int64_t>({0}), manager_.dict<std::uint32_t, Numbers>()};
  Array<std::uint64_t> acknowledged_ = Array<std::uint64_t>(kClients + kRounds);  // steps of each
  std::size_t descriptors_ = 0;                                                   // of the server
  std::size_t threads_ = 0;
  std::vector<Living> living_;
  std::uint32_t next_ = 0;
};

using ManagerKillTest = StartMethodTest;
TANDEM_OVER_START_METHODS(ManagerKillTest);

TEST_P(ManagerKillTest, WhatWasAcknowledgedWasDoneOnceAndNothingOfTheDeadIsLeft) {
  Storm storm;
  storm.run(kRounds);
  storm.finish();
}

// --- the server's death ---

/// Two threads, so that one waits for the other's call. Ends when both have seen the end.
void call_until_the_end(const Counts& counts, const Array<std::uint64_t>& acknowledged,
                        std::size_t self) {
  const auto call = [&](std::size_t place) {
    try {
      for (;;) {
        counts.fetch_add("n", 1);
        std::atomic_ref(acknowledged.at(place)).fetch_add(1);
      }
    } catch (const EndOfFile&) {
    }
  };
  std::thread other([&] { call(2 * self); });
  call(2 * self + 1);
  other.join();
}

using ManagerServerKillTest = ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(ManagerServerKillTest);

bool all_threads_sleep(int pid) {
  for (const auto& thread :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    const std::string stat = first_line(thread.path().string() + "/stat");
    if (!stat.substr(stat.rfind(')') + 1).starts_with(" S")) return false;
  }
  return true;
}

TEST_P(ManagerServerKillTest, IsTheEndForThoseWhoWaitForItsAnswerToo) {
  std::mt19937_64 random(seed());
  for (const bool stopped_first : {true, false}) {
    if (!stopped_first && (kTsan || kAsan)) break;  // adds little there
    Manager manager;
    const Counts counts = manager.dict<std::string, std::int64_t>({{"n", 0}});
    const Array<std::uint64_t> acknowledged(2 * kClients);
    std::vector<Process> clients;
    for (std::size_t i = 0; i < kClients; ++i) {
      clients.emplace_back(call_until_the_end, counts, acknowledged, i);
      clients.back().start();
    }
    for (std::uint64_t& count : acknowledged.span()) {
      await([&] { return std::atomic_ref(count).load() > 0; });
    }
    if (stopped_first) {
      // Nobody answers any more: who sleeps then is in the middle of a call.
      ASSERT_EQ(::kill(manager.pid(), SIGSTOP), 0);
      await([&] { return process_table().at(manager.pid()).state == 'T'; });
      for (const Process& client : clients) await([&] { return all_threads_sleep(client.pid()); });
    }
    kill_within(manager.pid(), 3ms, random);
    for (Process& client : clients) {
      client.join();
      EXPECT_EQ(client.exitcode(), 0);
    }
    EXPECT_THROW(static_cast<void>(counts.size()), EndOfFile);
  }
}

}  // namespace
}  // namespace tandem::test
