#include "shm/segment.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "os/check.hpp"
#include "support/forked.hpp"
#include "tandem/error.hpp"

namespace tandem::shm {
namespace {

using detail::Fd;

Fd unsealed(std::size_t size_bytes) {
  Fd fd(os::check(::memfd_create("segment_test", MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd"));
  os::check(::ftruncate(fd.get(), static_cast<off_t>(size_bytes)), "ftruncate");
  return fd;
}

TEST(SegmentTest, StartsZeroFilledAtTheSizeAskedFor) {
  const auto segment = Segment::create("segment_test", 10'000);
  EXPECT_EQ(segment.size(), 10'000U);
  EXPECT_TRUE(std::all_of(segment.data(), segment.data() + segment.size(),
                          [](std::byte b) { return b == std::byte{0}; }));
}

TEST(SegmentTest, IsSharedWithWhoAdoptsItsDescriptor) {
  const auto segment = Segment::create("segment_test", 4096);
  const auto other = Segment::adopt(segment.fd().duplicate(), 4096);
  ASSERT_NE(other.data(), segment.data());
  segment.data()[100] = std::byte{42};
  EXPECT_EQ(other.data()[100], std::byte{42});
  EXPECT_EQ(os::identity(segment.fd()), os::identity(other.fd()));
}

TEST(SegmentTest, IsSharedWithAForkedChild) {
  const auto segment = Segment::create("segment_test", 1);
  test::Forked child([&] {
    segment.data()[0] = std::byte{7};
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(segment.data()[0], std::byte{7});
}

TEST(SegmentTest, NobodyCanChangeItsSize) {
  const auto segment = Segment::create("segment_test", 4096);
  EXPECT_EQ(::ftruncate(segment.fd().get(), 0), -1);
  EXPECT_EQ(::ftruncate(segment.fd().get(), 8192), -1);
}

TEST(SegmentTest, SizesTheMachineCannotGiveAreErrors) {
  EXPECT_THROW((void)Segment::create("segment_test", 0), SystemError);
  EXPECT_THROW((void)Segment::create("segment_test", std::size_t{1} << 60), SystemError);
  EXPECT_THROW((void)Segment::create("segment_test", ~std::size_t{0}), SystemError);
}

TEST(SegmentTest, ALongNameIsCut) {
  EXPECT_EQ(Segment::create(std::string(1000, 'n'), 1).size(), 1U);
}

TEST(SegmentTest, RefusesADescriptorThatCouldBeTruncated) {
  EXPECT_THROW((void)Segment::adopt(unsealed(4096), 4096), DecodeError);
}

TEST(SegmentTest, RefusesASegmentThatIsTooSmall) {
  const auto segment = Segment::create("segment_test", 4096);
  EXPECT_THROW((void)Segment::adopt(segment.fd().duplicate(), 4097), DecodeError);
}

TEST(SegmentTest, RefusesWhatIsNoMemory) {
  int ends[2];
  os::check(::pipe(ends), "pipe");
  const Fd writer(ends[1]);
  EXPECT_THROW((void)Segment::adopt(Fd(ends[0]), 1), DecodeError);
  EXPECT_THROW((void)Segment::adopt(Fd(), 1), DecodeError);
}

}  // namespace
}  // namespace tandem::shm
