// A manager's proxies as values between processes, and what happens to them when processes die.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/proc.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/error.hpp"
#include "tandem/manager.hpp"
#include "tandem/pipe.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

using ManagerSharingTest = test::StartMethodTest;
TANDEM_OVER_START_METHODS(ManagerSharingTest);

using Words = DictProxy<std::string, std::string>;
using Numbers = ListProxy<int>;

/// Looks until it is so; the watchdog is the limit.
template <class Condition>
void await(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

void await_objects(const Manager& manager, std::size_t n) {
  await([&] { return manager.statistics().objects == n; });
}

std::size_t entries(int pid, const char* what) {
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/" + what);
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

void run(Process child) {
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

template <class E, class F>
std::string what_of(F f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing of that type was thrown";
}

// --- proxies travel ---

TEST_P(ManagerSharingTest, AProxyIsAnArgument) {
  Manager manager;
  auto words = manager.dict<std::string, std::string>();
  run(Process([](const Words& w) { w["child"] = "was here"; }, words));
  EXPECT_EQ(words.at("child"), "was here");
}

TEST_P(ManagerSharingTest, AProxyGoesThroughAQueueAndAPipe) {
  Manager manager;
  auto numbers = manager.list<int>();
  Queue<Numbers> queue;
  auto [here, there] = Pipe<Numbers>();
  Process child(
      [](Queue<Numbers> q, Connection<Numbers> c) {
        q.get().push_back(1);
        c.recv().push_back(2);
      },
      queue, std::move(there));
  child.start();
  queue.put(numbers);
  here.send(numbers);
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
  EXPECT_EQ(numbers.copy(), (std::vector<int>{1, 2}));
}

TEST_P(ManagerSharingTest, AProxyInFlightKeepsItsObject) {
  Manager manager;
  Queue<Numbers> queue;
  queue.put(manager.list<int>({7}));
  await_objects(manager, 1);
  EXPECT_EQ(queue.get().at(0), 7);
  await_objects(manager, 0);
}

TEST_P(ManagerSharingTest, NestedProxiesLiveOnInOtherProcesses) {
  Manager manager;
  auto outer = manager.dict<std::string, Numbers>();
  {
    auto inner = manager.list<int>({1, 2});
    outer["inner"] = inner;
  }
  run(Process(
      [](const DictProxy<std::string, Numbers>& dict) {
        dict["inner"]->push_back(3);
        dict.at("inner").push_back(4);
      },
      outer));
  EXPECT_EQ(outer.at("inner").copy(), (std::vector<int>{1, 2, 3, 4}));
  EXPECT_EQ(manager.statistics().objects, 2u);

  const Numbers kept = outer.pop("inner");
  outer = {};
  await_objects(manager, 1);
  EXPECT_EQ(kept.size(), 4u);
}

TEST_P(ManagerSharingTest, AChildsObjectOutlivesTheChildInAContainer) {
  Manager manager;
  auto shelf = manager.list<Words>();
  auto made = manager.dict<std::string, std::string>({{"k", "v"}});
  run(Process(
      [](const ListProxy<Words>& to, Words words) {
        to.push_back(words);
        words.set("k", "w");
      },
      shelf, std::exchange(made, {})));
  EXPECT_EQ(shelf.at(0).at("k"), "w");
  await_objects(manager, 2);
}

TEST_P(ManagerSharingTest, ProxiesInsideValues) {
  Manager manager;
  using Tree = std::map<std::string, std::vector<Numbers>>;
  auto trees = manager.list<Tree>();
  {
    const auto a = manager.list<int>({1});
    const auto b = manager.list<int>({2});
    trees.push_back(Tree{{"x", {a, b}}, {"y", {a}}});
  }
  EXPECT_EQ(manager.statistics().objects, 3u);
  {
    const Tree tree = trees.at(0);
    EXPECT_EQ(tree.at("x")[0], tree.at("y")[0]);
    tree.at("y")[0].push_back(3);
    EXPECT_EQ(tree.at("x")[0].copy(), (std::vector<int>{1, 3}));
  }
  trees.clear();
  await_objects(manager, 1);
}

TEST_P(ManagerSharingTest, AnotherManagersContainerRefusesAProxy) {
  Manager manager;
  Manager other;
  auto shelf = other.list<Numbers>();
  EXPECT_THROW(shelf.push_back(manager.list<int>()), NotSendable);
  EXPECT_EQ(shelf.size(), 0u);
}

TEST_P(ManagerSharingTest, GrandchildrenToo) {
  Manager manager;
  auto numbers = manager.list<int>();
  run(Process(
      [](Numbers n) {
        Process child([](const Numbers& m) { m.push_back(2); }, n);
        child.start();
        n = {};
        child.join();
        std::exit(child.exitcode().value_or(1));
      },
      numbers));
  EXPECT_EQ(numbers.copy(), std::vector<int>{2});
}

TEST_P(ManagerSharingTest, ThreadsShareAConnection) {
  constexpr int kThreads = 6;
  constexpr int kTimes = 500 / test::kSlowdown;
  Manager manager;
  auto counts = manager.dict<int, long>({{0, 0}});
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&manager, counts] {
      for (int i = 0; i < kTimes; ++i) {
        counts.fetch_add(0, 1);
        auto own = manager.list<DictProxy<int, long>>({counts});
        own.at(0).fetch_add(0, 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counts.at(0), 2 * kThreads * kTimes);
  EXPECT_EQ(manager.statistics().connections, 1u);
  await_objects(manager, 1);
}

// --- fork ---

TEST(ManagerForkTest, AForkedChildHasWhatItsParentHad) {
  Manager manager;
  auto numbers = manager.list<int>({1});
  auto [here, there] = Pipe<int>();
  Process child(start::fork, [numbers, there = std::move(there)]() mutable {
    static_cast<void>(there.recv());  // until the parent has let go
    numbers.push_back(2);
    there.send(static_cast<int>(numbers.size()));
  });
  child.start();
  numbers = {};
  EXPECT_EQ(manager.statistics().objects, 1u);  // what was let go has arrived there
  here.send(0);
  EXPECT_EQ(here.recv(), 2);
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
}

TEST(ManagerForkTest, WhatAForkedChildNeverUsedGoesWithIt) {
  Manager manager;
  auto numbers = manager.list<int>({1});
  Process child(start::fork, [numbers] { ::pause(); });
  child.start();
  numbers = {};
  EXPECT_EQ(manager.statistics().objects, 1u);
  child.kill();
  child.join();
}

TEST(ManagerForkTest, AForkBesideCallsOfOtherThreads) {
  constexpr int kForks = 30 / test::kSlowdown;
  Manager manager;
  auto counts = manager.dict<int, long>({{0, 0}, {1, 0}});
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      while (!stop) counts.fetch_add(0, 1);
    });
  }
  for (int i = 0; i < kForks; ++i) {
    Process child(start::fork, [&counts] { counts.fetch_add(1, 1); });
    child.start();
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counts.at(1), kForks);
}

TEST(ManagerForkTest, AForkedChildDoesNotEndTheManager) {
  Manager manager;
  auto numbers = manager.list<int>();
  Process child(start::fork, [&] {
    numbers.push_back(1);
    EXPECT_THROW(manager.shutdown(), Error);
    const Manager copy = std::move(manager);
  });
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
  EXPECT_EQ(numbers.copy(), std::vector<int>{1});
}

// --- errors ---

struct Peculiar {};

TEST_P(ManagerSharingTest, ErrorsKeepTheirType) {
  Manager manager;
  auto dict = manager.dict<std::string, int>({{"k", 5}});
  EXPECT_THROW(static_cast<void>(dict.at("none")), std::out_of_range);
  EXPECT_THROW(dict.pop("none"), std::out_of_range);
  EXPECT_THROW(dict.fetch_add("none", 1), std::out_of_range);
  EXPECT_THROW(dict.apply("none", [](int&) {}), std::out_of_range);
  EXPECT_EQ(dict.size(), 1u);

  EXPECT_THROW(dict.apply("k",
                          [](int& n) {
                            n = 6;
                            throw std::invalid_argument("no");
                          }),
               std::invalid_argument);
  EXPECT_THROW(dict.apply("k",
                          [](int& n) {
                            n = 6;
                            throw Peculiar();
                          }),
               RemoteError);
  EXPECT_EQ(dict.at("k"), 5);
}

TEST_P(ManagerSharingTest, AMessageNamesCallObjectAndServer) {
  Manager manager;
  auto list = manager.list<int>();
  const std::string what = what_of<std::out_of_range>([&] { static_cast<void>(list.at(3)); });
  EXPECT_NE(what.find("ListProxy::at on list "), std::string::npos) << what;
  EXPECT_NE(what.find("server pid " + std::to_string(manager.pid())), std::string::npos) << what;
}

TEST_P(ManagerSharingTest, ACallIntoAManagerFromItsServerIsAnError) {
  Manager manager;
  auto numbers = manager.list<int>({1});
  auto shelf = manager.list<Numbers>({numbers});
  EXPECT_THROW(shelf.apply(0, [](Numbers& n) { n.push_back(2); }), Error);
  EXPECT_EQ(shelf.apply(
                0,
                [](Numbers& n, Numbers with) {
                  std::swap(n, with);
                  return with;
                },
                manager.list<int>({8})),
            numbers);
  EXPECT_EQ(shelf.at(0).at(0), 8);
}

// --- the end of the server ---

TEST_P(ManagerSharingTest, AfterShutdown) {
  Manager manager;
  auto numbers = manager.list<int>();
  manager.shutdown();
  manager.shutdown();
  EXPECT_THROW(static_cast<void>(numbers.size()), EndOfFile);
  EXPECT_THROW(static_cast<void>(manager.list<int>()), Closed);
}

TEST_P(ManagerSharingTest, TheServersDeathIsTheEndForAll) {
  Manager manager;
  auto numbers = manager.list<int>({0});
  auto [here, there] = Pipe<int>();
  Process child(
      [](Numbers n, Connection<int> parent) {
        try {
          n.apply(0, [](int& v) {
            v = 1;
            ::kill(::getpid(), SIGKILL);
          });
        } catch (const EndOfFile&) {
          parent.send(1);
        }
      },
      numbers, std::move(there));
  child.start();
  EXPECT_EQ(here.recv(), 1);
  child.join();
  EXPECT_EQ(child.exitcode(), 0);
  const std::string what = what_of<EndOfFile>([&] { static_cast<void>(numbers.size()); });
  EXPECT_NE(what.find("ListProxy::size on list "), std::string::npos) << what;
  EXPECT_THROW(static_cast<void>(numbers.at(0)), EndOfFile);
  EXPECT_THROW(static_cast<void>(manager.list<int>()), EndOfFile);
}

TEST_P(ManagerSharingTest, AProxyOfADeadServerStillArrives) {
  Queue<Numbers> queue;
  Manager manager;
  queue.put(manager.list<int>());
  manager.shutdown();
  const Numbers numbers = queue.get();
  EXPECT_THROW(static_cast<void>(numbers.size()), EndOfFile);
}

TEST_P(ManagerSharingTest, TheServerOutlastsNoOwner) {
  auto [here, there] = Pipe<Numbers>();
  Process owner(
      [](Connection<Numbers> to) {
        Manager manager;
        to.send(manager.list<int>({1}));
        static_cast<void>(to.recv());
        ::kill(::getpid(), SIGKILL);
      },
      std::move(there));
  owner.start();
  const Numbers numbers = here.recv();
  EXPECT_EQ(numbers.at(0), 1);
  here.send(numbers);
  owner.join();
  await([&] {
    try {
      static_cast<void>(numbers.size());
      return false;
    } catch (const EndOfFile&) {
      return true;
    }
  });
}

TEST_P(ManagerSharingTest, ASlowStepDoesNotHoldUpTheEndForEver) {
  Manager manager;
  auto numbers = manager.list<int>({0});
  std::thread stuck([&] { EXPECT_THROW(numbers.apply(0, [](int&) { ::pause(); }), EndOfFile); });
  const std::string where = "/proc/" + std::to_string(manager.pid()) + "/syscall";
  await([&] { return test::first_line(where).starts_with(std::to_string(SYS_pause) + " "); });
  manager.shutdown();
  stuck.join();
}

// --- the end of clients ---

void hold_and_wait(const DictProxy<std::string, int>& state, ListProxy<Numbers> shelf) {
  const auto mine = shelf.at(0);
  state.fetch_add("ready", 1);
  for (;;) state.set("noise", mine.at(0));
}

TEST_P(ManagerSharingTest, KilledClientsLeaveNothingBehind) {
  constexpr int kClients = 6;
  Manager manager;
  auto state = manager.dict<std::string, int>({{"ready", 0}});
  auto shelf = manager.list<Numbers>({manager.list<int>({1})});
  const std::size_t descriptors = entries(manager.pid(), "fd");
  const std::size_t threads = entries(manager.pid(), "task");
  for (int round = 0; round < 3; ++round) {
    state.set("ready", 0);
    std::vector<Process> clients;
    for (int i = 0; i < kClients; ++i) clients.emplace_back(hold_and_wait, state, shelf);
    for (Process& client : clients) client.start();
    await([&] { return state.at("ready") == kClients; });
    for (Process& client : clients) client.kill();
    for (Process& client : clients) client.join();
    await([&] { return manager.statistics().connections == 1; });
    EXPECT_EQ(entries(manager.pid(), "fd"), descriptors);
    EXPECT_EQ(entries(manager.pid(), "task"), threads);
    EXPECT_EQ(manager.statistics().objects, 3u);
  }
  shelf.clear();
  await_objects(manager, 2);
}

TEST_P(ManagerSharingTest, AStoppedClientHoldsUpNobody) {
  Manager manager;
  auto blob = manager.dict<int, std::string>({{0, std::string(3'000'000, 'x')}, {1, ""}});
  Process reader(
      [](const DictProxy<int, std::string>& b) {
        for (;;) b.set(1, b.at(0));
      },
      blob);
  reader.start();
  await([&] { return blob.at(1).size() == 3'000'000; });
  for (int i = 0; i < 20; ++i) {
    ::kill(reader.pid(), SIGSTOP);
    EXPECT_EQ(blob.at(0).size(), 3'000'000u);
    ::kill(reader.pid(), SIGCONT);
  }
  reader.kill();
  reader.join();
}

// --- the end of the program ---

Numbers& kept_for_ever() {
  static Numbers numbers;
  return numbers;
}

TEST_P(ManagerSharingTest, ProxiesInStaticStorageAtTheEndOfAProcess) {
  Manager manager;
  run(Process([](Numbers numbers) { kept_for_ever() = std::move(numbers); }, manager.list<int>()));
  await_objects(manager, 0);
}

TEST_P(ManagerSharingTest, AManagerInStaticStorageEndsWithItsProcess) {
  auto [here, there] = Pipe<int>();
  Process owner(
      [](Connection<int> to) {
        static Manager manager;
        to.send(manager.pid());
      },
      std::move(there));
  owner.start();
  const int server = here.recv();
  owner.join();
  EXPECT_EQ(owner.exitcode(), 0);
  await([&] { return ::kill(server, 0) == -1; });
}

}  // namespace
}  // namespace tandem
