// What a pool shows of its work: traces, insights, the output of its workers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/json.hpp"
#include "support/numbers.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/event.hpp"
#include "tandem/log.hpp"
#include "tandem/pipe.hpp"
#include "tandem/pool.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using test::Json;
using testing::HasSubstr;

class PoolTraceTest : public test::ThreadedStartMethodTest {
 protected:
  PoolTraceTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("tandem-pool-trace-" + std::to_string(::getpid()))) {
    std::filesystem::create_directory(directory_);
  }
  ~PoolTraceTest() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::filesystem::path path(const std::string& name = "t.json") const {
    return directory_ / name;
  }
  [[nodiscard]] std::string text(const std::string& name = "t.json") const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// The events that fit.
  [[nodiscard]] std::vector<Json> events(const std::string& phase,
                                         const std::string& category = {}) const {
    std::vector<Json> fitting;
    const Json trace = test::JsonReader::read(text());
    for (const Json& event : trace["traceEvents"].array) {
      if (event["ph"].text != phase) continue;
      if (category.empty() || event["cat"].text == category) fitting.push_back(event);
    }
    return fitting;
  }
  [[nodiscard]] std::vector<Json> tasks() const { return events("X", "task"); }

 private:
  std::filesystem::path directory_;
};
TANDEM_OVER_START_METHODS(PoolTraceTest);
using PoolInsightsTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(PoolInsightsTest);
using PoolOutputTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(PoolOutputTest);

int square(int x) { return x * x; }
int fail_at_seven(int x) {
  if (x == 7) throw std::domain_error("seven: \"\n\x01</script>\xff");
  return x;
}
int die_at_seven(int x) {
  if (x == 7) ::raise(SIGKILL);
  return x;
}
void wait_a_while(Event never, int milliseconds) {
  static_cast<void>(never.wait_for(std::chrono::milliseconds(milliseconds)));
}

using test::numbers;

/// That what has a length in one lane comes one after the other.
void expect_no_overlap(const std::vector<Json>& events) {
  std::map<double, std::vector<std::pair<double, double>>> lanes;
  for (const Json& event : events) {
    const double ts = event["ts"].number;
    EXPECT_GE(ts, 0);
    EXPECT_GE(event["dur"].number, 0);
    lanes[event["tid"].number].emplace_back(ts, ts + event["dur"].number);
  }
  for (auto& [lane, spans] : lanes) {
    std::sort(spans.begin(), spans.end());
    for (std::size_t i = 1; i < spans.size(); ++i) {
      EXPECT_LE(spans[i - 1].second, spans[i].first + 1e-3) << "lane " << lane;
    }
  }
}

TEST_P(PoolTraceTest, EveryTaskIsThereOnceInTheLaneOfItsWorker) {
  std::map<double, std::string> names;
  {
    Pool pool(3);
    pool.trace_to(path());
    EXPECT_EQ(pool.map(square, numbers(500)).size(), 500u);
    EXPECT_EQ(pool.with({.chunksize = 7}).map_async(square, numbers(100)).get().size(), 100u);
    EXPECT_EQ(pool.apply(square, 3), 9);
  }
  for (const Json& event : events("M")) {
    if (event["name"].text != "thread_name") continue;
    EXPECT_TRUE(names.emplace(event["tid"].number, event["args"]["name"].text).second);
  }
  EXPECT_EQ(names.size(), 3u);

  std::map<double, std::set<double>> calls;
  for (const Json& task : tasks()) {
    const Json& args = task["args"];
    EXPECT_EQ(args["outcome"].text, "ok");
    EXPECT_GT(task["dur"].number, 0);
    EXPECT_TRUE(calls[args["call"].number].insert(args["task"].number).second);
    EXPECT_THAT(names[task["tid"].number],
                HasSubstr("(pid " + std::to_string(static_cast<int>(args["pid"].number)) + ")"));
  }
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_EQ(calls[1].size(), 500u);
  EXPECT_EQ(*calls[1].rbegin(), 499);
  EXPECT_EQ(calls[2].size(), 100u);
  EXPECT_EQ(calls[3].size(), 1u);
  expect_no_overlap(events("X"));
  EXPECT_EQ(events("X", "worker").size(), 3u);  // their starts
  EXPECT_EQ(events("i").size(), 3u);            // their ends
}

