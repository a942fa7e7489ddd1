// The program `tandem` over bytes that nobody has checked: headers, and the text of /proc.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pool/slot.hpp"
#include "support/random.hpp"
#include "tandem/tandem.hpp"
#include "tools/describe.hpp"
#include "tools/json.hpp"
#include "tools/options.hpp"
#include "tools/print.hpp"
#include "tools/proc.hpp"
#include "tools/scan.hpp"
#include "tools/text.hpp"

namespace tandem::tools {
namespace {

using Bytes = std::vector<std::byte>;

struct Seed {
  std::string file;
  std::uint64_t size;
  Bytes head;
};

/// The objects that this process has open, as the program reads them.
std::vector<Seed> own_objects() {
  std::vector<Seed> seeds;
  std::set<os::FileIdentity> seen;
  for (const int fd : proc::numbers_in("/proc/self/fd")) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    std::string file = proc::link(path);
    constexpr std::string_view kBefore = "/memfd:";
    constexpr std::string_view kAfter = " (deleted)";
    if (!file.starts_with(kBefore) || !file.ends_with(kAfter)) continue;
    file = file.substr(kBefore.size(), file.size() - kBefore.size() - kAfter.size());
    const auto info = proc::look(path);
    if (!info || bytes_to_read(file) == 0 || !seen.insert(info->id).second) continue;
    Bytes head(std::min<std::size_t>(info->size, bytes_to_read(file)));
    head.resize(proc::File(path).read(0, head));
    seeds.push_back({file, info->size, std::move(head)});
  }
  return seeds;
}

struct Large {
  char text[64];
};

/// One of each kind. It is made before anything is asked of it, and outlives the question.
struct OneOfEach {
  Queue<int> queue;
  JoinableQueue<int> joinable;
  Queue<int> single{QueueOptions{.single_producer = true, .single_consumer = true}};
  Pipe<int, int> pipe;
  Lock lock;
  RLock rlock;
  Semaphore semaphore{3};
  BoundedSemaphore bounded{3};
  Condition condition;
  Event event;
  Barrier barrier{3};
  Value<int> value{1};
  Value<Large> large{Large{}};
  Array<int> array{10};
  SharedHeap heap{4096};
  SharedMemory memory{100, "label"};
  SharedMemory worker{sizeof(detail::Slot), detail::kSlotLabel};

