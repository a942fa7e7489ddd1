// What the program `tandem` finds out about running processes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "support/leak_check.hpp"
#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "tandem/tandem.hpp"
#include "tools/print.hpp"
#include "tools/scan.hpp"

namespace tandem {
namespace {

using tools::Kind;
using tools::LockWord;
using tools::Object;
using tools::Snapshot;

// --- what is looked for ---

/// What a command prints, and how it ends.
struct Output {
  std::string text;
  int code = -1;
};

Output run(const std::string& command) {
  Output output;
  FILE* const pipe = ::popen(command.c_str(), "re");
  if (pipe == nullptr) return output;
  std::array<char, 4096> piece;
  while (const std::size_t got = std::fread(piece.data(), 1, piece.size(), pipe)) {
    output.text.append(piece.data(), got);
  }
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) output.code = WEXITSTATUS(status);
  return output;
}

std::string tool(const std::string& arguments) {
  const Output output = run(TANDEM_TOOL " " + arguments);
  EXPECT_EQ(output.code, 0) << output.text;
  return output.text;
}

std::string pid_list(std::initializer_list<int> pids) {
  std::string text;
  for (const int pid : pids) text += " " + std::to_string(pid);
  return text;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Looks again until it is so; if it never is, the watchdog ends the test.
template <class F>
void until(F is_so) {
  while (!is_so()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

Snapshot look_at(std::set<int> pids) {
  Snapshot snapshot = tools::scan();
  static_cast<void>(tools::keep_only(snapshot, pids));
  return snapshot;
}
Snapshot look_at_self() { return look_at({::getpid()}); }

const Object* find(const Snapshot& snapshot, const std::string& name) {
  for (const auto& [id, object] : snapshot.objects) {
    if (object.description.name == name) return &object;
  }
  return nullptr;
}

/// Queues have no names in the interface; those of these tests have each a maxsize of its own.
const Object* find_queue(const Snapshot& snapshot, std::uint64_t maxsize) {
  for (const auto& [id, object] : snapshot.objects) {
    for (const tools::Field& one : object.description.fields) {
      if (one.key == "maxsize" && std::get<std::uint64_t>(one.value) == maxsize) return &object;
    }
  }
  return nullptr;
}

const Object* only(const Snapshot& snapshot, Kind kind) {
  const Object* found = nullptr;
  for (const auto& [id, object] : snapshot.objects) {
    if (object.description.kind != kind) continue;
    if (found != nullptr) return nullptr;
    found = &object;
  }
  return found;
}

template <class T>
std::optional<T> field(const Object& object, std::string_view key) {
  for (const tools::Field& one : object.description.fields) {
    if (one.key == key) return std::get<T>(one.value);
  }
  return std::nullopt;
}
std::optional<std::uint64_t> number(const Object& object, std::string_view key) {
  return field<std::uint64_t>(object, key);
}

std::uint64_t counter(const Object& object, std::string_view key) {
  for (const tools::Counter& one : object.description.counters) {
    if (one.key == key) return one.value;
  }
  return ~std::uint64_t{0};
}

const LockWord& lock(const Object& object, std::string_view label) {
  static const LockWord none;
  for (const LockWord& one : object.description.locks) {
    if (one.label == label) return one;
  }
  return none;
}

/// Whether a thread of that process waits for `what` of the object.
bool waits(const Object& object, int pid, std::string_view what) {
  return std::any_of(object.waiters.begin(), object.waiters.end(), [&](const tools::Waiter& one) {
    return one.who.process == pid && one.awaited == what;
  });
}

/// A process that is killed in the end.
class Child {
 public:
  template <class... Arguments>
  explicit Child(Arguments&&... arguments) : process_(std::forward<Arguments>(arguments)...) {
    process_.start();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    process_.kill();
    process_.join();
  }
  [[nodiscard]] int pid() const { return process_.pid(); }
  [[nodiscard]] Process& process() { return process_; }

 private:
  Process process_;
};

// --- locks ---

using ToolProcessTest = test::StartMethodTest;
TANDEM_OVER_START_METHODS(ToolProcessTest);

void embrace(Lock mine, Lock theirs, Barrier both_hold_one) {
  const std::lock_guard hold(mine);
  both_hold_one.wait();
  try {
    const std::lock_guard never(theirs);
  } catch (const OwnerDied&) {
    std::exit(0);
  }
}

TEST_P(ToolProcessTest, ADeadlockIsToldWithItsHoldersAndWaiters) {
  Lock first;
  Lock second;
  Barrier barrier(2);
  Child one(embrace, first, second, barrier);
  Child two(embrace, second, first, barrier);
  const std::string pids = pid_list({one.pid(), two.pid()});
  const auto who = [](int pid) {
    return "{\"pid\":" + std::to_string(pid) + ",\"tid\":" + std::to_string(pid) +
           ",\"name\":\"tool_test\"}";
  };
  const auto held_and_wanted = [&](int holder, int waiter) {
    return "{\"lock\":\"lock\",\"holder\":" + who(holder) +
           ",\"holder_died\":false,\"contended\":true,\"waiters\":[" + who(waiter) + "]}";
  };
  until([&] {
    const std::string json = tool("ps --json" + pids);
    return contains(json, held_and_wanted(one.pid(), two.pid())) &&
           contains(json, held_and_wanted(two.pid(), one.pid())) &&
           !contains(json, "\"deadlocks\":[]");
  });

  const auto line = [](int waiter, const Lock& wanted, int holder) {
    return "  tool_test[" + std::to_string(waiter) + "] waits for " + wanted.name() +
           ", held by tool_test[" + std::to_string(holder) + "]\n";
  };
  // Of a program that asks for one of them it is told all the same.
  for (const std::string& asked : {pids, pid_list({one.pid()})}) {
    until([&] {
      const std::string text = tool("ps" + asked);
      return contains(text, "DEADLOCK\n") && contains(text, line(one.pid(), second, two.pid())) &&
             contains(text, line(two.pid(), first, one.pid()));
    });
  }
}

void hold_and_say(Lock held, Event holds) {
  held.lock();
  holds.set();
  for (;;) ::pause();
}

TEST_P(ToolProcessTest, ALockWhoseOwnerDiedIsToldWithThePid) {
  Lock held;
  Event holds;
  int pid = 0;
  {
    Child child(hold_and_say, held, holds);
    pid = child.pid();
    holds.wait();
    const Snapshot before = look_at_self();
    const Object* const object = find(before, held.name());
    ASSERT_NE(object, nullptr);
    EXPECT_EQ(lock(*object, "lock").process, pid);
    EXPECT_FALSE(lock(*object, "lock").died);
    EXPECT_TRUE(object->processes.contains(pid));
    EXPECT_TRUE(object->processes.contains(::getpid()));
  }
  for (const bool told : {false, true}) {
    if (told) {
      EXPECT_THROW(held.lock(), OwnerDied);
    }
    const Snapshot after = look_at_self();
    const Object* const object = find(after, held.name());
    ASSERT_NE(object, nullptr);
    EXPECT_TRUE(lock(*object, "lock").died) << told;
    EXPECT_EQ(lock(*object, "lock").process, pid) << told;
  }
  EXPECT_TRUE(held.recover());
  held.unlock();
  const Snapshot recovered = look_at_self();
  const Object* const object = find(recovered, held.name());
  ASSERT_NE(object, nullptr);
  EXPECT_TRUE(lock(*object, "lock").free());
}

TEST(ToolTest, ARecursiveLockTellsHowOftenItIsHeld) {
  RLock held;
  held.lock();
  held.lock();
  const Snapshot snapshot = look_at_self();
  const Object* const object = find(snapshot, held.name());
  ASSERT_NE(object, nullptr);
  EXPECT_EQ(object->description.kind, Kind::rlock);
  EXPECT_EQ(number(*object, "depth"), 2U);
  EXPECT_EQ(lock(*object, "lock").process, ::getpid());
  held.unlock();
  held.unlock();
}

// --- queues and pipes ---

void get_one(Queue<int> queue) { static_cast<void>(queue.get()); }

TEST_P(ToolProcessTest, AQueueTellsItsDepthAndWhoWaits) {
  Queue<int> full({.maxsize = 100});
  Queue<int> empty({.maxsize = 7});
  for (int i = 0; i < 3; ++i) full.put(i);
  static_cast<void>(full.get());
  full.put(3);
  Child one(get_one, empty);
  Child two(get_one, empty);
  const auto waiting = [&](const Object& object, std::string_view what) {
    return waits(object, one.pid(), what) != waits(object, two.pid(), what);
  };
  // One of them waits for the item, the other for its turn.
  Snapshot snapshot;
  until([&] {
    snapshot = look_at_self();
    const Object* const object = find_queue(snapshot, 7);
    return object != nullptr && waiting(*object, "an item") && waiting(*object, "get lock");
  });

  const Object* const object = find_queue(snapshot, 100);
  ASSERT_NE(object, nullptr);
  EXPECT_EQ(object->description.problem, "");
  EXPECT_EQ(number(*object, "items"), 3U);
  EXPECT_EQ(number(*object, "bytes"), 3U * 16);
  EXPECT_EQ(number(*object, "maxsize"), 100U);
  EXPECT_EQ(counter(*object, "put"), 4U);
  EXPECT_EQ(counter(*object, "got"), 1U);
  EXPECT_EQ(field<std::string>(*object, "state"), "open");
  const Object* const other = find_queue(snapshot, 7);
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(number(*other, "items"), 0U);
  EXPECT_EQ(number(*other, "maxsize"), 7U);
  EXPECT_EQ(field<bool>(*other, "reader_parked"), true);
  const int holder = lock(*other, "get lock").process;
  EXPECT_TRUE(holder == one.pid() || holder == two.pid());
  EXPECT_TRUE(lock(*other, "put lock").free());
  EXPECT_EQ(other->processes, (std::set<int>{::getpid(), one.pid(), two.pid()}));
  const std::string text = tools::to_text(snapshot, false);
  EXPECT_TRUE(contains(text, "waits for an item: tool_test[")) << text;
}

TEST(ToolTest, RatesAreTheGrowthOfCountersOverTheTimeBetween) {
  Queue<int> queue({.maxsize = 20});
  queue.put(1);
  Snapshot before = look_at_self();
  for (int i = 0; i < 10; ++i) queue.put(i);
  Snapshot after = look_at_self();
  after.time = before.time + std::chrono::seconds(2);
  tools::set_rates(after, before);
  const Object* const object = find_queue(after, 20);
  ASSERT_NE(object, nullptr);
  std::map<std::string, double> rates;
  for (const tools::Rate& rate : object->rates) rates[rate.key] = rate.per_second;
  EXPECT_DOUBLE_EQ(rates.at("put"), 5);
  EXPECT_DOUBLE_EQ(rates.at("put_bytes"), 5 * 16);
  EXPECT_DOUBLE_EQ(rates.at("got"), 0);
}

TEST(ToolTest, CountersThatBeganAgainGiveNoHugeRates) {
  Snapshot before;
  before.time = std::chrono::steady_clock::now();
  Snapshot after;
  after.time = before.time + std::chrono::seconds(1);
  const tools::ObjectId id{1, 2};
  before.objects[id].description.counters = {{"put", 0x7ffffffe, std::uint64_t{1} << 31}};
  after.objects[id].description.counters = {{"put", 3, std::uint64_t{1} << 31}};
  tools::set_rates(after, before);
  ASSERT_EQ(after.objects[id].rates.size(), 1U);
  EXPECT_DOUBLE_EQ(after.objects[id].rates[0].per_second, 5);
}

TEST(ToolTest, ANamedQueueIsFoundUnderItsNameWhoeverHasItOpen) {
  const std::string name = test::unique_name("tool");
  {
    Queue<int> made = Queue<int>::create(name);
    Queue<int> opened = Queue<int>::open(name);
    made.put(1);
    const Snapshot snapshot = look_at_self();
    const Object* const object = find(snapshot, name);
    ASSERT_NE(object, nullptr);
    EXPECT_EQ(object->description.kind, Kind::queue);
    EXPECT_EQ(number(*object, "items"), 1U);
    EXPECT_TRUE(contains(object->path, name));
    EXPECT_EQ(object->processes, std::set<int>{::getpid()});
  }
  const Snapshot all = tools::scan();
  const Object* const alone = find(all, name);
  ASSERT_NE(alone, nullptr);
  EXPECT_TRUE(alone->processes.empty());
  EXPECT_EQ(number(*alone, "items"), 1U);
  EXPECT_TRUE(Queue<int>::remove(name));
  EXPECT_EQ(find(tools::scan(), name), nullptr);
}

TEST(ToolTest, AJoinableQueueTellsWhoHasNotFinished) {
  JoinableQueue<int> queue({.maxsize = 5});
  queue.put(1);
  queue.put(2);
  static_cast<void>(queue.get());
  const Snapshot snapshot = look_at_self();
  const Object* const object = find_queue(snapshot, 5);
  ASSERT_NE(object, nullptr);
  EXPECT_EQ(number(*object, "unfinished"), 2U);
  ASSERT_EQ(object->description.roles.size(), 1U);
  EXPECT_EQ(object->description.roles[0].process, ::getpid());
  queue.task_done();
  static_cast<void>(queue.get());
  queue.task_done();
}

void receive(Connection<int, int> end) { static_cast<void>(end.recv()); }

TEST_P(ToolProcessTest, APipeTellsItsEndsAndWhoWaitsForAMessage) {
  auto [near, far] = Pipe<int, int>();
  Child child(receive, std::move(far));
  until([&] {
    const Snapshot snapshot = look_at({child.pid()});
    const Object* const object = only(snapshot, Kind::pipe);
    return object != nullptr && object->description.parked.size() == 1 &&
           object->description.parked[0].process == child.pid() &&
           object->description.parked[0].what == "a message";
  });
  const Snapshot snapshot = look_at({child.pid()});
  const Object* const object = only(snapshot, Kind::pipe);
  ASSERT_NE(object, nullptr);
  EXPECT_EQ(object->description.roles.size(), 2U);
  EXPECT_EQ(number(*object, "0_to_1_items"), 0U);
  EXPECT_EQ(number(*object, "1_to_0_items"), 0U);
  near.send(1);
}

// --- the other objects ---

void acquire(Semaphore semaphore) { semaphore.acquire(); }
void wait_for_event(Event event) { event.wait(); }
void arrive(Barrier barrier) { barrier.wait(); }
void wait_notified(Lock mutex, Condition condition) {
  std::unique_lock hold(mutex);
  condition.wait(hold);
}

TEST_P(ToolProcessTest, WhoWaitsInTheOtherObjectsIsTold) {
  Semaphore semaphore(0);
  Event event;
  Barrier barrier(3);
  Lock mutex;
  Condition condition;
  Child for_permit(acquire, semaphore);
  Child for_event(wait_for_event, event);
  Child for_parties(arrive, barrier);
  Child for_notification(wait_notified, mutex, condition);
  until([&] {
    const Snapshot snapshot = look_at_self();
    const Object* const its_semaphore = only(snapshot, Kind::semaphore);
    const Object* const its_event = find(snapshot, event.name());
    const Object* const its_barrier = only(snapshot, Kind::barrier);
    const Object* const its_condition = only(snapshot, Kind::condition);
    return its_semaphore != nullptr && its_event != nullptr && its_barrier != nullptr &&
           its_condition != nullptr && waits(*its_semaphore, for_permit.pid(), "a permit") &&
           waits(*its_event, for_event.pid(), "the event to be set") &&
           waits(*its_barrier, for_parties.pid(), "the other parties") &&
           lock(*its_barrier, "seat 0").process == for_parties.pid() &&
           number(*its_barrier, "arrived") == 1U &&
           waits(*its_condition, for_notification.pid(), "a notification") &&
           number(*its_condition, "waiters") == 1U;
  });
}

struct Large {
  std::array<char, 100> text;
};

TEST(ToolTest, ObjectsWithoutWaitersTellTheirState) {
  BoundedSemaphore permits(3);
  permits.acquire();
  Event set;
  set.set();
  Value<std::uint32_t> small(4711);
  Value<Large> large;
  large.store(Large{});
  Array<double> array(10);
  SharedHeap heap(1 << 16);
  SharedMemory memory(100, "a label");
  const Snapshot snapshot = look_at_self();
  const auto check = [&](Kind kind) -> const Object& {
    static const Object none;
    const Object* const found = only(snapshot, kind);
    EXPECT_NE(found, nullptr) << name_of(kind);
    if (found == nullptr) return none;
    EXPECT_EQ(found->description.problem, "");
    return *found;
  };
  EXPECT_EQ(number(check(Kind::bounded_semaphore), "permits"), 2U);
  EXPECT_EQ(number(check(Kind::bounded_semaphore), "limit"), 3U);
  EXPECT_EQ(field<bool>(check(Kind::event), "set"), true);
  EXPECT_EQ(number(check(Kind::array), "elements"), 10U);
  EXPECT_EQ(field<bool>(check(Kind::heap), "damaged"), false);
  EXPECT_EQ(field<std::string>(check(Kind::memory), "label"), "a label");
  EXPECT_EQ(check(Kind::memory).size, 100U);
  const Object* const word = find(snapshot, small.name());
  ASSERT_NE(word, nullptr);
  EXPECT_EQ(number(*word, "word"), 4711U);
  const Object* const value = find(snapshot, large.name());
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(value->description.kind, Kind::value);
  EXPECT_EQ(counter(*value, "stored"), 1U);
  EXPECT_TRUE(lock(*value, "writer's lock").free());
}

// --- pools and managers ---

using ToolThreadedTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(ToolThreadedTest);

int wait_in_task(Event event) {
  event.wait();
  return 1;
}

TEST_P(ToolThreadedTest, APoolTellsWhichWorkersAreBusy) {
  Pool pool({.processes = 3});
  Event event;
  auto result = pool.apply_async(wait_in_task, event);
  until([&] {
    const Snapshot snapshot = look_at_self();
    if (snapshot.pools.size() != 1) return false;
    const tools::Pool& found = snapshot.pools[0];
    if (found.owner != ::getpid() || found.workers.size() != 3) return false;
    std::multiset<std::string> states;
    int busy = 0;
    for (const tools::Pool::Worker& worker : found.workers) {
      const Object& slot = snapshot.objects.at(worker.slot);
      const std::string state = field<std::string>(slot, "state").value_or("");
      states.insert(state);
      if (state == "running") busy = worker.pid;
    }
    if (states != std::multiset<std::string>{"idle", "idle", "running"}) return false;
    const Object* const object = find(snapshot, event.name());
    return object != nullptr && waits(*object, busy, "the event to be set");
  });
  event.set();
  EXPECT_EQ(result.get(), 1);
  pool.close();
  pool.join();
}

void insert_and_wait(DictProxy<int, int> dict, Event done, Event end) {
  dict.set(1, 2);
  done.set();
  end.wait();
}

TEST_P(ToolThreadedTest, AManagerTellsItsClients) {
  Manager manager;
  auto dict = manager.dict<int, int>();
  Event done;
  Event end;
  Process child(insert_and_wait, dict, done, end);
  child.start();
  done.wait();
  EXPECT_EQ(dict.at(1), 2);
  const Snapshot snapshot = look_at({manager.pid()});
  end.set();
  child.join();
  ASSERT_EQ(snapshot.managers.size(), 1U);
  EXPECT_EQ(snapshot.managers[0].pid, manager.pid());
  EXPECT_TRUE(snapshot.managers[0].clients.contains(::getpid()));
  EXPECT_TRUE(snapshot.managers[0].clients.contains(child.pid()));
  manager.shutdown();
}

// --- processes ---

TEST_P(ToolProcessTest, AProcessThatJoinsAnotherSaysWhichOne) {
  Lock held;
  Event holds;
  Child child(hold_and_say, held, holds);
  holds.wait();
  std::thread joiner([&] { child.process().join(); });
  until([&] {
    const Snapshot snapshot = look_at_self();
    const auto self = snapshot.processes.find(::getpid());
    if (self == snapshot.processes.end()) return false;
    return std::any_of(
        self->second.threads.begin(), self->second.threads.end(), [&](const tools::Thread& thread) {
          return contains(thread.doing,
                          "waits for the end of process " + std::to_string(child.pid()));
        });
  });
  child.process().kill();
  joiner.join();
}

// --- garbage ---

/// A memfd that anybody could have made.
class Memfd {
 public:
  Memfd(const std::string& name, std::span<const std::byte> bytes)
      : fd_(::memfd_create(name.c_str(), MFD_CLOEXEC)) {
    EXPECT_EQ(::write(fd_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  Memfd(Memfd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Memfd() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

constexpr const char* kNames[] = {
    "tandem-queue-00000000", "tandem-pipe",          "tandem-lock",
    "tandem-rlock",          "tandem-semaphore",     "tandem-bounded-semaphore",
    "tandem-condition",      "tandem-event",         "tandem-barrier",
    "tandem-memory",         "tandem-memory:a",      "tandem-memory:pool-worker",
    "tandem-start",          "tandem-nobody-s-kind", "tandem-",
};

TEST(ToolTest, GarbageUnderOurNamesIsUnreadableAndNothingElseSuffers) {
  std::mt19937_64 random(test::seed());
  std::vector<std::byte> bytes(70'000);
  for (std::byte& one : bytes) one = static_cast<std::byte>(random());
  const Queue<int> good({.maxsize = 1'000'001});
  std::vector<Memfd> garbage;
  for (const char* const name : kNames) {
    for (const std::size_t size : {0UL, 3UL, 100UL, 4096UL, bytes.size()}) {
      garbage.emplace_back(name, std::span(bytes).first(size));
    }
    // Sparse, and larger than any memory.
    garbage.emplace_back(name, std::span(bytes).first(10));
    EXPECT_EQ(::ftruncate(garbage.back().fd(), off_t{1} << 50), 0);
  }
  const Snapshot snapshot = look_at_self();
  for (const auto& [id, object] : snapshot.objects) {
    const Kind kind = object.description.kind;
    if (kind == Kind::memory || &object == find_queue(snapshot, 1'000'001)) continue;
    EXPECT_NE(object.description.problem, "") << object.description.name;
  }
  ASSERT_NE(find_queue(snapshot, 1'000'001), nullptr);
  EXPECT_EQ(find_queue(snapshot, 1'000'001)->description.problem, "");
  EXPECT_TRUE(contains(tool("ps" + pid_list({::getpid()})), "unreadable: "));
}

TEST(ToolTest, AMappedObjectWhoseMemoryWasCutOffIsUnreadable) {
  const std::vector<std::byte> bytes(8192);
  const Memfd cut("tandem-lock", bytes);
  void* const at = ::mmap(nullptr, bytes.size(), PROT_READ, MAP_SHARED, cut.fd(), 0);
  ASSERT_NE(at, MAP_FAILED);
  ASSERT_EQ(::ftruncate(cut.fd(), 10), 0);
  const Snapshot snapshot = look_at_self();
  const Object* const object = only(snapshot, Kind::lock);
  ASSERT_NE(object, nullptr);
  EXPECT_EQ(object->description.problem, "it is too small");
  ::munmap(at, bytes.size());
}

TEST(ToolTest, JsonStaysJsonWhateverThingsAreCalled) {
#if defined(TANDEM_PYTHON)
  const std::vector<std::byte> bytes(100);
  const Memfd odd("tandem-memory:\x1b[31m\n\"\\\xff\xc3\xa4\xed\xa0\x80", bytes);
  char before[16] = {};
  ASSERT_EQ(::prctl(PR_GET_NAME, before), 0);
  ASSERT_EQ(::prctl(PR_SET_NAME, "a\"b\\ (\x01\xff) c"), 0);
  const Output checked = run(TANDEM_TOOL " ps --json --interval 0.01" + pid_list({::getpid()}) +
                             " | " TANDEM_PYTHON " -m json.tool");
  const std::string text = tool("ps" + pid_list({::getpid()}));
  ASSERT_EQ(::prctl(PR_SET_NAME, before), 0);
  EXPECT_EQ(checked.code, 0);
  EXPECT_TRUE(contains(checked.text, "\"label\": \"\\u001b[31m\\n\\\"\\\\\\ufffd\\u00e4"))
      << checked.text;
  EXPECT_TRUE(contains(text, "\\x1b[31m\\x0a\"\\\\xff\xc3\xa4\\xed\\xa0\\x80")) << text;
  EXPECT_FALSE(contains(text, "\x1b"));
#else
  GTEST_SKIP() << "no python3 was found to check it with";
#endif
}

TEST(ToolTest, ProcessesThatComeAndGoMeanwhileAreNoTrouble) {
  std::atomic<bool> enough{false};
  std::thread others([&] {
    while (!enough) {
      Process child(get_one, Queue<int>());
      child.start();
      child.kill();
      child.join();
    }
  });
  for (int i = 0; i < 50; ++i) {
    const Snapshot snapshot = tools::scan();
    EXPECT_TRUE(snapshot.processes_read != 0);
    EXPECT_FALSE(tools::to_text(snapshot, false).empty());
    EXPECT_FALSE(tools::to_json(snapshot, std::nullopt).empty());
  }
  enough = true;
  others.join();
}

}  // namespace
}  // namespace tandem
