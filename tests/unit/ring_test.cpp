#include "shm/ring.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "support/random.hpp"
#include "tandem/error.hpp"

namespace tandem::shm {
namespace {

constexpr std::size_t kCapacity = Ring::kLeastCapacity;

class RingTest : public testing::Test {
 protected:
  void SetUp() override {
    std::memset(data_, 0xee, sizeof data_);
    ring_ = Ring(&state_, data_, kCapacity);
  }

  static std::span<const std::byte> bytes(const std::string& text) {
    return std::as_bytes(std::span(text));
  }
  bool put(const std::string& text) {
    const Cursor tail = ring_.tail();
    const std::size_t size = record_bytes(text.size());
    if (ring_.room(tail, size) < size) return false;
    ring_.write(tail, RecordKind::whole, false, 7, bytes(text));
    ring_.publish(tail.advanced(size, 1));
    return true;
  }
  std::string get() {
    RecordHeader header;
    const Cursor head = ring_.head();
    EXPECT_TRUE(ring_.peek(head, header));
    EXPECT_EQ(header.type, 7U);
    EXPECT_EQ(header.kind(), RecordKind::whole);
    std::string text(header.size(), '\0');
    ring_.read(head, 0, reinterpret_cast<std::byte*>(text.data()), text.size());
    ring_.consume(head.advanced(record_bytes(header.size()), 1));
    return text;
  }

  RingState state_{};
  alignas(64) std::byte data_[kCapacity];
  Ring ring_;
};

TEST(CursorTest, PacksItemsStreamingAndPosition) {
  const Cursor start;
  const Cursor next = start.advanced(72, 1).with_streaming(true);
  EXPECT_EQ(next.position(), 9U);
  EXPECT_EQ(next.items(), 1U);
  EXPECT_TRUE(next.streaming());
  EXPECT_EQ(bytes_between(start, next), 72U);
  EXPECT_EQ(items_between(start, next), 1U);
  EXPECT_FALSE(next.with_streaming(false).streaming());
}

TEST(CursorTest, WrapsWithoutTouchingItsNeighbours) {
  const Cursor before(0xfffffffeU | std::uint64_t{0x7fffffff} << 33 | std::uint64_t{1} << 32);
  const Cursor after = before.advanced(5 * Cursor::kUnit, 3);
  EXPECT_EQ(after.position(), 3U);
  EXPECT_EQ(after.items(), 2U);
  EXPECT_TRUE(after.streaming());
  EXPECT_EQ(bytes_between(before, after), 5 * Cursor::kUnit);
  EXPECT_EQ(items_between(before, after), 3U);
}

TEST_F(RingTest, RecordsComeOutAsTheyWentInAcrossTheEnd) {
  std::mt19937_64 random(test::seed());
  std::size_t waiting = 0;
  std::uint64_t put_next = 0;
  std::uint64_t get_next = 0;
  const auto text_of = [](std::uint64_t n) {
    return std::string(n * 37 % 501, static_cast<char>('a' + n % 26)) + std::to_string(n);
  };
  while (get_next < 20'000) {
    if (random() % 2 == 0 && put(text_of(put_next))) {
      ++put_next;
      ++waiting;
    } else if (waiting != 0) {
      ASSERT_EQ(get(), text_of(get_next));
      ++get_next;
      --waiting;
    }
    ASSERT_EQ(ring_.items(), waiting);
    ASSERT_EQ(ring_.empty(), waiting == 0);
  }
}

TEST_F(RingTest, FullIsWhenARecordDoesNotFit) {
  const std::string text(56, 'x');  // 64 bytes in the ring
  for (std::size_t i = 0; i < kCapacity / 64; ++i) EXPECT_TRUE(put(text));
  EXPECT_FALSE(put(""));
  EXPECT_EQ(get(), text);
  EXPECT_TRUE(put(""));
}

TEST_F(RingTest, NothingIsSeenBeforeItIsPublished) {
  ring_.write(ring_.tail(), RecordKind::whole, false, 7, bytes("hidden"));
  RecordHeader header;
  EXPECT_FALSE(ring_.peek(ring_.head(), header));
  EXPECT_TRUE(ring_.empty());
}

TEST_F(RingTest, AnUnconsumedRecordIsThereForTheNextReader) {
  ASSERT_TRUE(put("again"));
  RecordHeader header;
  ASSERT_TRUE(ring_.peek(ring_.head(), header));
  EXPECT_EQ(get(), "again");
}

TEST_F(RingTest, ImpossiblePositionsAreRejected) {
  RecordHeader header;
  ring_.publish(Cursor().advanced(kCapacity + 8, 1));
  EXPECT_THROW((void)ring_.peek(ring_.head(), header), DecodeError);
  EXPECT_THROW((void)ring_.room(ring_.tail(), 8), DecodeError);
}

TEST_F(RingTest, ARecordBeyondTheTailIsRejected) {
  ASSERT_TRUE(put("short"));
  const auto lie = RecordHeader::make(RecordKind::whole, false, 100'000, 7);
  std::memcpy(data_, &lie, sizeof lie);
  RecordHeader header;
  EXPECT_THROW((void)ring_.peek(ring_.head(), header), DecodeError);
}

TEST_F(RingTest, ArbitraryBytesNeverReachBeyondTheRing) {
  std::mt19937_64 random(test::seed());
  for (int round = 0; round < 20'000; ++round) {
    for (auto* word : {&state_.tail, &state_.head, &state_.head_seen, &state_.tail_seen}) {
      // Near each other as often as anywhere, so that some rounds get past the first check.
      word->store(random() % 2 == 0 ? random() : random() % 600, std::memory_order_relaxed);
    }
    for (int i = 0; i < 64; ++i) data_[random() % kCapacity] = static_cast<std::byte>(random());
    try {
      RecordHeader header;
      const Cursor head = ring_.head();
      if (ring_.peek(head, header)) {
        std::vector<std::byte> into(header.size());
        ring_.read(head, 0, into.data(), into.size());
      }
      const Cursor tail = ring_.tail();
      if (ring_.room(tail, 64) >= 64) ring_.write(tail, RecordKind::whole, false, 7, bytes("x"));
    } catch (const DecodeError&) {
      continue;
    }
  }
}

TEST_F(RingTest, ThePeerIsWokenOnceAndOnlyIfItParked) {
  os::FutexWord& parked = ring_.state().reader_parked;
  EXPECT_FALSE(ring_.take_parked(parked));
  ring_.announce(parked);
  EXPECT_TRUE(ring_.take_parked(parked));
  EXPECT_FALSE(ring_.take_parked(parked));
}

}  // namespace
}  // namespace tandem::shm
