// Arguments, results and callables of a pool that are larger than what its workers' channels hold.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "support/large.hpp"
#include "support/numbers.hpp"
#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/call.hpp"
#include "tandem/event.hpp"
#include "tandem/pool.hpp"
#include "tandem/queue.hpp"
#include "tandem/value.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using test::numbers;
using test::Spread;

using PoolLargeTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(PoolLargeTest);

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kHuge = (test::kAsan || test::kTsan ? 4 : 32) * kMiB;

int square(int x) { return x * x; }
int worker_pid() { return ::getpid(); }

/// What happens to one of them on its way, in the midst of its large members.
enum class Fault { none, save_throws, save_dies, load_throws, load_dies };

/// Small members and large ones. A fault happens where it is encoded or decoded for the task or,
/// as it is passed on, for its result.
struct Parcel {
  int number = 0;
  std::vector<double> values;
  std::string name;
  Fault fault = Fault::none;
  pid_t maker = ::getpid();  // in whose process nobody dies

  template <class Archive>
  void save(Archive& archive) const {
    archive(fault, maker, number, values);
    if (fault == Fault::save_throws) throw std::domain_error("save");
    if (fault == Fault::save_dies && ::getpid() != maker) ::raise(SIGKILL);
    archive(name);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(fault, maker, number, values);
    if (fault == Fault::load_throws) throw std::domain_error("load");
    if (fault == Fault::load_dies && ::getpid() != maker) ::raise(SIGKILL);
    archive(name);
  }
  friend bool operator==(const Parcel&, const Parcel&) = default;
};

Parcel parcel(int number, std::size_t bytes) {
  const auto seed = static_cast<std::uint64_t>(number);
  return {.number = number,
          .values = test::doubles(bytes / 16, seed),
          .name = test::text(bytes / 2, seed)};
}

/// Made in the worker, by whose number it would differ.
Parcel make(int number, std::size_t bytes, Fault fault, pid_t maker) {
  Parcel made = parcel(number, bytes);
  made.fault = fault;
  made.maker = maker;
  return made;
}

int number_of(const Parcel& one) {
  Parcel expected = parcel(one.number, one.name.size() * 2);
  expected.maker = one.maker;
  expected.fault = one.fault;
  if (!(one == expected)) throw std::logic_error("the parcel is damaged");
  return one.number;
}

Parcel pass_on(Parcel one) { return one; }

// Faults.

/// One of eight has a fault, and fails alone.
void expect_only_the_fault_fails(Pool& pool, Fault fault, std::size_t bytes, bool as_result,
                                 std::size_t chunksize) {
  SCOPED_TRACE(testing::Message() << "fault " << static_cast<int>(fault) << ", " << bytes
                                  << " bytes, as result " << as_result << ", chunks of "
                                  << chunksize);
  constexpr int kFaulty = 3;
  std::vector<std::tuple<int, std::size_t, Fault, pid_t>> orders;
  std::vector<Parcel> parcels;
  for (int i = 0; i < 8; ++i) {
    orders.emplace_back(i, bytes, i == kFaulty ? fault : Fault::none, ::getpid());
    parcels.push_back(std::apply(make, orders.back()));
  }
  Pool::With limited = pool.with({.chunksize = chunksize, .window = 8});
  const auto expect = [&](auto results, auto expect_result) {
    for (int i = 0; i < 8; ++i) {
      if (i != kFaulty) {
        expect_result(results.next().value(), i);
      } else if (fault == Fault::load_dies || fault == Fault::save_dies) {
        EXPECT_THROW(static_cast<void>(results.next()), WorkerDied);
      } else {
        EXPECT_THROW(static_cast<void>(results.next()), std::domain_error);
      }
    }
    EXPECT_FALSE(results.next());
  };
  if (as_result) {
    expect(limited.istarmap(make, orders), [&](const Parcel& result, int i) {
      EXPECT_TRUE(result == parcels[static_cast<std::size_t>(i)]) << i;
    });
  } else {
    expect(limited.imap(number_of, parcels), [](int result, int i) { EXPECT_EQ(result, i); });
  }
}

constexpr std::array<std::size_t, 3> kSizes{3'000, 100'000, kMiB};

TEST_P(PoolLargeTest, AnErrorAmidAnArgumentIsThatTasksAlone) {
  Pool pool(2);
  for (const std::size_t bytes : kSizes) {
    for (const std::size_t chunksize : {1, 5}) {
      for (const Fault fault : {Fault::save_throws, Fault::load_throws}) {
        expect_only_the_fault_fails(pool, fault, bytes, false, chunksize);
      }
    }
  }
  for (const WorkerStats& worker : pool.stats().workers) EXPECT_EQ(worker.restarts, 0u);
}

