#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "pool/output.hpp"
#include "pool/trace.hpp"
#include "pool/trace_file.hpp"
#include "pool/trace_page.hpp"
#include "support/forked.hpp"
#include "tandem/error.hpp"
#include "tandem/insights.hpp"
#include "tandem/log.hpp"

namespace tandem::detail {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class TraceTest : public testing::Test {
 protected:
  TraceTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("tandem-trace-" + std::to_string(::getpid()))) {
    std::filesystem::create_directory(directory_);
  }
  ~TraceTest() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::filesystem::path path(const std::string& name) const {
    return directory_ / name;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::filesystem::path directory_;
};

std::string json_text(std::string_view text) {
  std::string out;
  append_json_text(out, text);
  return out;
}

TEST(TraceTextTest, WhatJsonAndHtmlWouldTakeForTheirsIsEscaped) {
  EXPECT_EQ(json_text("plain, ümläut, \U0001f600"), "plain, ümläut, \U0001f600");
  EXPECT_EQ(json_text("\"\\\n\t\x01\x7f"), "\\\"\\\\\\u000a\\u0009\\u0001\\u007f");
  EXPECT_EQ(json_text("</script><!--&"), "\\u003c/script\\u003e\\u003c!--\\u0026");
  EXPECT_EQ(json_text(std::string_view("\0", 1)), "\\u0000");
}

TEST(TraceTextTest, WhatIsNotUtf8BecomesReplacementCharacters) {
  const std::string replaced = "\\ufffd";
  EXPECT_EQ(json_text("a\xff"
                      "b"),
            "a" + replaced + "b");
  EXPECT_EQ(json_text("\xc3"), replaced);                                // cut off
  EXPECT_EQ(json_text("\xc0\xaf"), replaced + replaced);                 // overlong
  EXPECT_EQ(json_text("\xed\xa0\x80"), replaced + replaced + replaced);  // a surrogate
  EXPECT_EQ(json_text("\xf4\x90\x80\x80"), replaced + replaced + replaced + replaced);
  EXPECT_EQ(json_text("\xe2\x82"), replaced + replaced);
}

TEST(TraceTextTest, LongTextIsCutBetweenCharacters) {
  const std::string cut = json_text(std::string(999, 'x') + "ä and more");
  EXPECT_EQ(cut, std::string(999, 'x') + "...");
  EXPECT_EQ(json_text(std::string(1000, 'x')), std::string(1000, 'x'));
  EXPECT_EQ(json_text(std::string(998, 'x') + "äb"), std::string(998, 'x') + "ä...");
}

TEST(TraceTextTest, MicrosecondsHaveThreeDecimals) {
  std::string out;
  append_micros(out, 1'234'005);
  EXPECT_EQ(out, "1234.005");
  out.clear();
  append_micros(out, 7);
  EXPECT_EQ(out, "0.007");
}

TEST_F(TraceTest, AFileIsWholeBetweenAnyTwoRecords) {
  TraceFile file(path("f"), "(", ")");
  EXPECT_EQ(read("f"), "()");
  file.records() += "a";
  file.flush();
  EXPECT_EQ(read("f"), "(a)");
  file.records() += "bc";
  file.flush();
  file.flush();
  EXPECT_EQ(read("f"), "(abc)");
}

TEST_F(TraceTest, RecordsAreWrittenWhenThereAreManyOrTimeHasPassed) {
  TraceFile file(path("f"), "(", ")");
  file.records() += "a";
  file.appended(5'000'000'000);
  EXPECT_EQ(read("f"), "(a)");
  file.records() += "b";
  file.appended(5'100'000'000);
  EXPECT_EQ(read("f"), "(a)");
  file.appended(6'000'000'000);
  EXPECT_EQ(read("f"), "(ab)");
  file.records() += std::string(1 << 20, 'c');
  file.appended(6'000'000'001);
  EXPECT_EQ(read("f").size(), (1u << 20) + 4);
}

TEST_F(TraceTest, AnOldFileIsReplacedAsAWhole) {
  std::ofstream(path("f")) << std::string(10'000, 'o');
  TraceFile file(path("f"), "(", ")");
  EXPECT_EQ(read("f"), "()");
}

TEST_F(TraceTest, WhatCannotBeWrittenIsAnErrorThatNamesTheFile) {
  try {
    TraceFile(path("missing/f"), "(", ")");
    FAIL();
  } catch (const SystemError& error) {
    EXPECT_EQ(error.code().value(), ENOENT);
    EXPECT_THAT(error.what(), HasSubstr("missing/f"));
  }
  EXPECT_THROW(TraceFile("/dev/full", "(", ")"), SystemError);
}

std::string logged;
void keep_log(LogLevel, std::string_view line) { logged.append(line).push_back('\n'); }

TEST_F(TraceTest, ADiskThatGetsFullIsLoggedOnceAndHarmsNothing) {
  const std::string name = path("f").string();
  test::Forked child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    set_log_handler(&keep_log);
    TraceFile file(name, "(", ")");
    for (int i = 0; i < 3; ++i) {
      file.records() += std::string(600, 'x');
      file.flush();
    }
    const std::size_t first = logged.find("is incomplete");
    return first != logged.npos && first == logged.rfind("is incomplete") ? 0 : 1;
  });
  EXPECT_EQ(child.wait(), 0);
}

WorkerLife worker() {
  return {.number = 1,
          .lane = 0,
          .name = "PoolWorker-1",
          .pid = 17,
          .began_ns = 1'000'000,
          .initializer_ns = 3'000'000,
          .ready_ns = 4'000'000};
}

TEST_F(TraceTest, EventsAreOneObjectInChromesFormat) {
  const auto trace = open_trace(path("t.json"), 1'000'000);
  trace->started(worker());
  trace->ready(worker());
  trace->task(worker(), {.kind = 1,
                         .title = "a \"b\"",
                         .call = 3,
                         .index = 5,
                         .began_ns = 5'000'000,
                         .ran_ns = 1'500});
  trace->task(worker(), {.kind = 2,
                         .title = "Pool::apply",
                         .single = true,
                         .call = 4,
                         .began_ns = 6'000'000,
                         .ran_ns = 1,
                         .outcome = Outcome::error,
                         .error = "</script>"});
  WorkerLife gone = worker();
  gone.gone_ns = 7'000'000;
  trace->gone(gone, Departure::died, "was killed by signal 9");
  trace->finish();
  const std::string text = read("t.json");
  EXPECT_THAT(text, StartsWith(R"({"displayTimeUnit":"ms","traceEvents":[)"));
  EXPECT_THAT(text, EndsWith("\n]}\n"));
  EXPECT_THAT(text, HasSubstr("PoolWorker-1 (pid 17)\"}}"));
  EXPECT_THAT(text, HasSubstr(R"({"name":"PoolWorker-1 start","cat":"worker","ph":"X")"));
  EXPECT_THAT(text, HasSubstr(R"("tid":1,"ts":0.000,"dur":2000.000,)"));
  EXPECT_THAT(text, HasSubstr(R"("tid":1,"ts":2000.000,"dur":1000.000,)"));
  EXPECT_THAT(text, HasSubstr(R"({"name":"a \"b\" 5","cat":"task","ph":"X")"));
  EXPECT_THAT(
      text,
      HasSubstr(
          R"("ts":4000.000,"dur":1.500,"args":{"call":3,"task":5,"pid":17,"outcome":"ok"}})"));
  EXPECT_THAT(text, HasSubstr(R"("name":"Pool::apply #4")"));
  EXPECT_THAT(text, HasSubstr(R"("outcome":"failed","error":"\u003c/script\u003e"}})"));
  EXPECT_THAT(text, HasSubstr(R"({"name":"PoolWorker-1 died","cat":"worker","ph":"i","s":"t")"));
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST_F(TraceTest, APageIsTheSourceWithRowsInIt) {
  const auto trace = open_trace(path("t.html"), 1'000'000);
  EXPECT_THAT(read("t.html"), EndsWith("</html>\n"));  // from the beginning
  trace->started(worker());
  trace->ready(worker());
  trace->task(worker(), {.kind = 1,
                         .title = "</script>",
                         .call = 3,
                         .index = 5,
                         .began_ns = 5'000'000,
                         .ran_ns = 1'500});
  trace->finish();
  const std::string text = read("t.html");
  EXPECT_THAT(text, HasSubstr("[0,1,0,\"PoolWorker-1\",17,0],\n[1,1,2000000,3000000],\n"
                              "[3,1,\"\\u003c/script\\u003e\",0],\n[4,1,1,3,5,4000000,1500]\n]"));
  EXPECT_EQ(count(text, "</script>"), count(std::string(trace_page), "</script>"));
  EXPECT_THAT(text, Not(HasSubstr("@@")));
}

TEST(TracePageTest, ThePageAsksForNothingElse) {
  const std::string page(trace_page);
  EXPECT_EQ(count(page, std::string(kTracePlace)), 1u);
  for (const char* const word : {"http:", "https:", "src=", "@import", "url(", "<link", "fetch("}) {
    EXPECT_EQ(count(page, word), 0u) << word;
  }
}

TEST_F(TraceTest, APageOfAMillionTasksStaysSmallAndLosesNone) {
  constexpr std::size_t kTasks = 1'000'000;
  const auto trace = open_trace(path("t.html"), 0);
  trace->started(worker());
  trace->ready(worker());
  std::uint64_t now_ns = 10'000'000;
  for (std::size_t i = 0; i < kTasks; ++i) {
    const bool fails = i == kTasks - 10;
    trace->task(worker(), {.kind = 1,
                           .title = "Pool::map",
                           .call = 1,
                           .index = i,
                           .began_ns = now_ns,
                           .ran_ns = 800,
                           .outcome = fails ? Outcome::error : Outcome::value,
                           .error = "late"});
    now_ns += 1'000;
  }
  trace->finish();
  std::istringstream lines(read("t.html"));
  std::size_t rows = 0;
  std::size_t tasks = 0;
  std::size_t failed = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("[4,") || line.starts_with("[5,")) {
      ++tasks;
      ++rows;
      failed += line[1] == '5' ? 1 : 0;
    } else if (line.starts_with("[7,")) {
      ++rows;
      std::istringstream row(line);
      std::string field;
      for (int i = 0; i < 8; ++i) std::getline(row, field, ',');
      tasks += std::stoul(field);
    }
  }
  EXPECT_EQ(tasks, kTasks);
  EXPECT_EQ(failed, 1u);
  EXPECT_LT(rows, 200'000u);
  EXPECT_GT(rows, 50'000u);
}

TEST(LineTaggerTest, WholeLinesAreTagged) {
  LineTagger lines("[w] ");
  std::string out;
  lines.add("one\ntw", out);
  EXPECT_EQ(out, "[w] one\n");
  lines.add("o\n\nthree", out);
  EXPECT_EQ(out, "[w] one\n[w] two\n[w] \n");
  lines.end(out);
  lines.end(out);
  EXPECT_EQ(out, "[w] one\n[w] two\n[w] \n[w] three\n");
}

TEST(LineTaggerTest, ALineWithoutEndIsCutIntoPieces) {
  constexpr std::size_t kMost = LineTagger::kLongestLine;
  LineTagger lines(">");
  std::string out;
  lines.add(std::string(2 * kMost + 3, 'x'), out);
  const std::string piece = ">" + std::string(kMost, 'x') + "\n";
  EXPECT_EQ(out, piece + piece);
  lines.add("\n", out);
  EXPECT_EQ(out, piece + piece + ">xxx\n");
  out.clear();
  lines.add(std::string(kMost, 'y') + "\nz\n", out);  // one that just fits
  EXPECT_EQ(out, ">" + std::string(kMost, 'y') + "\n>z\n");
}

TEST(InsightsTest, TextIsATableForEachKind) {
  using std::chrono::milliseconds;
  PoolInsights insights;
  insights.workers.push_back({.name = "PoolWorker-1",
                              .pid = 17,
                              .tasks = 1234,
                              .start_up = milliseconds(12),
                              .busy = milliseconds(1500),
                              .idle = milliseconds(488),
                              .restarts = 2});
  EXPECT_EQ(to_string(insights),
            "worker        pid  tasks  start-up  initializer    busy         idle  restarts\n"
            "PoolWorker-1   17   1234   12.0 ms         0 ns  1.50 s  75%  488 ms         2\n");
  insights.slowest.push_back({.call = "resize",
                              .number = 3,
                              .index = 44,
                              .took = std::chrono::microseconds(15),
                              .pid = 17,
                              .failed = true});
  EXPECT_THAT(to_string(insights), EndsWith("\n"
                                            "slowest tasks  call  index     took  pid\n"
                                            "resize           #3     44  15.0 us   17  failed\n"));
  std::ostringstream stream;
  stream << insights;
  EXPECT_EQ(stream.str(), to_string(insights));
  EXPECT_THAT(to_string(PoolInsights{}), StartsWith("worker"));
}

}  // namespace
}  // namespace tandem::detail
