#include "tandem/pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "os/resources.hpp"
#include "support/numbers.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/event.hpp"
#include "tandem/pipe.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

using namespace std::chrono_literals;

using PoolTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(PoolTest);

int square(int x) { return x * x; }
int add(int a, int b) { return a + b; }
int negative(int x) { return -x; }
void nothing(int) {}

int fail_on_odd(int x) {
  if (x % 2 != 0) throw std::invalid_argument("odd: " + std::to_string(x));
  return x;
}

/// Neither copyable nor default constructible.
class Sealed {
 public:
  explicit Sealed(int value) : value_(std::make_unique<int>(value)) {}
  [[nodiscard]] int value() const { return *value_; }

  using TandemHandle = void;
  void save(detail::Encoder& to) const { to.write_raw(*value_); }
  static Sealed detail_decode(detail::Decoder& from) { return Sealed(from.read_raw<int>()); }

 private:
  std::unique_ptr<int> value_;
};
static_assert(!std::is_copy_constructible_v<Sealed> && !std::is_default_constructible_v<Sealed>);
Sealed seal(int x) { return Sealed(x); }
int unseal(const Sealed& sealed) { return sealed.value(); }

using test::numbers;

std::vector<int> squares(int n) {
  std::vector<int> all = numbers(n);
  for (int& x : all) x *= x;
  return all;
}

/// An input range that counts how far it was read and may throw. It has no end of its own below
/// `end`.
class Counter {
 public:
  struct Shared {
    std::atomic<int> read = 0;
    std::set<std::thread::id> readers;
  };
  class Iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(const Counter* range) : range_(range) {}
    int operator*() const {
      range_->shared_->readers.insert(std::this_thread::get_id());
      if (at_ == range_->throws_at_) throw std::out_of_range("input");
      range_->shared_->read = at_ + 1;
      return at_;
    }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& it, std::default_sentinel_t) { return it.at_end(); }

   private:
    [[nodiscard]] bool at_end() const { return at_ == range_->end_; }
    const Counter* range_ = nullptr;
    int at_ = 0;
  };

  Counter(int end, int throws_at = -1) : end_(end), throws_at_(throws_at) {}
  [[nodiscard]] Iterator begin() const { return Iterator(this); }
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }
  [[nodiscard]] std::shared_ptr<Shared> shared() const { return shared_; }

 private:
  int end_;
  int throws_at_;
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};
constexpr int kEndless = 1 << 30;

TEST_P(PoolTest, ApplyReturnsTheResult) {
  Pool pool(2);
  EXPECT_EQ(pool.apply(square, 7), 49);
  EXPECT_EQ(pool.apply([](const std::string& a, std::string b) { return a + b; }, "x", "y"), "xy");
  static_assert(std::is_void_v<decltype(pool.apply(nothing, 1))>);
  pool.apply(nothing, 1);
}

TEST_P(PoolTest, ApplyRethrowsWithTypeAndSaysWhere) {
  Pool pool(1);
  try {
    pool.apply(fail_on_odd, 3);
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "odd: 3");
    EXPECT_NE(remote_trace(error).find("PoolWorker-"), std::string::npos) << remote_trace(error);
  }
}

TEST_P(PoolTest, MapOfAMillion) {
  Pool pool(2);
  const std::vector<int> in = numbers(1'000'000);
  const std::vector<int> out = pool.map([](int x) { return x + 1; }, in);
  ASSERT_EQ(out.size(), in.size());
  for (std::size_t i = 0; i < in.size(); ++i) ASSERT_EQ(out[i], in[i] + 1);
}

TEST_P(PoolTest, MapTakesAnyInputRange) {
  Pool pool(2);
  EXPECT_EQ(pool.map(square, std::list<int>{1, 2, 3}), (std::vector<int>{1, 4, 9}));
  EXPECT_EQ(pool.map(square, Counter(5)), squares(5));
  EXPECT_EQ(pool.map([](bool b) { return !b; }, std::vector<bool>{true, false}),
            (std::vector<bool>{false, true}));
  EXPECT_EQ(pool.starmap(add, std::vector<std::pair<int, int>>{{1, 2}, {3, 4}}),
            (std::vector<int>{3, 7}));
  EXPECT_EQ(pool.starmap_async(add, std::vector<std::tuple<int, int>>{{1, 2}}).get(),
            (std::vector<int>{3}));
}