TEST_P(PoolLargeTest, AnErrorAmidAResultIsThatTasksAlone) {
  Pool pool(2);
  for (const std::size_t bytes : kSizes) {
    for (const std::size_t chunksize : {1, 5}) {
      for (const Fault fault : {Fault::save_throws, Fault::load_throws}) {
        expect_only_the_fault_fails(pool, fault, bytes, true, chunksize);
      }
    }
  }
  for (const WorkerStats& worker : pool.stats().workers) EXPECT_EQ(worker.restarts, 0u);
}

TEST_P(PoolLargeTest, ADeathAmidAnArgumentIsThatTasksAlone) {
  Pool pool(2);
  for (const std::size_t bytes : kSizes) {
    for (const std::size_t chunksize : {1, 5}) {
      expect_only_the_fault_fails(pool, Fault::load_dies, bytes, false, chunksize);
    }
  }
}

TEST_P(PoolLargeTest, ADeathAmidAResultIsThatTasksAlone) {
  Pool pool(2);
  for (const std::size_t bytes : kSizes) {
    for (const std::size_t chunksize : {1, 5}) {
      expect_only_the_fault_fails(pool, Fault::save_dies, bytes, true, chunksize);
    }
  }
}

/// Whose encoding kills its process the first time.
struct DiesOnce {
  mutable Value<int> attempts;
  std::string body;

  template <class Archive>
  void save(Archive& archive) const {
    archive(attempts, body);
    if (attempts.fetch_add(1) == 0) ::raise(SIGKILL);
    archive(body);
  }
  template <class Archive>
  void load(Archive& archive) {
    std::string again;
    archive(attempts, body, again);
    if (again != body) throw std::logic_error("the result is damaged");
  }
};

TEST_P(PoolLargeTest, AResultThatDiesWithItsWorkerIsMadeAgain) {
  Pool pool(2);
  for (const std::size_t bytes : kSizes) {
    Value<int> attempts(0);
    const auto result = pool.with({.retries = 1})
                            .apply(
                                [](Value<int> count, std::size_t size) {
                                  return DiesOnce{count, test::text(size, 1)};
                                },
                                attempts, bytes);
    EXPECT_TRUE(result.body == test::text(bytes, 1));
    EXPECT_EQ(attempts.load(), 2);
  }
}

// Deaths at any moment.

/// Kills the only worker at random while `submit(i)` is under way, a few times.
/// \param retries whether that must not be noticed
template <class Submit, class Check>
void kill_at_random(Submit submit, Check check, bool retries) {
  Pool pool(1);
  std::mt19937_64 random(test::seed());
  const int trials = test::full_form() ? 20 : 4;
  for (int i = 0; i < trials; ++i) {
    const int pid = pool.apply(worker_pid);
    auto under_way = submit(pool.with({.retries = retries ? 1 : 0}), i);
    auto behind = pool.with({.retries = 1}).apply_async(square, i);  // it may be hit
    test::kill_within(pid, 60ms, random);
    try {
      check(std::move(under_way).get(), i);
    } catch (const WorkerDied& died) {
      EXPECT_FALSE(retries);
      EXPECT_EQ(died.pid(), pid);
    }
    EXPECT_EQ(behind.get(), i * i);
  }
}

AsyncResult<Parcel> submit_large_result(Pool::With pool, int i) {
  return pool.apply_async(make, i, kHuge, Fault::none, ::getpid());
}
AsyncResult<int> submit_large_argument(Pool::With pool, int i) {
  return pool.apply_async(number_of, parcel(i, kHuge));
}
void expect_parcel(const Parcel& result, int i) { EXPECT_TRUE(result == parcel(i, kHuge)) << i; }
void expect_number(int result, int i) { EXPECT_EQ(result, i); }

TEST_P(PoolLargeTest, ADeathAtAnyMomentOfAResultFailsOnlyIt) {
  kill_at_random(submit_large_result, expect_parcel, false);
}
TEST_P(PoolLargeTest, ADeathAtAnyMomentOfAnArgumentFailsOnlyIt) {
  kill_at_random(submit_large_argument, expect_number, false);
}
TEST_P(PoolLargeTest, ADeathAtAnyMomentOfAResultIsMadeUpForByARetry) {
  kill_at_random(submit_large_result, expect_parcel, true);
}
TEST_P(PoolLargeTest, ADeathAtAnyMomentOfAnArgumentIsMadeUpForByARetry) {
  kill_at_random(submit_large_argument, expect_number, true);
}

// Small and large ones in one chunk.

/// Seven for each pattern, of which bit i says whether number i of them is large.
std::vector<Parcel> sevens(const std::vector<unsigned>& patterns) {
  std::vector<Parcel> all;
  for (const unsigned pattern : patterns) {
    const std::bitset<7> large(pattern);
    for (std::size_t i = 0; i < 7; ++i) {
      const std::size_t bytes = large[i] ? 70'000 + 40'000 * i : 16 * i;
      all.push_back(parcel(static_cast<int>(all.size()), bytes));
    }
  }
  return all;
}

