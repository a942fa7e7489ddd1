#include "queue/ring_queue.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "os/event_fd.hpp"
#include "os/poll.hpp"
#include "support/forked.hpp"
#include "support/queue_text.hpp"
#include "support/supervisor.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kType = test::kTextType;

bool put(RingQueue& queue, const std::string& text, Deadline deadline = Deadline::never()) {
  return test::put_text(queue, text, deadline);
}
std::optional<std::string> get(RingQueue& queue, Deadline deadline = Deadline::never()) {
  return test::get_text(queue, deadline);
}

std::string long_text(std::size_t size, char first = 'a') {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(first + i % 23);
  return text;
}

/// Runs `body` in a forked child that is then killed where it stands.
template <class Body>
void run_and_kill(Body body) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_NE(child, -1);
  if (child == 0) {
    body([&] { (void)!::write(ready[1], "x", 1); });
    ::pause();
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(RingQueueTest, KeepsOrderAndBoundaries) {
  RingQueue queue(QueueOptions{}, kType);
  EXPECT_TRUE(put(queue, "one"));
  EXPECT_TRUE(put(queue, ""));
  EXPECT_TRUE(put(queue, std::string("t\0o", 3)));
  EXPECT_EQ(queue.items(), 3U);
  EXPECT_EQ(get(queue), "one");
  EXPECT_EQ(get(queue), "");
  EXPECT_EQ(get(queue), std::string("t\0o", 3));
  EXPECT_EQ(get(queue, Deadline::now()), std::nullopt);
}

TEST(RingQueueTest, TimeoutsWaitAtLeastAsLongAsAsked) {
  RingQueue queue({.maxsize = 1}, kType);
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(get(queue, Deadline::after(30ms)), std::nullopt);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 30ms);
  EXPECT_TRUE(put(queue, "full"));
  start = std::chrono::steady_clock::now();
  EXPECT_FALSE(put(queue, "too much", Deadline::after(30ms)));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 30ms);
  EXPECT_FALSE(put(queue, "too much", Deadline::now()));
  EXPECT_FALSE(put(queue, "too much", Deadline::after(-1s)));
  EXPECT_EQ(queue.items(), 1U);
}

TEST(RingQueueTest, BoundedByBytesToo) {
  RingQueue queue({.ring_bytes = 4096}, kType);
  std::size_t count = 0;
  while (put(queue, std::string(120, 'x'), Deadline::now())) ++count;
  EXPECT_EQ(count, 4096U / 128);
  EXPECT_TRUE(get(queue));
  EXPECT_TRUE(put(queue, std::string(120, 'x'), Deadline::now()));
}

TEST(RingQueueTest, LargeMessagesStreamThroughASmallRing) {
  RingQueue queue({.ring_bytes = 4096}, kType);
  const std::string big = long_text(1'000'003);
  std::thread writer([&] {
    EXPECT_TRUE(put(queue, "before"));
    EXPECT_TRUE(put(queue, big));
    EXPECT_TRUE(put(queue, "after"));
  });
  EXPECT_EQ(get(queue), "before");
  EXPECT_EQ(get(queue), big);
  EXPECT_EQ(get(queue), "after");
  writer.join();
  EXPECT_EQ(queue.items(), 0U);
}

TEST(RingQueueTest, ATryPutThatWouldStreamSaysSo) {
  RingQueue queue({.ring_bytes = 4096}, kType);
  EXPECT_THROW((void)put(queue, long_text(5000), Deadline::now()), Error);
}