TEST_P(PoolTraceTest, FailuresSayWhatTheErrorSays) {
  {
    Pool pool(2);
    pool.trace_to(path());
    EXPECT_THROW(pool.with({.progress = {.label = "a \"label\""}}).map(fail_at_seven, numbers(10)),
                 std::domain_error);
  }
  int failed = 0;
  for (const Json& task : tasks()) {
    if (task["args"]["outcome"].text == "ok") continue;
    ++failed;
    EXPECT_EQ(task["name"].text, "a \"label\" 7");
    EXPECT_EQ(task["args"]["outcome"].text, "failed");
    EXPECT_EQ(task["args"]["error"].text, "seven: \"\n\x01</script>?");
  }
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(text().find("</script>"), std::string::npos);
}

TEST_P(PoolTraceTest, EveryAttemptIsShown) {
  {
    Pool pool(2);
    pool.trace_to(path());
    EXPECT_THROW(pool.with({.retries = 2}).map(die_at_seven, numbers(10)), WorkerDied);
  }
  std::map<double, int> attempts;
  for (const Json& task : tasks()) {
    const double index = task["args"]["task"].number;
    ++attempts[index];
    EXPECT_EQ(task["args"]["outcome"].text, index == 7 ? "died" : "ok");
  }
  ASSERT_EQ(attempts.size(), 10u);
  for (const auto& [index, times] : attempts) EXPECT_EQ(times, index == 7 ? 3 : 1) << index;
  expect_no_overlap(events("X"));
}

TEST_P(PoolTraceTest, DeathsAndReplacementsAreShown) {
  {
    Pool pool({.processes = 2, .max_tasks_per_child = 3});
    pool.trace_to(path());
    EXPECT_THROW(pool.with({.chunksize = 4}).map(die_at_seven, numbers(30)), WorkerDied);
  }
  std::set<double> indices;
  for (const Json& task : tasks()) {
    const double index = task["args"]["task"].number;
    EXPECT_TRUE(indices.insert(index).second);
    EXPECT_EQ(task["args"]["outcome"].text, index == 7 ? "died" : "ok");
    if (index == 7) {
      EXPECT_THAT(task["args"]["error"].text, HasSubstr("signal 9"));
    }
  }
  EXPECT_EQ(indices.size(), 30u);
  int died = 0;
  int replaced = 0;
  std::size_t ends = 0;
  for (const Json& end : events("i", "worker")) {
    ++ends;
    died += end["name"].text.ends_with(" died") ? 1 : 0;
    replaced += end["name"].text.ends_with(" replaced") ? 1 : 0;
    if (end["name"].text.ends_with(" died")) {
      EXPECT_EQ(end["args"]["how"].text, "was killed by signal 9");
    }
  }
  EXPECT_EQ(died, 1);
  EXPECT_GE(replaced, 7);
  EXPECT_EQ(events("X", "worker").size(), ends);  // each was started
  expect_no_overlap(events("X"));
  std::set<double> lanes;
  for (const Json& task : tasks()) lanes.insert(task["tid"].number);
  EXPECT_LE(lanes.size(), 2u);
}