  OneOfEach() { reinterpret_cast<detail::Slot*>(worker.data())->magic = detail::Slot::kMagic; }
};

constexpr std::size_t kObjects = 19;  // an Array and a SharedHeap have a Lock too

/// Prints it both ways, so that whatever is in it has been looked at.
void print(const std::optional<Description>& description) {
  if (!description) return;
  Snapshot snapshot;
  Object& object = snapshot.objects[{1, 2}];
  object.description = *description;
  for (std::size_t i = 0; i < description->locks.size(); ++i) {
    object.waiters.push_back({{1, 1}, description->locks[i].label, i});
  }
  if (description->kind == Kind::worker) snapshot.pools.push_back({1, {{2, {1, 2}}}});
  set_rates(snapshot, snapshot);
  EXPECT_FALSE(to_text(snapshot, false).empty());
  EXPECT_FALSE(to_text(snapshot, true).empty());
  EXPECT_FALSE(to_json(snapshot, 1.5).empty());
}

TEST(ToolDescribeTest, GoodHeadersAreReadable) {
  const OneOfEach all;
  const std::vector<Seed> seeds = own_objects();
  std::string files;
  for (const Seed& seed : seeds) files += seed.file + " ";
  EXPECT_EQ(seeds.size(), kObjects) << files;
  for (const Seed& seed : seeds) {
    const auto description = describe({seed.file, 7, seed.size, false}, seed.head);
    ASSERT_TRUE(description) << seed.file;
    EXPECT_EQ(description->problem, "") << seed.file;
    print(description);
  }
}

TEST(ToolDescribeTest, EveryHeaderCutShortIsUnreadableOrPlainMemory) {
  const OneOfEach all;
  for (const Seed& seed : own_objects()) {
    const auto whole = describe({seed.file, 7, seed.size, false}, seed.head);
    ASSERT_TRUE(whole);
    for (std::size_t size = 0; size < 16; ++size) {
      const auto cut = describe({seed.file, 7, size, false},
                                std::span(seed.head).first(std::min(size, seed.head.size())));
      ASSERT_TRUE(cut);
      EXPECT_TRUE(!cut->problem.empty() || cut->kind == Kind::memory) << seed.file << size;
    }
  }
}

TEST(ToolDescribeTest, AnyBytesGiveADescription) {
  std::mt19937_64 random(test::seed());
  const OneOfEach all;
  std::vector<Seed> seeds = own_objects();
  for (const char* const file : {"", "tandem-queue-named", "tandem-memory-named"}) {
    seeds.push_back({file, 8192, Bytes(4096)});
  }
  for (int i = 0; i < 10'000; ++i) {
    const Seed& seed = seeds[random() % seeds.size()];
    Bytes bytes = seed.head;
    if (i % 4 == 0) {
      for (std::byte& one : bytes) one = static_cast<std::byte>(random());
    } else {
      for (std::uint64_t n = random() % 16; n > 0 && !bytes.empty(); --n) {
        // Most of what is read is at the beginning.
        const std::size_t end =
            random() % 2 == 0 ? std::min<std::size_t>(512, bytes.size()) : bytes.size();
        bytes[random() % end] = static_cast<std::byte>(random());
      }
    }
    if (i % 8 == 1) bytes.resize(random() % (bytes.size() + 1));
    const std::uint64_t size = i % 16 == 2 ? random() : seed.size;
    print(describe({seed.file, random(), size, random() % 2 == 0}, bytes));
  }
}

TEST(ToolDescribeTest, WhatIsNotOursIsNoObject) {
  for (const char* const file : {"tandem", "tandem-", "tandem-lock-1", "tandem-locks",
                                 "tandem-start", "tandem-bell-17", "memfd", "tandem-pipes"}) {
    EXPECT_EQ(bytes_to_read(file), 0U) << file;
    EXPECT_FALSE(describe({file, 1, 4096, false}, Bytes(4096))) << file;
  }
}

TEST(ToolDescribeTest, AHeadReadAfterTheTailItOvertookMeansEmpty) {
  const Queue<int> queue;
  std::vector<Seed> seeds = own_objects();
  ASSERT_EQ(seeds.size(), 1U);
  // One item of 16 bytes was put and taken between the two reads: head is beyond tail.
  constexpr std::size_t kHead = 192 + 64;
  const std::uint64_t head = std::uint64_t{1} << 33 | 2;
  std::memcpy(seeds[0].head.data() + kHead, &head, sizeof head);
  const auto description = describe({seeds[0].file, 1, seeds[0].size, false}, seeds[0].head);
  ASSERT_TRUE(description);
  EXPECT_EQ(description->problem, "");
  const std::uint64_t far = 1 << 30;
  std::memcpy(seeds[0].head.data() + kHead, &far, sizeof far);
  const auto damaged = describe({seeds[0].file, 1, seeds[0].size, false}, seeds[0].head);
  ASSERT_TRUE(damaged);
  EXPECT_EQ(damaged->problem, "it is damaged");
}

// --- the text of /proc ---

TEST(ToolProcTest, AStatusWhoseNameHoldsParenthesesIsParsed) {
  const auto status =
      proc::parse_status("12 (a) S (b) R 7 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 1 2 3\n");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->name, "a) S (b");
  EXPECT_EQ(status->state, 'R');
  EXPECT_EQ(status->parent, 7);
  EXPECT_EQ(status->started, 4711U);
}

TEST(ToolProcTest, ALineOfMapsIsParsed) {
  const auto mapping = proc::parse_mapping(
      "7f00a000-7f00c000 rw-s 00001000 00:01 1234                       /memfd:tandem-lock "
      "(deleted)");
  ASSERT_TRUE(mapping);
  EXPECT_EQ(mapping->begin, 0x7f00a000U);
  EXPECT_EQ(mapping->end, 0x7f00c000U);
  EXPECT_EQ(mapping->offset, 0x1000U);
  EXPECT_EQ(mapping->id.inode, 1234U);
  EXPECT_EQ(mapping->path, "/memfd:tandem-lock (deleted)");
  EXPECT_FALSE(proc::parse_mapping("7f00a000-7f00c000 rw-p 00000000 00:00 0 "));
  EXPECT_FALSE(proc::parse_mapping("7f00a000-7f00c000 rw-p 00000000 00:00 0    [heap]"));
}