TEST_P(PoolTest, ResultsMayBeVoidMoveOnlyAndWithoutDefaultConstructor) {
  Pool pool(2);
  static_assert(std::is_void_v<decltype(pool.map(nothing, numbers(1)))>);
  pool.map(nothing, numbers(100));
  pool.map_async(nothing, numbers(100)).get();
  int monostates = 0;
  for (const std::monostate& m : pool.imap(nothing, numbers(10))) {
    static_cast<void>(m);
    ++monostates;
  }
  EXPECT_EQ(monostates, 10);

  std::vector<Sealed> sealed = pool.map(seal, numbers(50));
  ASSERT_EQ(sealed.size(), 50u);
  EXPECT_EQ(sealed[49].value(), 49);
  EXPECT_EQ(pool.map(unseal, sealed), numbers(50));
  EXPECT_EQ(pool.apply(seal, 3).value(), 3);
  AsyncResult<Sealed> async = pool.apply_async(seal, 4);
  EXPECT_EQ(async.get().value(), 4);
  EXPECT_THROW(async.get(), Error);  // moved out
}

TEST_P(PoolTest, LargeArgumentsAndResults) {
  Pool pool(2);
  const std::vector<std::string> in(8, std::string(std::size_t{10} << 20, 'a'));
  const auto out = pool.map([](std::string text) { return text + "b"; }, in);
  ASSERT_EQ(out.size(), in.size());
  for (const std::string& text : out) {
    ASSERT_EQ(text.size(), in[0].size() + 1);
    ASSERT_EQ(text.back(), 'b');
  }
}

TEST_P(PoolTest, HandlesAreArgumentsAndResults) {
  Pool pool(2);
  Queue<int> queue;
  pool.starmap([](Queue<int> q, int i) { q.put(i); },
               std::vector<std::tuple<Queue<int>, int>>{{queue, 1}, {queue, 2}, {queue, 3}});
  EXPECT_EQ(queue.get() + queue.get() + queue.get(), 6);
  pool.starmap_async([](Queue<int> q, int i) { q.put(i); },
                     std::vector<std::tuple<Queue<int>, int>>{{queue, 4}, {queue, 5}})
      .get();
  EXPECT_EQ(queue.get() + queue.get(), 9);
  auto [mine, theirs] = Pipe<int, int>();
  pool.apply([](Connection<int, int> c) { c.send(c.recv() + 1); },
             (mine.send(41), std::move(theirs)));
  EXPECT_EQ(mine.recv(), 42);
  EXPECT_THROW(static_cast<void>(mine.recv()), EndOfFile);
}

struct Scale {
  int factor = 1;
  int operator()(int x) const { return factor * x; }
};

TEST_P(PoolTest, CallablesCarryTheirState) {
  Pool pool(2);
  EXPECT_EQ(pool.map(Scale{3}, numbers(4)), (std::vector<int>{0, 3, 6, 9}));
  const int offset = 10;
  EXPECT_EQ(pool.map(by_value([offset](int x) { return x + offset; }), numbers(3)),
            (std::vector<int>{10, 11, 12}));
}

struct Translate {
  std::string dictionary;
  std::size_t operator()(int x) const { return dictionary.size() + static_cast<std::size_t>(x); }
};

TEST_P(PoolTest, ACallableMayBeLargerThanAChunk) {
  Pool pool(2);
  const Translate translate{std::string(std::size_t{1} << 20, 'x')};
  const auto expect_all = [&](const std::vector<std::size_t>& results) {
    ASSERT_EQ(results.size(), 20u);
    for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(results[i], (std::size_t{1} << 20) + i);
  };
  expect_all(pool.map(translate, numbers(20)));
  expect_all(pool.map_async(translate, numbers(20)).get());
  std::vector<std::size_t> streamed;
  for (const std::size_t result : pool.imap(translate, numbers(20))) streamed.push_back(result);
  expect_all(streamed);
}

TEST_P(PoolTest, FirstErrorOfAMapComesAfterTheOthersEnded) {
  Pool pool(2);
  Queue<int> ended;
  std::vector<std::tuple<Queue<int>, int>> in;
  for (int i = 0; i < 40; ++i) in.emplace_back(ended, i);
  const auto task = [](Queue<int> queue, int i) {
    if (i == 7) throw std::domain_error("seven");
    if (i == 20) throw std::range_error("twenty");
    queue.put(i);
  };
  EXPECT_THROW(pool.starmap(task, in), std::domain_error);
  std::set<int> seen;
  while (const auto i = ended.try_get()) seen.insert(*i);
  EXPECT_EQ(seen.size(), 38u);
}

TEST_P(PoolTest, ImapKeepsOrderAndGoesOnBehindAnError) {
  Pool pool(2);
  auto stream = pool.imap(fail_on_odd, Counter(100));
  for (int i = 0; i < 100; ++i) {
    if (i % 2 != 0) {
      EXPECT_THROW(static_cast<void>(stream.next()), std::invalid_argument);
    } else {
      EXPECT_EQ(stream.next(), i);
    }
  }
  EXPECT_EQ(stream.next(), std::nullopt);
  EXPECT_EQ(stream.next(), std::nullopt);
  EXPECT_TRUE(stream.ended());
}