TEST_P(PoolTraceTest, InitializersHaveTheirTime) {
  Event never;
  {
    Pool pool({.processes = 2, .initializer = call(wait_a_while, never, 20)});
    pool.trace_to(path());
    EXPECT_EQ(pool.map(square, numbers(4)).size(), 4u);
  }
  int initializers = 0;
  for (const Json& span : events("X", "worker")) {
    if (!span["name"].text.ends_with(" initializer")) continue;
    ++initializers;
    EXPECT_GE(span["dur"].number, 20'000);
  }
  EXPECT_EQ(initializers, 2);
  expect_no_overlap(events("X"));
}

TEST_P(PoolTraceTest, ATraceBeginsWhenItIsAskedForAndEndsWithTheNext) {
  Pool pool(1);
  EXPECT_EQ(pool.map(square, numbers(10)).size(), 10u);
  pool.trace_to(path());
  EXPECT_EQ(pool.map(square, numbers(20)).size(), 20u);
  pool.trace_to(path("second.html"));
  EXPECT_EQ(pool.map(square, numbers(30)).size(), 30u);
  EXPECT_EQ(tasks().size(), 20u);
  for (const Json& task : tasks()) EXPECT_EQ(task["args"]["call"].number, 2);
  EXPECT_EQ(events("X", "worker").size(), 1u);  // its start, though that was before
  pool.close();
  pool.join();
  const std::string page = text("second.html");
  EXPECT_THAT(page, HasSubstr("\n[4,1,1,3,29,"));
  EXPECT_EQ(page.find("\n[4,1,1,2,"), std::string::npos);
  EXPECT_EQ(tasks().size(), 20u);
}

TEST_P(PoolTraceTest, TerminateCompletesIt) {
  Event never;
  Pool pool(2);
  pool.trace_to(path());
  auto stuck = pool.apply_async([](Event e) { e.wait(); }, never);
  EXPECT_EQ(pool.apply(square, 2), 4);
  pool.terminate();
  EXPECT_EQ(tasks().size(), 1u);
  EXPECT_EQ(events("i", "worker").size(), 2u);
  for (const Json& end : events("i", "worker")) {
    EXPECT_TRUE(end["name"].text.ends_with(" ended")) << end["name"].text;
  }
}

TEST_P(PoolTraceTest, WhatCannotBeWrittenOrIsTooLateThrows) {
  Pool pool(1);
  EXPECT_THROW(pool.trace_to(path("missing/t.json")), SystemError);
  EXPECT_THROW(pool.trace_to("/dev/full"), SystemError);
  EXPECT_EQ(pool.apply(square, 2), 4);
  pool.close();
  EXPECT_THROW(pool.trace_to(path()), Closed);
}

void trace_and_hold(Connection<int, int> connection, std::filesystem::path to) {
  Pool pool(1);
  pool.trace_to(to);
  connection.send(pool.apply(square, 3));
  static_cast<void>(connection.recv());
}

TEST_P(PoolTraceTest, TheFileIsWholeWhenTheProgramIsKilled) {
  auto [mine, theirs] = Pipe<int, int>();
  Process program(trace_and_hold, std::move(theirs), path());
  program.start();
  EXPECT_EQ(mine.recv(), 9);
  program.kill();
  program.join();
  EXPECT_GE(events("M").size(), 1u);
}

int incomplete = 0;
void count_incomplete(LogLevel level, std::string_view line) {
  if (level == LogLevel::error && line.find("is incomplete") != line.npos) ++incomplete;
}

void trace_on_a_small_disk(std::filesystem::path to) {
  std::signal(SIGXFSZ, SIG_IGN);
  set_log_handler(&count_incomplete);
  const rlimit limit{1'000'000, 1'000'000};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  Pool pool(2);
  pool.trace_to(to);
  const std::vector<int> squares = pool.map(square, numbers(10'000));
  pool.close();
  pool.join();
  if (squares.size() != 10'000 || squares.back() != 9'999 * 9'999) ::_exit(1);
  if (incomplete != 1) ::_exit(2);
}

TEST_P(PoolTraceTest, AFullDiskIsLoggedAndThePoolGoesOn) {
  Process program(trace_on_a_small_disk, path());
  program.start();
  program.join();
  EXPECT_EQ(program.exitcode(), 0);
}

TEST_P(PoolInsightsTest, TimesAndTasksAddUp) {
  Event never;
  Pool pool({.processes = 2, .initializer = call(wait_a_while, never, 10), .insights = true});
  EXPECT_EQ(pool.map(square, numbers(300)).size(), 300u);
  pool.with({.progress = {.label = "slow"}}).apply(wait_a_while, never, 50);
  pool.close();
  pool.join();
  const PoolInsights insights = pool.insights();
  ASSERT_EQ(insights.workers.size(), 2u);
  std::size_t tasks = 0;
  duration busy{};
  for (const WorkerInsights& worker : insights.workers) {
    EXPECT_THAT(worker.name, HasSubstr("PoolWorker-"));
    EXPECT_GT(worker.pid, 0);
    EXPECT_GT(worker.start_up, 0ns);
    EXPECT_GE(worker.initializer, 10ms);
    EXPECT_EQ(worker.restarts, 0u);
    tasks += worker.tasks;
    busy += worker.busy;
  }
  EXPECT_EQ(tasks, 301u);
  EXPECT_GE(busy, 50ms);
  ASSERT_EQ(insights.slowest.size(), 10u);
  EXPECT_EQ(insights.slowest.front().call, "slow");
  EXPECT_EQ(insights.slowest.front().number, 2u);
  EXPECT_GE(insights.slowest.front().took, 50ms);
  EXPECT_TRUE(
      std::is_sorted(insights.slowest.begin(), insights.slowest.end(),
                     [](const TaskInsights& a, const TaskInsights& b) { return a.took > b.took; }));
}

TEST_P(PoolInsightsTest, TheSlowestTaskOfManyIsFound) {
  Pool pool({.processes = 2, .insights = true});
  Event never;
  static_cast<void>(pool.map(
      [](std::pair<int, Event> task) {
        if (task.first == 33) static_cast<void>(task.second.wait_for(100ms));
      },
      [&] {
        std::vector<std::pair<int, Event>> all;
        for (int i = 0; i < 60; ++i) all.emplace_back(i, never);
        return all;
      }()));
  const PoolInsights insights = pool.insights();
  ASSERT_FALSE(insights.slowest.empty());
  EXPECT_EQ(insights.slowest.front().index, 33u);
  EXPECT_EQ(insights.slowest.front().call, "Pool::map");
  EXPECT_GE(insights.slowest.front().took, 100ms);
}

TEST_P(PoolInsightsTest, ReplacedWorkersStayCounted) {
  Pool pool({.processes = 1, .max_tasks_per_child = 5, .insights = true});
  EXPECT_THROW(pool.with({.chunksize = 1}).map(die_at_seven, numbers(20)), WorkerDied);
  pool.close();
  pool.join();
  const PoolInsights insights = pool.insights();
  ASSERT_EQ(insights.workers.size(), 1u);
  EXPECT_EQ(insights.workers[0].tasks, 19u);
  EXPECT_GE(insights.workers[0].restarts, 4u);
  const bool lost_is_there =
      std::any_of(insights.slowest.begin(), insights.slowest.end(),
                  [](const TaskInsights& task) { return task.index == 7 && task.failed; });
  EXPECT_TRUE(lost_is_there);
}

TEST_P(PoolInsightsTest, WithoutTheOptionNoTaskIsTimed) {
  Pool pool(2);
  EXPECT_EQ(pool.map(square, numbers(100)).size(), 100u);
  const PoolInsights insights = pool.insights();
  EXPECT_TRUE(insights.slowest.empty());
  ASSERT_EQ(insights.workers.size(), 2u);
  EXPECT_EQ(insights.workers[0].tasks + insights.workers[1].tasks, 100u);
}

TEST_P(PoolInsightsTest, ATaskThatRunsCountsAsBusy) {
  Event go;
  Queue<int> begun;
  Pool pool({.processes = 1, .insights = true});
  auto running = pool.apply_async(
      [](Queue<int> q, Event e) {
        q.put(1);
        e.wait();
      },
      begun, go);
  static_cast<void>(begun.get());
  const duration before = pool.insights().workers.at(0).busy;
  EXPECT_GT(before, 0ns);
  EXPECT_GT(pool.insights().workers.at(0).busy, before);
  go.set();
  running.get();
}

/// Lines of the text by the tag in front of them, which is taken off.
std::map<std::string, std::vector<std::string>> by_tag(const std::string& text) {
  std::map<std::string, std::vector<std::string>> lines;
  EXPECT_TRUE(text.empty() || text.back() == '\n');
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    const std::size_t end = line.find("] ");
    if (!line.starts_with("[PoolWorker-") || end == line.npos) {
      ADD_FAILURE() << "no tag: " << line.substr(0, 200);
      return lines;
    }
    lines[line.substr(0, end + 1)].push_back(line.substr(end + 2));
  }
  return lines;
}

constexpr int kLines = 10'000;
std::string line_of(int task, int line) {
  std::string text = std::to_string(task) + "/" + std::to_string(line) + " ";
  const int length = line % 1000 == 999 ? 20'000 : line % 60;
  text.append(static_cast<std::size_t>(length), static_cast<char>('a' + line % 26));
  return text;
}

void write_lines(int task) {
  for (int line = 0; line < kLines; ++line) {
    const std::string text = line_of(task, line);
    if (line % 3 == 0) {
      std::cout << text << '\n';
    } else if (line % 3 == 1) {
      std::printf("%s\n", text.c_str());
    } else {
      std::cerr << text.substr(0, 3) << text.substr(3) << '\n';
    }
  }
}

TEST_P(PoolOutputTest, TaggedLinesAreWhole) {
  testing::internal::CaptureStderr();
  {
    Pool pool({.processes = 4, .tag_output = true});
    pool.with({.chunksize = 1}).map(write_lines, numbers(4));
  }
  std::map<int, int> next;
  int lines = 0;
  for (const auto& [tag, texts] : by_tag(testing::internal::GetCapturedStderr())) {
    for (const std::string& text : texts) {
      const int task = text.front() - '0';
      // In their order, too: the streams are one pipe.
      ASSERT_EQ(text, line_of(task, next[task]++)) << tag;
      ++lines;
    }
  }
  EXPECT_EQ(lines, 4 * kLines);
}

int write_and_die(int) {
  std::fputs("first line\nto standard error", stderr);
  ::raise(SIGKILL);
  return 0;
}

TEST_P(PoolOutputTest, WhatADeadWorkerLeftIsThereBeforeItsError) {
  Pool pool({.processes = 1, .tag_output = true});
  testing::internal::CaptureStderr();
  int pid = 0;
  try {
    pool.apply(write_and_die, 1);
    ADD_FAILURE();
  } catch (const WorkerDied& died) {
    pid = died.pid();
  }
  const auto lines = by_tag(testing::internal::GetCapturedStderr());
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines.begin()->first, HasSubstr(" " + std::to_string(pid) + "]"));
  EXPECT_EQ(lines.begin()->second, (std::vector<std::string>{"first line", "to standard error"}));
}

void write_much(Event written) {
  const std::string line(99, 'x');
  for (int i = 0; i < 20'000; ++i) std::cout << line << '\n';
  std::cout.flush();
  written.set();
}

TEST_P(PoolOutputTest, NoWorkerWaitsForWhoLooksAfterThePool) {
  Pool pool({.processes = 1, .tag_output = true});
  testing::internal::CaptureStderr();
  Event written;
  auto pending = pool.apply_async(write_much, written);
  written.wait();
  pending.get();
  pool.close();
  pool.join();
  EXPECT_EQ(by_tag(testing::internal::GetCapturedStderr()).begin()->second.size(), 20'000u);
}

int leave_a_child(Connection<int, int> connection) {
  const int child = ::fork();
  if (child != 0) return child;
  static_cast<void>(::write(STDOUT_FILENO, "from the child\n", 15));
  connection.send(1);
  for (;;) ::pause();
}

TEST_P(PoolOutputTest, AChildOfAWorkerThatStaysDoesNotHoldUpTheEnd) {
  testing::internal::CaptureStderr();
  auto [mine, theirs] = Pipe<int, int>();
  int child = 0;
  {
    Pool pool({.processes = 1, .tag_output = true});
    child = pool.apply(leave_a_child, std::move(theirs));
    EXPECT_EQ(mine.recv(), 1);
  }
  ASSERT_GT(child, 0);
  ::kill(child, SIGKILL);
  const auto lines = by_tag(testing::internal::GetCapturedStderr());
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines.begin()->second, std::vector<std::string>{"from the child"});
}

TEST_P(PoolOutputTest, WithoutTagsLinesOnStandardOutputAreWhole) {
  testing::internal::CaptureStdout();
  {
    Pool pool(4);
    pool.with({.chunksize = 1})
        .map(
            [](int task) {
              for (int line = 0; line < 2'000; ++line) std::printf("%d/%d.\n", task, line);
            },
            numbers(4));
  }
  std::istringstream stream(testing::internal::GetCapturedStdout());
  std::map<int, int> next;
  int lines = 0;
  for (std::string line; std::getline(stream, line); ++lines) {
    const int task = line.front() - '0';
    ASSERT_EQ(line, std::to_string(task) + "/" + std::to_string(next[task]++) + ".");
  }
  EXPECT_EQ(lines, 8'000);
}

}  // namespace
}  // namespace tandem