TEST(ToolProcTest, SystemCallsAreParsed) {
  const auto call = proc::parse_system_call("202 0x7f00 0x189 0x2 0x0 0x0 0xffffffff 0x1 0x2\n");
  ASSERT_TRUE(call);
  EXPECT_EQ(call->number, 202);
  EXPECT_EQ(call->arguments[0], 0x7f00U);
  EXPECT_EQ(call->arguments[5], 0xffffffffU);
  ASSERT_TRUE(proc::parse_system_call("running\n"));
  EXPECT_TRUE(proc::parse_system_call("running\n")->running);
  ASSERT_TRUE(proc::parse_system_call("-1 0x1 0x2\n"));
  EXPECT_EQ(proc::parse_system_call("-1 0x1 0x2\n")->number, -1);
  EXPECT_FALSE(proc::parse_system_call(""));
  EXPECT_FALSE(proc::parse_system_call("202 0x7f00"));
}

TEST(ToolProcTest, AnyTextIsParsedOrNot) {
  std::mt19937_64 random(test::seed());
  const std::string seeds[] = {
      "12 (a) R 7 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 1 2 3\n",
      "7f00a000-7f00c000 rw-s 00001000 00:01 1234      /memfd:tandem-lock (deleted)",
      "202 0x7f00 0x189 0x2 0x0 0x0 0xffffffff 0x1 0x2\n"};
  for (int i = 0; i < 10'000; ++i) {
    std::string text = seeds[random() % std::size(seeds)];
    for (std::uint64_t n = random() % 8; n > 0; --n) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    text.resize(random() % (text.size() + 1));
    static_cast<void>(proc::parse_status(text));
    static_cast<void>(proc::parse_mapping(text));
    static_cast<void>(proc::parse_system_call(text));
    const std::string shown = printable(text);
    EXPECT_TRUE(std::none_of(shown.begin(), shown.end(), [](char c) { return c >= 0 && c < ' '; }));
    const std::string quoted = json_string(text);
    EXPECT_TRUE(
        std::none_of(quoted.begin(), quoted.end(), [](char c) { return c >= 0 && c < ' '; }));
  }
}

TEST(ToolTextTest, OnlyValidUtf8Passes) {
  EXPECT_EQ(utf8_size("a"), 1U);
  EXPECT_EQ(utf8_size("\xc3\xa4"), 2U);
  EXPECT_EQ(utf8_size("\xe2\x82\xac"), 3U);
  EXPECT_EQ(utf8_size("\xf0\x9f\x98\x80"), 4U);
  for (const char* const bad : {"", "\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80",
                                "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x82"}) {
    EXPECT_EQ(utf8_size(bad), 0U) << printable(bad);
  }
  EXPECT_EQ(printable("a\x1b[m\xc3\xa4\xff\xc2\x9b"), "a\\x1b[m\xc3\xa4\\xff\\xc2\\x9b");
  EXPECT_EQ(json_string("a\"\\\n\xff"), "\"a\\\"\\\\\\u000a\\ufffd\"");
}

TEST(ToolTextTest, JsonHasItsCommas) {
  Json json;
  json.object().member("a", 1).key("b").array().value(true).null().value(0.5).end();
  json.key("c").object().end().member("d", "x").end();
  EXPECT_EQ(json.text(), "{\"a\":1,\"b\":[true,null,0.500],\"c\":{},\"d\":\"x\"}\n");
}

TEST(ToolOptionsTest, TheCommandLineIsUnderstood) {
  std::string problem;
  const char* const arguments[] = {"ps", "12", "--json", "--interval", "0.5", "13"};
  const auto options = parse_options(arguments, problem);
  ASSERT_TRUE(options) << problem;
  EXPECT_TRUE(options->json);
  EXPECT_EQ(options->interval, 0.5);
  EXPECT_EQ(options->pids, (std::set<int>{12, 13}));
  EXPECT_FALSE(parse_options(std::span<const char* const>(), problem));
  EXPECT_FALSE(problem.empty());
}

}  // namespace
}  // namespace tandem::tools
