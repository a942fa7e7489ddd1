#include "tandem/parallel.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/generated.hpp"
#include "support/start_methods.hpp"
#include "tandem/pipe.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using ParallelTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(ParallelTest);

int add(int a, int b) { return a + b; }
int fail_on_odd(int x) {
  if (x % 2 != 0) throw std::domain_error(std::to_string(x));
  return x;
}
int own_pid() { return ::getpid(); }
std::string twice(const std::string& text) { return text + text; }

auto squares_below(int n) {
  return test::Generated(n, [](int i) { return delayed([](int x) { return x * x; })(i); });
}

TEST_P(ParallelTest, ResultsComeInTheOrderOfTheCalls) {
  for (const int n_jobs : {1, 2, 3}) {
    Parallel parallel(n_jobs);
    std::vector<int> results = parallel(squares_below(500));
    ASSERT_EQ(results.size(), 500u);
    for (int i = 0; i < 500; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)], i * i);
  }
}

TEST_P(ParallelTest, CallsMayBeKeptInAContainerOrAList) {
  for (const int n_jobs : {1, 2}) {
    Parallel parallel(n_jobs);
    EXPECT_THAT(parallel({delayed(add)(1, 2), delayed(add)(3, 4)}), ElementsAre(3, 7));
    std::vector<decltype(delayed(twice)("text"))> calls;
    EXPECT_THAT(parallel(calls), IsEmpty());
    calls.push_back(delayed(twice)("ab"));
    calls.push_back(delayed(twice)(std::string("c")));
    EXPECT_THAT(parallel(calls), ElementsAre("abab", "cc"));
    EXPECT_THAT(parallel(calls), ElementsAre("abab", "cc"));  // they are as they were
  }
}

TEST_P(ParallelTest, AConstContainerWillDo) {
  const std::vector calls{delayed(add)(1, 1), delayed(add)(2, 2)};
  EXPECT_THAT(Parallel(2)(calls), ElementsAre(2, 4));
  EXPECT_THAT(Parallel(1)(calls), ElementsAre(2, 4));
}

TEST_P(ParallelTest, OneJobIsDoneInThisProcess) {
  Parallel alone(1);
  EXPECT_EQ(alone.n_jobs(), 1u);
  EXPECT_TRUE(active_children().empty());
  EXPECT_THAT(alone({delayed(own_pid)()}), ElementsAre(::getpid()));
  Parallel two(2);
  EXPECT_EQ(two.n_jobs(), 2u);
  EXPECT_THAT(two({delayed(own_pid)()}), testing::Not(testing::Contains(::getpid())));
}

TEST_P(ParallelTest, AnInitializerAsksForAWorker) {
  Queue<int> begun;
  Parallel parallel(ParallelOptions{
      .n_jobs = 1, .pool = {.initializer = call([](Queue<int> q) { q.put(::getpid()); }, begun)}});
  EXPECT_EQ(parallel.n_jobs(), 1u);
  const std::vector<int> pids = parallel({delayed(own_pid)()});
  EXPECT_THAT(pids, ElementsAre(begun.get()));
  EXPECT_NE(pids[0], ::getpid());
}

TEST_P(ParallelTest, JobsAreCountedAsJoblibDoes) {
  const std::size_t cpus = cpu_count();
  EXPECT_EQ(Parallel().n_jobs(), cpus);
  EXPECT_EQ(Parallel(0).n_jobs(), cpus);
  EXPECT_EQ(Parallel(-1).n_jobs(), cpus);
  EXPECT_EQ(Parallel(-2).n_jobs(), cpus > 1 ? cpus - 1 : 1);
  EXPECT_EQ(Parallel(-100000).n_jobs(), 1u);
}

TEST_P(ParallelTest, ItsWorkersServeManyRuns) {
  Parallel parallel(2);
  std::set<int> pids;
  for (int run = 0; run < 5; ++run) {
    for (const int pid : parallel(std::vector(20, delayed(own_pid)()))) pids.insert(pid);
  }
  EXPECT_LE(pids.size(), 2u);
}

TEST_P(ParallelTest, VoidCalls) {
  for (const int n_jobs : {1, 2}) {
    Queue<int> seen;
    const auto put = [](Queue<int> queue, int i) { queue.put(i); };
    Parallel parallel(n_jobs);
    static_assert(std::is_void_v<decltype(parallel({delayed(put)(seen, 1)}))>);
    parallel({delayed(put)(seen, 1), delayed(put)(seen, 2)});
    EXPECT_EQ(seen.get() + seen.get(), 3);
  }
}

TEST_P(ParallelTest, MoveOnlyArgumentsAndResults) {
  for (const int n_jobs : {1, 2}) {
    const auto count_up = [](std::unique_ptr<int> n) {
      ++*n;
      return n;
    };
    std::vector<decltype(delayed(count_up)(std::make_unique<int>(1)))> calls;
    calls.push_back(delayed(count_up)(std::make_unique<int>(1)));
    calls.push_back(delayed(count_up)(std::make_unique<int>(41)));
    const std::vector<std::unique_ptr<int>> results = Parallel(n_jobs)(calls);
    ASSERT_EQ(results.size(), 2u);
    EXPECT_EQ(*results[1], 42);
  }
}

TEST_P(ParallelTest, AConnectionGoesAlong) {
  for (const int n_jobs : {1, 2}) {
    auto [reader, writer] = OneWayPipe<int>();
    const auto send = [](Writer<int> to) { to.send(7); };
    std::vector<decltype(delayed(send)(std::move(writer)))> calls;
    calls.push_back(delayed(send)(std::move(writer)));
    Parallel parallel(n_jobs);
    parallel(calls);
    EXPECT_EQ(reader.recv(), 7);
    EXPECT_THROW(static_cast<void>(reader.recv()), EndOfFile);
  }
}

TEST_P(ParallelTest, TheFirstErrorIsThrown) {
  for (const int n_jobs : {1, 2}) {
    Parallel parallel(n_jobs);
    try {
      parallel({delayed(fail_on_odd)(2), delayed(fail_on_odd)(3), delayed(fail_on_odd)(5)});
      ADD_FAILURE() << "did not throw";
    } catch (const std::domain_error& error) {
      EXPECT_STREQ(error.what(), "3");
    }
    EXPECT_THAT(parallel({delayed(fail_on_odd)(2)}), ElementsAre(2));
  }
}

TEST_P(ParallelTest, AWorkerThatDiesIsReplaced) {
  Parallel parallel(2);
  EXPECT_THROW(parallel({delayed([]() -> int { ::_exit(1); })()}), WorkerDied);
  EXPECT_THAT(parallel({delayed(add)(1, 2)}), ElementsAre(3));
}

TEST_P(ParallelTest, AGeneratorIsNotReadAtOnce) {
  // Of the calls that wait for the first to let them go, not all can have been read before it did.
  Queue<int> go;
  int read = 0;
  int ran_before_the_end = -1;
  test::Generated calls(1000, [&](int i) {
    ++read;
    if (i == 999) ran_before_the_end = static_cast<int>(go.size());
    return delayed([](Queue<int> q, int n) {
      if (n == 0) q.put(1);
    })(go, i);
  });
  Parallel parallel(ParallelOptions{.n_jobs = 2, .tasks = {.chunksize = 1}});
  parallel(calls);
  EXPECT_EQ(read, 1000);
  EXPECT_EQ(ran_before_the_end, 1);
}

}  // namespace
}  // namespace tandem