TEST(RingQueueTest, ATimedStreamThatNobodyReadsIsTakenBack) {
  RingQueue queue({.ring_bytes = 4096}, kType);
  EXPECT_FALSE(put(queue, long_text(50'000), Deadline::after(20ms)));
  EXPECT_EQ(queue.items(), 0U);
  std::thread writer([&] { EXPECT_TRUE(put(queue, "next")); });
  EXPECT_EQ(get(queue), "next");
  writer.join();
}

TEST(RingQueueTest, AnItemTheReaderHasNoPlaceForIsDroppedWithAnError) {
  RingQueue queue(QueueOptions{}, kType);
  EXPECT_TRUE(put(queue, "too long for eight"));
  EXPECT_TRUE(put(queue, "fits"));
  std::byte room[8];
  Incoming into;
  into.storage = room;
  into.capacity = sizeof room;
  EXPECT_THROW((void)queue.get(into, Deadline::never()), DecodeError);
  EXPECT_TRUE(queue.get(into, Deadline::never()));
  EXPECT_EQ(into.size, 4U);
}

TEST(RingQueueTest, AnAllocationThatFailsLeavesTheItem) {
  RingQueue queue(QueueOptions{}, kType);
  EXPECT_TRUE(put(queue, "precious"));
  Incoming into;
  into.grow = [](Incoming&, std::size_t) -> std::byte* { throw std::bad_alloc(); };
  EXPECT_THROW((void)queue.get(into, Deadline::never()), std::bad_alloc);
  EXPECT_EQ(get(queue), "precious");
}

TEST(RingQueueTest, ThreadsGetEveryItemOnceAndInEachProducersOrder) {
  constexpr int kProducers = 3;
  constexpr int kConsumers = 3;
  constexpr int kEach = test::kTsan ? 3'000 : 30'000;
  RingQueue queue({.ring_bytes = 8192}, kType);
  std::vector<std::vector<std::pair<int, int>>> got(kConsumers);
  std::vector<std::thread> threads;
  for (int p = 0; p < kProducers; ++p) {
    threads.emplace_back([&, p] {
      for (int i = 0; i < kEach; ++i) {
        const int item[2] = {p, i};
        ASSERT_TRUE(queue.put({kType, std::as_bytes(std::span(item)), nullptr}, Deadline::never()));
      }
    });
  }
  for (int c = 0; c < kConsumers; ++c) {
    threads.emplace_back([&, c] {
      for (;;) {
        int item[2];
        Incoming into;
        into.storage = reinterpret_cast<std::byte*>(item);
        into.capacity = sizeof item;
        ASSERT_TRUE(queue.get(into, Deadline::never()));
        if (item[0] < 0) return;
        got[static_cast<std::size_t>(c)].emplace_back(item[0], item[1]);
      }
    });
  }
  for (int p = 0; p < kProducers; ++p) threads[static_cast<std::size_t>(p)].join();
  for (int c = 0; c < kConsumers; ++c) {
    const int stop[2] = {-1, 0};
    ASSERT_TRUE(queue.put({kType, std::as_bytes(std::span(stop)), nullptr}, Deadline::never()));
  }
  for (int c = 0; c < kConsumers; ++c) threads[static_cast<std::size_t>(kProducers + c)].join();

  std::vector<int> seen(kProducers * kEach, 0);
  for (const auto& list : got) {
    std::vector<int> last(kProducers, -1);
    for (const auto& [p, i] : list) {
      EXPECT_LT(last[static_cast<std::size_t>(p)], i);
      last[static_cast<std::size_t>(p)] = i;
      ++seen[static_cast<std::size_t>(p * kEach + i)];
    }
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), kProducers * kEach);
}

TEST(RingQueueTest, AConsumerKilledWhileItWaitsHoldsUpNobody) {
  RingQueue queue(QueueOptions{}, kType);
  run_and_kill([&](auto ready) {
    ready();
    (void)get(queue, Deadline::never());
  });
  EXPECT_TRUE(put(queue, "for the living"));
  EXPECT_EQ(get(queue), "for the living");
}

TEST(RingQueueTest, AProducerKilledWhileItWaitsForRoomCostsNoRoom) {
  RingQueue queue({.maxsize = 1}, kType);
  EXPECT_TRUE(put(queue, "first"));
  run_and_kill([&](auto ready) {
    ready();
    (void)put(queue, "never said", Deadline::never());
  });
  EXPECT_FALSE(put(queue, "second", Deadline::now()));
  EXPECT_EQ(get(queue), "first");
  EXPECT_TRUE(put(queue, "second", Deadline::now()));
  EXPECT_EQ(get(queue), "second");
}

TEST(RingQueueTest, AStreamIsDroppedWhenItsWriterDies) {
  RingQueue queue({.ring_bytes = 4096}, kType);
  run_and_kill([&](auto ready) {
    ready();
    (void)put(queue, long_text(1'000'000), Deadline::never());  // stops when the ring is full
  });
  EXPECT_EQ(get(queue, Deadline::after(10ms)), std::nullopt);
  EXPECT_TRUE(put(queue, "next"));
  EXPECT_EQ(get(queue), "next");
}

TEST(RingQueueTest, AReaderInsideAStreamGoesOnWhenItsWriterDies) {
  RingQueue queue({.ring_bytes = 4096}, kType);
  std::optional<std::string> got;
  std::thread reader;
  run_and_kill([&](auto ready) {
    ready();
    (void)put(queue, long_text(400'000'000), Deadline::never());
  });
  reader = std::thread([&] { got = get(queue); });
  EXPECT_TRUE(put(queue, "next"));
  reader.join();
  EXPECT_EQ(got, "next");
}

TEST(RingQueueTest, AReaderKilledInsideAStreamTakesThatMessageAlong) {
  RingQueue queue({.ring_bytes = 4096}, kType);
  const std::string big = long_text(300'000);
  // A process, not a thread: who forks beside a thread that allocates may get a locked allocator.
  test::Forked writer([&] { return put(queue, big) && put(queue, "next") ? 0 : 1; });
  run_and_kill([&](auto ready) {
    Incoming into;
    // Killed after the first chunk: the second look at the place never returns.
    static std::vector<std::byte> storage;
    storage.resize(300'000);
    into.storage = storage.data();
    into.capacity = storage.size();
    std::thread watch([&] {
      const volatile std::byte& first = storage[0];  // looked at each time
      while (first == std::byte{0}) std::this_thread::yield();
      ready();
      ::raise(SIGSTOP);
    });
    (void)queue.get(into, Deadline::never());
    ::pause();
  });
  // It died within the stream or just after it; either way the message is gone and the rest is
  // there.
  EXPECT_EQ(get(queue), "next");
  EXPECT_EQ(writer.wait(), 0);
  EXPECT_EQ(queue.items(), 0U);
}

TEST(RingQueueTest, ShutdownDrainsThenThrows) {
  RingQueue queue(QueueOptions{}, kType);
  EXPECT_TRUE(put(queue, "last"));
  queue.shutdown(false);
  EXPECT_THROW((void)put(queue, "late"), ShutDown);
  EXPECT_EQ(get(queue), "last");
  EXPECT_THROW((void)get(queue), ShutDown);
  EXPECT_THROW((void)get(queue, Deadline::now()), ShutDown);
  EXPECT_THROW((void)get(queue, Deadline::after(1s)), ShutDown);
}

TEST(RingQueueTest, ImmediateShutdownLosesWhatIsThere) {
  RingQueue queue(QueueOptions{}, kType);
  EXPECT_TRUE(put(queue, "lost"));
  queue.shutdown(true);
  EXPECT_THROW((void)get(queue), ShutDown);
  queue.shutdown(false);  // does not reopen it for reading
  EXPECT_THROW((void)get(queue), ShutDown);
}

TEST(RingQueueTest, ShutdownEndsEveryWait) {
  RingQueue full({.maxsize = 1}, kType);
  RingQueue empty(QueueOptions{}, kType);
  EXPECT_TRUE(put(full, "x"));
  std::vector<std::thread> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.emplace_back([&] { EXPECT_THROW((void)put(full, "y"), ShutDown); });
    waiting.emplace_back([&] { EXPECT_THROW((void)get(empty), ShutDown); });
  }
  full.shutdown(false);
  empty.shutdown(false);
  for (auto& thread : waiting) thread.join();
}

bool rings(const RingQueue& queue) {
  return os::wait_readable(queue.bell().get(), Deadline::now());
}

TEST(RingQueueTest, TheBellIsRungOnlyWhileSomebodyWatches) {
  RingQueue queue(QueueOptions{}, kType);
  EXPECT_TRUE(put(queue, "unheard"));
  EXPECT_FALSE(rings(queue));
  queue.watch();
  EXPECT_TRUE(rings(queue));
  EXPECT_EQ(get(queue), "unheard");
  EXPECT_FALSE(rings(queue));
  queue.watch();  // a second watcher
  queue.unwatch();
  EXPECT_TRUE(put(queue, "heard"));
  EXPECT_TRUE(rings(queue));
  EXPECT_EQ(get(queue), "heard");
  queue.unwatch();
  EXPECT_TRUE(put(queue, "unheard again"));
  EXPECT_FALSE(rings(queue));
}

TEST(RingQueueTest, AFalseRingIsHeardOut) {
  RingQueue queue(QueueOptions{}, kType);
  queue.watch();
  os::ring_bell(queue.bell());  // a producer died before it published
  EXPECT_TRUE(rings(queue));
  EXPECT_EQ(get(queue, Deadline::now()), std::nullopt);
  EXPECT_FALSE(rings(queue));
  EXPECT_TRUE(put(queue, "next"));
  EXPECT_TRUE(rings(queue));
}

TEST(RingQueueTest, AnotherSegmentIsRefused) {
  EXPECT_THROW(RingQueue(shm::Segment::create("not-a-queue", 8192), os::make_event_fd(), kType),
               DecodeError);
  EXPECT_THROW(RingQueue(shm::Segment::create("too-small", 100), os::make_event_fd(), kType),
               DecodeError);
  RingQueue queue(QueueOptions{}, kType);
  const auto again = [&] { return shm::Segment::adopt(queue.fd().duplicate(), 4096); };
  EXPECT_THROW(RingQueue(again(), os::make_event_fd(), kType + 1), DecodeError);
  EXPECT_THROW(RingQueue(again(), os::make_event_fd(), kType, QueueKind::joinable), DecodeError);
  RingQueue same(again(), os::make_event_fd(), kType);
  EXPECT_TRUE(put(queue, "seen by both"));
  EXPECT_EQ(get(same), "seen by both");
}

/// A queue whose shared memory the test can spoil.
class SpoiledQueueTest : public testing::Test {
 protected:
  /// Puts only the beginning of a record where the reader looks first.
  void write_record(shm::RecordKind kind, std::size_t size, std::uint64_t start = 0) {
    const auto header = shm::RecordHeader::make(kind, false, size, kType);
    std::memcpy(memory_.data() + QueueHeader::kDataOffset, &header, sizeof header);
    std::memcpy(memory_.data() + QueueHeader::kDataOffset + sizeof header, &start, sizeof start);
  }
  shm::RingState& state() { return reinterpret_cast<QueueHeader*>(memory_.data())->ring; }

  RingQueue queue_{{.ring_bytes = 4096}, kType};
  shm::Segment memory_ = shm::Segment::adopt(queue_.fd().duplicate(), 8192);
};

TEST_F(SpoiledQueueTest, ABatchNeverHasMoreThanTheRingHolds) {
  // One record fills the ring. The hint says that it is there, the tail that there is another.
  constexpr std::uint64_t kUnits = 4096 / shm::Cursor::kUnit;
  write_record(shm::RecordKind::whole, 4096 - sizeof(shm::RecordHeader));
  state().tail_seen.store(kUnits);
  state().tail.store(2 * kUnits);
  Batch batch;
  EXPECT_EQ(queue_.get_records(batch, 1'000, Deadline::now()), 1U);
  EXPECT_EQ(batch.records().size(), 4096U);
}

TEST_F(SpoiledQueueTest, PositionAndCountWrapAround) {
  // As after 32 GiB and 2^31 messages, less a few.
  const std::uint64_t near_the_end =
      (std::uint64_t{0x7fffffff} - 20) << 33 | (std::uint64_t{0xffffffff} - 200);
  for (auto* word : {&state().head, &state().tail, &state().head_seen, &state().tail_seen}) {
    word->store(near_the_end);
  }
  EXPECT_EQ(queue_.items(), 0U);
  std::thread producer([this] {
    for (std::size_t i = 0; i < 60; ++i) EXPECT_TRUE(put(queue_, long_text(i * 150)));
  });
  for (std::size_t i = 0; i < 60; ++i) ASSERT_EQ(get(queue_), long_text(i * 150)) << i;
  producer.join();
  EXPECT_LT(shm::Cursor(state().head.load()).position(), 0x80000000U);
  EXPECT_LT(shm::Cursor(state().head.load()).items(), 100U);
  EXPECT_EQ(queue_.items(), 0U);
  EXPECT_EQ(get(queue_, Deadline::now()), std::nullopt);
}

TEST_F(SpoiledQueueTest, AStreamOfAnImpossibleSizeIsADecodeError) {
  write_record(shm::RecordKind::first, sizeof(std::uint64_t), std::uint64_t{1} << 60);
  state().tail.store(2);
  EXPECT_THROW((void)get(queue_, Deadline::now()), DecodeError);
}

}  // namespace
}  // namespace tandem::detail