/// As arguments, as results, and as both.
void expect_in_order(Pool::With pool, const std::vector<Parcel>& parcels) {
  EXPECT_EQ(pool.map(number_of, parcels), numbers(static_cast<int>(parcels.size())));
  EXPECT_TRUE(pool.map(pass_on, parcels) == parcels);
  std::vector<std::tuple<int, std::size_t, Fault, pid_t>> orders;
  for (const Parcel& one : parcels) {
    orders.emplace_back(one.number, one.name.size() * 2, Fault::none, ::getpid());
  }
  EXPECT_TRUE(pool.starmap(make, orders) == parcels);
}

TEST_P(PoolLargeTest, ChunksOfSmallAndLargeInEveryOrder) {
  Pool pool(2);
  std::vector<unsigned> patterns(128);
  std::iota(patterns.begin(), patterns.end(), 0U);
  expect_in_order(pool.with({.chunksize = 7}), sevens(patterns));
}

TEST_P(PoolLargeTest, ChunksOfSmallAndLargeUnderATimeout) {
  Pool pool(2);
  expect_in_order(pool.with({.chunksize = 7, .timeout = 1h}),
                  sevens({0, 1, 0b1000000, 0b1010101, 0b0101010, 0b1110000, 0b0000111, 127}));
}

TEST_P(PoolLargeTest, ChunksOfSmallAndLargeThatAreCutByTheWorkersEnd) {
  Pool pool({.processes = 2, .max_tasks_per_child = 2});
  expect_in_order(pool.with({.chunksize = 7}), sevens({0b1010101, 0b0110011, 127}));
}

TEST_P(PoolLargeTest, ATimeoutAmidAChunkOfLargeOnesIsThatTasksAlone) {
  const auto number_unless_odd = [](const Parcel& one) {
    while (one.number % 7 == 3) ::pause();
    return number_of(one);
  };
  Pool pool(2);
  auto results = pool.with({.chunksize = 7, .timeout = 500ms * test::kSlowdown, .window = 14})
                     .imap(number_unless_odd, sevens({127, 0b1110111}));
  for (int i = 0; i < 14; ++i) {
    if (i % 7 == 3) {
      EXPECT_THROW(static_cast<void>(results.next()), TaskTimeout);
    } else {
      EXPECT_EQ(results.next(), i);
    }
  }
}

TEST_P(PoolLargeTest, StreamsAndAsynchronousCallsOfSmallAndLarge) {
  Pool pool(2);
  const std::vector<Parcel> parcels = sevens({0b1010101, 0b0110011, 0, 127});
  EXPECT_TRUE(pool.with({.chunksize = 7}).map_async(pass_on, parcels).get() == parcels);
  int next = 0;
  for (const Parcel& one : pool.imap(pass_on, parcels)) {
    EXPECT_TRUE(one == parcels[static_cast<std::size_t>(next++)]);
  }
  EXPECT_EQ(next, 28);
  std::vector<int> seen;
  for (const Parcel& one : pool.imap_unordered(pass_on, parcels)) {
    seen.push_back(number_of(one));
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, numbers(28));
}

// Other things that are large.

struct Lookup {
  int offset = 0;
  std::vector<int> table;
  std::string name;

  std::size_t operator()(const Parcel& one) const {
    if (name != "lookup") throw std::logic_error("the callable is damaged");
    return static_cast<std::size_t>(table.at(static_cast<std::size_t>(one.number)) + offset) +
           one.name.size();
  }
};

TEST_P(PoolLargeTest, ACallableWithALargeMember) {
  const Lookup lookup{5, numbers(static_cast<int>(kMiB / 4)), "lookup"};
  Pool pool(2);
  const std::vector<Parcel> parcels = sevens({0b1010101, 0});
  std::vector<std::size_t> expected;
  for (const Parcel& one : parcels) expected.push_back(lookup(one));
  for (const std::size_t chunksize : {0, 1, 7}) {
    Pool::With limited = pool.with({.chunksize = chunksize});
    EXPECT_EQ(limited.map(lookup, parcels), expected);
    EXPECT_EQ(limited.map_async(lookup, parcels).get(), expected);
    std::vector<std::size_t> streamed;
    for (const std::size_t one : limited.imap(lookup, parcels)) streamed.push_back(one);
    EXPECT_EQ(streamed, expected);
  }
  EXPECT_EQ(pool.apply(lookup, parcels[2]), expected[2]);
}

Parcel kept;
std::string kept_name;
void keep(Parcel parcel_to_keep, const std::string& name) {
  kept = std::move(parcel_to_keep);
  kept_name = name;
}
std::pair<int, std::size_t> look_at_kept(int) { return {number_of(kept), kept_name.size()}; }

