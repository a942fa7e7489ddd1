#include "tandem/shared_heap.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/cross.hpp"
#include "support/forked.hpp"
#include "support/random.hpp"
#include "tandem/error.hpp"

namespace tandem {
namespace {

using test::Forked;
using test::Step;

using Words = SharedVector<SharedString>;
using Big = std::array<char, 1 << 20>;
using Index = SharedMap<SharedString, SharedVector<int>>;

template <class Call>
int code_of(Call call) {
  try {
    call();
  } catch (const SystemError& error) {
    return error.code().value();
  }
  return 0;
}

TEST(SharedHeapTest, FindsWhatWasConstructed) {
  SharedHeap heap(1 << 16);
  EXPECT_EQ(heap.find<int>("number"), nullptr);
  int* const number = heap.find_or_construct<int>("number", 5);
  EXPECT_EQ(heap.find_or_construct<int>("number", 6), number);
  EXPECT_EQ(*number, 5);
  EXPECT_EQ(heap.find<int>("number"), number);
  auto* const filled = heap.find_or_construct<SharedVector<long>>("filled", std::size_t{3}, 9L);
  EXPECT_EQ(filled->size(), 3U);
  EXPECT_EQ(filled->back(), 9);
  EXPECT_THROW((void)heap.find<long>("number"), DecodeError);
  EXPECT_THROW((void)heap.find_or_construct<SharedVector<int>>("filled"), DecodeError);
}

TEST(SharedHeapTest, ContainersPassTheirAllocatorOn) {
  SharedHeap heap(1 << 16);
  auto* const words = heap.find_or_construct<Words>("words");
  words->emplace_back("a word that is longer than what a string holds inside");
  words->emplace_back("short");
  auto* const index = heap.find_or_construct<Index>("index");
  (*index)[SharedString("key", heap.allocator())].push_back(1);
  (*index)[SharedString("key", heap.allocator())].push_back(2);
  index->emplace("other", std::size_t{2});
  EXPECT_EQ(index->begin()->second.size(), 2U);
  EXPECT_EQ((*words)[1], "short");
}

TEST(SharedHeapTest, OtherProcessesSeeTheSame) {
  SharedHeap heap(1 << 16);
  SharedHeap other = test::cross(heap, detail::Route::process);  // mapped elsewhere
  Forked child([&] {
    auto* const words = heap.find_or_construct<Words>("words");
    for (int i = 0; i < 100; ++i) {
      const auto guard = heap.lock();
      words->emplace_back("written by the child, number " + std::to_string(i));
    }
    return 0;
  });
  auto* const words = other.find_or_construct<Words>("words");
  for (int i = 0; i < 100; ++i) {
    const auto guard = other.lock();
    words->emplace_back("written by the parent, number " + std::to_string(i));
  }
  EXPECT_EQ(child.wait(), 0);
  ASSERT_EQ(words->size(), 200U);
  EXPECT_EQ(heap.find<Words>("words")->size(), 200U);
  EXPECT_TRUE(std::all_of(words->begin(), words->end(),
                          [](const SharedString& word) { return word.find("written by") == 0; }));
}

TEST(SharedHeapTest, OneOfManyConstructs) {
  SharedHeap heap(1 << 16);
  std::vector<std::unique_ptr<Forked>> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(std::make_unique<Forked>([&, i] {
      const int made = *heap.find_or_construct<int>("who", i);
      return *heap.find<int>("who") == made ? 0 : 1;
    }));
  }
  for (auto& child : children) EXPECT_EQ(child->wait(), 0);
}

TEST(SharedHeapTest, SaysWhenItIsFullAndGoesOn) {
  SharedHeap heap(1 << 14);
  auto* const numbers = heap.find_or_construct<SharedVector<int>>("numbers");
  const std::size_t before = heap.free_bytes();
  EXPECT_EQ(code_of([&] {
              for (;;) numbers->push_back(1);
            }),
            ENOMEM);
  EXPECT_GT(numbers->size(), 500U);
  EXPECT_EQ(code_of([&] { numbers->resize(std::size_t{1} << 40); }), ENOMEM);
  EXPECT_EQ(code_of([&] { (void)heap.find_or_construct<Big>("big"); }), ENOMEM);
  EXPECT_EQ(heap.find<Big>("big"), nullptr);
  numbers->clear();
  numbers->shrink_to_fit();
  EXPECT_EQ(heap.free_bytes(), before);
  EXPECT_EQ(code_of([] { SharedHeap nothing(0); }), EINVAL);
  EXPECT_EQ(code_of([] { SharedHeap too_much(~std::size_t{0}); }), ENOMEM);
}

struct Throws {
  explicit Throws(int n) {
    if (n != 0) throw std::domain_error("no");
  }
};

TEST(SharedHeapTest, AConstructorThatThrowsLeavesNothing) {
  SharedHeap heap(1 << 14);
  const std::size_t before = heap.free_bytes();
  EXPECT_THROW((void)heap.find_or_construct<Throws>("it", 1), std::domain_error);
  EXPECT_EQ(heap.find<Throws>("it"), nullptr);
  EXPECT_EQ(heap.free_bytes(), before);
  EXPECT_NE(heap.find_or_construct<Throws>("it", 0), nullptr);
  EXPECT_TRUE(heap.destroy<Throws>("it"));
  EXPECT_FALSE(heap.destroy<Throws>("it"));
  EXPECT_EQ(heap.free_bytes(), before);
}

TEST(SharedHeapTest, AgreesWithAStandardMap) {
  std::mt19937_64 random(test::seed());
  SharedHeap heap(1 << 20);
  auto* const ours = heap.find_or_construct<SharedMap<int, SharedString>>("map");
  std::map<int, std::string> standards;
  for (int i = 0; i < 3'000; ++i) {
    const int key = static_cast<int>(random() % 100);
    if (random() % 3 == 0) {
      EXPECT_EQ(ours->erase(key), standards.erase(key));
    } else {
      const std::string value(random() % 200, static_cast<char>('a' + key % 26));
      (*ours)[key].assign(value.data(), value.size());
      standards[key] = value;
    }
  }
  ASSERT_EQ(ours->size(), standards.size());
  for (const auto& [key, value] : standards) EXPECT_EQ(ours->at(key), value.c_str());
}

TEST(SharedHeapTest, TellsThatTheLocksHolderDied) {
  SharedHeap heap(1 << 14);
  Step holds;
  Forked holder([&] {
    const auto guard = heap.lock();
    holds.done();
    for (;;) ::pause();
    return 0;
  });
  holds.await();
  holder.kill();
  EXPECT_THROW((void)heap.lock(), OwnerDied);
  EXPECT_TRUE(heap.mutex().recover());
  heap.mutex().unlock();
  EXPECT_NE(heap.find_or_construct<int>("after"), nullptr);
}

TEST(SharedHeapTest, CrossesToProcessesAndOverConnectionsOnly) {
  SharedHeap heap(1 << 14);
  EXPECT_EQ(test::cross(heap, detail::Route::connection).size(), heap.size());
  EXPECT_THROW((void)test::cross(heap, detail::Route::queue), NotSendable);
  EXPECT_THROW(
      (void)(test::cross<SharedMemory, SharedMemory>(SharedMemory(1), detail::Route::queue)),
      NotSendable);
}

}  // namespace
}  // namespace tandem
