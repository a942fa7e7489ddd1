#include "tandem/memory.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>

#include "support/cross.hpp"
#include "support/forked.hpp"
#include "support/leak_check.hpp"
#include "support/proc.hpp"
#include "tandem/array.hpp"
#include "tandem/error.hpp"
#include "tandem/pipe.hpp"
#include "tandem/queue.hpp"
#include "tandem/shared_heap.hpp"
#include "tandem/sync.hpp"
#include "tandem/value.hpp"

namespace tandem {
namespace {

using test::Forked;

struct Big {
  long numbers[20];
};

TEST(SharedMemoryTest, HasTheSizeAskedForAndIsZero) {
  const SharedMemory memory(1001);
  EXPECT_EQ(memory.size(), 1001U);
  EXPECT_TRUE(std::all_of(memory.data(), memory.data() + memory.size(),
                          [](std::byte b) { return b == std::byte{0}; }));
}

TEST(SharedMemoryTest, SpanHasTheWholeElementsOnly) {
  const SharedMemory memory(1001);
  EXPECT_EQ(memory.span<std::uint64_t>().size(), 125U);
  EXPECT_EQ(memory.span<char>().size(), 1001U);
  EXPECT_EQ(SharedMemory(3).span<int>().size(), 0U);
}

TEST(SharedMemoryTest, ACopyNamesTheSameMemoryAndKeepsIt) {
  auto first = std::make_unique<SharedMemory>(sizeof(int));
  const SharedMemory copy = *first;
  first->span<int>()[0] = 42;
  first.reset();
  EXPECT_EQ(copy.span<int>()[0], 42);
}

TEST(SharedMemoryTest, AForkedChildSeesTheSameBytes) {
  const SharedMemory memory(sizeof(int));
  Forked child([&] {
    memory.span<int>()[0] = 7;
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(memory.span<int>()[0], 7);
}

TEST(SharedMemoryTest, WhatHasNoNameLeavesNothingWhoeverIsKilled) {
  const SharedMemory memory(1 << 16);
  const Value<Big> value{Big{}};
  const Array<int> array(100);
  const SharedHeap heap(1 << 16);
  const Lock lock;
  const RLock rlock;
  const Semaphore semaphore;
  const Condition condition;
  const Event event;
  const Barrier barrier(2);
  const Queue<int> queue;
  const Pipe<int> pipe;
  // Nothing a name in a file system could be left of.
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    EXPECT_EQ(line.find("/dev/shm/"), std::string::npos) << line;
  }
  for (const std::string& descriptor : test::open_descriptors()) {
    EXPECT_EQ(descriptor.find("/dev/shm"), std::string::npos) << descriptor;
  }
}

TEST(SharedMemoryTest, CrossesToProcessesAndOverConnectionsOnly) {
  const SharedMemory memory(sizeof(int));
  const auto other = test::cross(memory, detail::Route::process);
  EXPECT_EQ(other.name(), memory.name());
  memory.span<int>()[0] = 7;
  EXPECT_EQ(other.span<int>()[0], 7);
  EXPECT_THROW((void)test::cross(memory, detail::Route::manager), NotSendable);
}

TEST(SharedMemoryTest, SizesTheSystemRefusesAreErrors) {
  const auto code_of = [](std::size_t size_bytes) {
    try {
      const SharedMemory memory(size_bytes);
    } catch (const SystemError& error) {
      return error.code().value();
    }
    return 0;
  };
  EXPECT_EQ(code_of(0), EINVAL);
  EXPECT_EQ(code_of(std::size_t{1} << 55), ENOMEM);
  EXPECT_EQ(code_of(~std::size_t{0}), ENOMEM);
}

class NamedSharedMemoryTest : public testing::Test {
 protected:
  void TearDown() override { SharedMemory::remove(name_); }

  template <class Call>
  static int code_of(Call call) {
    try {
      call();
    } catch (const SystemError& error) {
      return error.code().value();
    }
    return 0;
  }
  const std::string name_ = test::unique_name("memory");
};

TEST_F(NamedSharedMemoryTest, IsFoundByItsNameInAnotherProcess) {
  const auto memory = SharedMemory::create(name_, 1000);
  EXPECT_EQ(memory.name(), name_);
  Forked child([&] {
    const auto same = SharedMemory::open(name_);
    same.span<int>()[0] = 7;
    return same.size() == 1000 ? 0 : 1;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(memory.span<int>()[0], 7);
}

TEST_F(NamedSharedMemoryTest, CrossesWithItsName) {
  const auto memory = SharedMemory::create(name_, sizeof(int));
  const auto other = test::cross(memory, detail::Route::connection);
  EXPECT_EQ(other.name(), name_);
  memory.span<int>()[0] = 7;
  EXPECT_EQ(other.span<int>()[0], 7);
}

TEST_F(NamedSharedMemoryTest, MissingAndTakenNamesAreErrors) {
  EXPECT_EQ(code_of([&] { (void)SharedMemory::open(name_); }), ENOENT);
  const auto memory = SharedMemory::create(name_, 1);
  EXPECT_EQ(code_of([&] { (void)SharedMemory::create(name_, 1); }), EEXIST);
}

TEST_F(NamedSharedMemoryTest, WhatCannotBeANameIsAnError) {
  for (const std::string& name : {std::string(), std::string("a/b"), std::string("a\0b", 3)}) {
    EXPECT_EQ(code_of([&] { (void)SharedMemory::create(name, 1); }), EINVAL);
    EXPECT_EQ(code_of([&] { (void)SharedMemory::open(name); }), EINVAL);
  }
  EXPECT_EQ(code_of([&] { (void)SharedMemory::create(std::string(300, 'n'), 1); }), ENAMETOOLONG);
}

TEST_F(NamedSharedMemoryTest, SizesTheSystemRefusesLeaveNoName) {
  EXPECT_EQ(code_of([&] { (void)SharedMemory::create(name_, 0); }), EINVAL);
  EXPECT_EQ(code_of([&] { (void)SharedMemory::create(name_, ~std::size_t{0}); }), ENOSPC);
  EXPECT_NE(code_of([&] { (void)SharedMemory::create(name_, std::size_t{1} << 50); }), 0);
  EXPECT_EQ(code_of([&] { (void)SharedMemory::open(name_); }), ENOENT);
}

TEST_F(NamedSharedMemoryTest, RemoveTakesTheNameAndLeavesTheMemory) {
  const auto memory = SharedMemory::create(name_, sizeof(int));
  const auto same = SharedMemory::open(name_);
  EXPECT_TRUE(SharedMemory::remove(name_));
  EXPECT_FALSE(SharedMemory::remove(name_));
  same.span<int>()[0] = 7;
  EXPECT_EQ(memory.span<int>()[0], 7);
}

}  // namespace
}  // namespace tandem