TEST_P(PoolLargeTest, AnInitializerWithLargeArguments) {
  Pool pool({.processes = 2,
             .max_tasks_per_child = 3,
             .initializer = call(keep, parcel(7, 4 * kMiB), test::text(kMiB, 1))});
  for (const auto& [number, size] : pool.map(look_at_kept, numbers(12))) {
    EXPECT_EQ(number, 7);
    EXPECT_EQ(size, kMiB);
  }
}

const Parcel& shared_parcel(int number) {
  static Parcel parcels[2] = {parcel(0, 3 * kMiB), parcel(1, 2 * kMiB)};
  return parcels[number % 2];
}

TEST_P(PoolLargeTest, AnArgumentThatIsConvertedOnItsWay) {
  Pool pool(1);
  std::array<char, 200'001> letters{};
  for (std::size_t i = 0; i < 200'000; ++i) letters[i] = static_cast<char>('a' + i % 26);
  const std::string text(letters.data());
  const auto& literal = reinterpret_cast<const char(&)[200'001]>(letters);  // is sent as a string
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(pool.apply([](const std::string& sent) { return sent; }, literal) == text);
  }
}

std::vector<double>& doubled(std::vector<double>& numbers) {
  for (double& number : numbers) number *= 2;
  return numbers;
}

TEST_P(PoolLargeTest, AResultMayBeAReferenceToTheArgument) {
  Pool pool(1);
  const std::vector<double> numbers(kMiB, 1.5);
  EXPECT_TRUE(pool.apply(doubled, numbers) == std::vector<double>(kMiB, 3.0));
  EXPECT_TRUE(pool.map(doubled, std::vector<std::vector<double>>{numbers}).at(0) ==
              std::vector<double>(kMiB, 3.0));
}

TEST_P(PoolLargeTest, AResultMayBeAReference) {
  Pool pool(2);
  const auto maker_apart = [](Parcel one) {
    one.maker = ::getpid();
    return one;
  };
  EXPECT_TRUE(maker_apart(pool.apply(shared_parcel, 1)) == parcel(1, 2 * kMiB));
  for (Parcel& one : pool.imap(shared_parcel, numbers(6))) {
    EXPECT_EQ(one.name.size(), (one.number == 0 ? 3 : 2) * kMiB / 2);
    EXPECT_EQ(number_of(one), one.number);
  }
}

TEST_P(PoolLargeTest, ArgumentsAndResultsThatAreMadeWhileTheyAreEncoded) {
  Pool pool(2);
  std::vector<Spread> in;
  for (std::size_t i = 0; i < 28; ++i) in.push_back({i, i % 3 == 0 ? 50'000 + i * 1'000 : i});
  const auto same = [](Spread one) { return one; };
  for (const std::size_t chunksize : {1, 7}) {
    EXPECT_TRUE(pool.with({.chunksize = chunksize}).map(same, in) == in);
  }
  EXPECT_TRUE(pool.apply(same, Spread{9, 300'000}) == (Spread{9, 300'000}));
}

/// Handles among what is large.
struct Errand {
  std::vector<double> before;
  Queue<int> queue;
  std::string between;
  Value<int> attempts;
  std::string after;
};

Errand errand(std::uint64_t seed, std::size_t bytes, Queue<int> queue, Value<int> attempts) {
  return {.before = test::doubles(bytes / 8, seed),
          .queue = std::move(queue),
          .between = test::text(bytes, seed),
          .attempts = std::move(attempts),
          .after = test::text(bytes, seed + 1)};
}

/// \returns it with what the queue had
Errand run_errand(Errand one) {
  if (one.attempts.fetch_add(1) == 0) ::raise(SIGKILL);
  const int number = one.queue.get();
  const std::size_t bytes = one.between.size();
  const auto seed = static_cast<std::uint64_t>(number);
  if (one.before != test::doubles(bytes / 8, seed) || one.between != test::text(bytes, seed) ||
      one.after != test::text(bytes, seed + 1)) {
    throw std::logic_error("the errand is damaged");
  }
  one.queue.put(number + 1);
  return one;
}

TEST_P(PoolLargeTest, HandlesAmongLargeMembersAlsoWhenTheyAreSentAgain) {
  Pool pool(2);
  for (const std::size_t bytes : kSizes) {
    Queue<int> queue;
    Value<int> attempts(0);
    queue.put(5);
    Errand back = pool.with({.retries = 1}).apply(run_errand, errand(5, bytes, queue, attempts));
    EXPECT_EQ(attempts.load(), 2);
    EXPECT_EQ(back.queue.get(), 6);
    EXPECT_TRUE(back.after == test::text(bytes, 6));
    back.attempts.store(9);
    EXPECT_EQ(attempts.load(), 9);
  }
}

}  // namespace
}  // namespace tandem