TEST_P(PoolTest, ImapUnorderedGivesEachResultOnce) {
  Pool pool(2);
  for (const std::size_t chunksize : {0, 1, 7}) {
    std::multiset<int> seen;
    for (const int x : pool.with({.chunksize = chunksize}).imap_unordered(square, numbers(500))) {
      seen.insert(x);
    }
    const auto expected = squares(500);
    EXPECT_EQ(seen, std::multiset<int>(expected.begin(), expected.end()));
  }
  std::multiset<int> sums;
  for (const int x :
       pool.istarmap_unordered(add, std::vector<std::pair<int, int>>{{1, 2}, {3, 4}})) {
    sums.insert(x);
  }
  EXPECT_EQ(sums, (std::multiset<int>{3, 7}));
  std::vector<int> in_order;
  for (const int x : pool.istarmap(add, std::vector<std::pair<int, int>>{{1, 2}, {3, 4}})) {
    in_order.push_back(x);
  }
  EXPECT_EQ(in_order, (std::vector<int>{3, 7}));
}

TEST_P(PoolTest, AThrowingInputEndsTheCallBehindItsResults) {
  Pool pool(2);
  for (const bool ordered : {true, false}) {
    Counter input(kEndless, 10);
    auto stream = ordered ? pool.imap(square, input) : pool.imap_unordered(square, input);
    std::multiset<int> seen;
    for (int i = 0; i < 10; ++i) seen.insert(stream.next().value());
    const auto expected = squares(10);
    EXPECT_EQ(seen, std::multiset<int>(expected.begin(), expected.end()));
    EXPECT_THROW(static_cast<void>(stream.next()), std::out_of_range);
    EXPECT_EQ(stream.next(), std::nullopt);
  }
  EXPECT_THROW(pool.map(square, Counter(100, 10)), std::out_of_range);
  EXPECT_THROW(static_cast<void>(pool.map_async(square, Counter(100, 10))), std::out_of_range);
  EXPECT_THROW(pool.map(fail_on_odd, Counter(100, 10)), std::invalid_argument);  // came before
  EXPECT_EQ(pool.apply(square, 5), 25);
}

TEST_P(PoolTest, AnEndlessInputIsReadNoFurtherThanTheWindow) {
  Pool pool(2);
  for (const bool ordered : {true, false}) {
    Counter input(kEndless);
    auto stream = ordered ? pool.with({.window = 8}).imap(square, input)
                          : pool.with({.window = 8}).imap_unordered(square, input);
    EXPECT_EQ(input.shared()->read, 0);
    for (int i = 0; i < 2000; ++i) {
      ASSERT_TRUE(stream.next());
      ASSERT_LE(input.shared()->read, i + 8);
    }
    EXPECT_EQ(input.shared()->readers.size(), 1u);
    EXPECT_EQ(*input.shared()->readers.begin(), std::this_thread::get_id());
  }
  // The streams are gone; what they had in flight harms nobody.
  EXPECT_EQ(pool.map(square, numbers(10)), squares(10));
}

TEST_P(PoolTest, AnEndlessInputNeedsNoMoreMemory) {
  const int tasks = test::full_form() ? 1'000'000 : 50'000;
  Pool pool(2);
  auto stream = pool.with({.window = 8}).imap(negative, Counter(kEndless));
  std::size_t before = 0;
  for (int i = 0; i < tasks; ++i) {
    ASSERT_EQ(stream.next(), negative(i));
    if (i == tasks / 10) before = os::resident_bytes();
  }
  // What is left is kept by malloc, and by the sanitizers' own.
  constexpr std::size_t kSlack = std::size_t{test::kAsan || test::kTsan ? 256 : 1} << 20;
  EXPECT_LE(os::resident_bytes(), before + kSlack);
}

TEST_P(PoolTest, NextForReturnsWhenTheTimeIsUp) {
  Pool pool(1);
  Event go;
  auto stream = pool.imap(
      [](Event e) {
        e.wait();
        return 1;
      },
      std::vector<Event>{go});
  EXPECT_EQ(stream.next_for(0s), std::nullopt);
  EXPECT_EQ(stream.next_for(20ms), std::nullopt);
  EXPECT_FALSE(stream.ended());
  go.set();
  EXPECT_EQ(stream.next(), 1);
}

TEST_P(PoolTest, ManyThreadsShareOnePool) {
  Pool pool(2);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&pool, &wrong, t] {
      for (int i = 0; i < 50; ++i) {
        if (pool.apply(square, i) != i * i) ++wrong;
        if (t % 2 == 0 && pool.map(square, numbers(20)) != squares(20)) ++wrong;
        if (t % 3 == 0 && pool.apply_async(square, i).get() != i * i) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace tandem
