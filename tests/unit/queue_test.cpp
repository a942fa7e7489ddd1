#include "tandem/queue.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <ranges>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

namespace tandem {
namespace {

static_assert(std::ranges::input_range<Queue<int>>);
static_assert(Sendable<Queue<int>>);
static_assert(std::is_copy_constructible_v<Queue<int>>);
static_assert(!Sendable<int*>);

TEST(QueueTest, PutManyGetMany) {
  Queue<int> queue;
  std::vector<int> values;
  for (int i = 0; i < 100'000; ++i) values.push_back(i);
  queue.put_many(values);
  EXPECT_EQ(queue.size(), values.size());
  std::vector<int> got;
  while (got.size() < values.size()) {
    const std::vector<int> some = queue.get_many(64);
    EXPECT_FALSE(some.empty());
    EXPECT_LE(some.size(), 64U);
    got.insert(got.end(), some.begin(), some.end());
  }
  EXPECT_EQ(got, values);
  EXPECT_THROW((void)queue.get_many(0), std::invalid_argument);
}

TEST(QueueTest, PutManyOfABoundedQueueWaitsForRoom) {
  Queue<std::string> queue(5);
  std::vector<std::string> values;
  for (int i = 0; i < 500; ++i) values.push_back(std::to_string(i));
  std::thread producer([&] { queue.put_many(values); });
  for (const std::string& value : values) EXPECT_EQ(queue.get(), value);
  producer.join();
}

TEST(QueueTest, ManyWithStreamedMessagesAmongThem) {
  Queue<std::string> queue(QueueOptions{.ring_bytes = 4096});
  std::vector<std::string> values;
  for (std::size_t i = 0; i < 60; ++i) values.emplace_back(i % 7 == 3 ? 20'000 + i : i, 'x');
  queue.put_many(values);
  std::vector<std::string> got;
  while (got.size() < values.size()) {
    for (std::string& value : queue.get_many(4)) got.push_back(std::move(value));
  }
  EXPECT_EQ(got, values);
}

/// Move-only, encoded by functions of its own.
struct Owner {
  std::unique_ptr<int> value;
  template <class Archive>
  void save(Archive& archive) const {
    archive(*value);
  }
  template <class Archive>
  void load(Archive& archive) {
    value = std::make_unique<int>();
    archive(*value);
  }
};

TEST(QueueTest, MoveOnlyValues) {
  Queue<Owner> queue;
  queue.put({std::make_unique<int>(7)});
  EXPECT_EQ(*queue.get().value, 7);
}

struct NoDefault {
  explicit NoDefault(int v) : value(v) {}
  int value;
};

TEST(QueueTest, ValuesWithoutADefaultConstructor) {
  Queue<NoDefault> queue;
  queue.put(NoDefault(3));
  EXPECT_EQ(queue.get().value, 3);
  queue.put(NoDefault(4));
  const auto got = queue.try_get();
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->value, 4);
}

TEST(QueueTest, RangeForEndsAtShutdown) {
  Queue<int> queue;
  for (int i = 1; i <= 4; ++i) queue.put(i);
  queue.shutdown();
  int sum = 0;
  for (int& n : queue) sum += n;
  EXPECT_EQ(sum, 10);
  for (int& n : queue) ADD_FAILURE() << n;
}

TEST(QueueTest, CopiesNameTheSameQueue) {
  Queue<std::string> queue;
  Queue<std::string> copy = queue;
  copy.put("x");
  EXPECT_EQ(queue.size(), 1U);
  EXPECT_EQ(queue.get(), "x");
}

TEST(QueueTest, WhatIsBufferedOutlivesTheLastHandleOfThisProcess) {
  auto queue = std::make_unique<Queue<std::string>>(QueueOptions{.ring_bytes = 4096});
  for (int i = 0; i < 100; ++i) queue->put(std::string(1'000, 'x'));
  std::vector<detail::Fd> descriptors;
  detail::Buffer buffer;
  detail::Encoder to(buffer, detail::Route::process, &descriptors);
  queue->save(to);
  queue.reset();
  detail::Decoder from(buffer.bytes(), detail::Route::process, &descriptors);
  auto again = Queue<std::string>::detail_decode(from);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(again.get().size(), 1'000U);
}

TEST(QueueTest, ReceivedAsAnotherTypeIsRefused) {
  Queue<int> queue;
  std::vector<detail::Fd> descriptors;
  detail::Buffer buffer;
  detail::Encoder to(buffer, detail::Route::process, &descriptors);
  queue.save(to);
  detail::Decoder from(buffer.bytes(), detail::Route::process, &descriptors);
  EXPECT_THROW((void)Queue<std::string>::detail_decode(from), DecodeError);
}

}  // namespace
}  // namespace tandem
