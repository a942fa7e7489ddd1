#include "tandem/detail/run_filler.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tandem::detail {
namespace {

struct Odd {  // neither its size nor a cut between two pieces is a multiple of its alignment
  std::array<std::uint16_t, 3> numbers;
  bool operator==(const Odd&) const = default;
};

template <class Run>
Run filled(const Run& from, std::size_t piece, std::size_t shift) {
  const auto bytes = std::as_bytes(std::span(from.data(), from.size()));
  RunFiller<Run> filler;
  EXPECT_TRUE(filler.begin(bytes.size(), std::min(piece, bytes.size())));
  std::vector<std::byte> place(piece + shift);
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    const auto part = bytes.subspan(at, std::min(piece, bytes.size() - at));
    std::memcpy(place.data() + shift, part.data(), part.size());
    filler.add({place.data() + shift, part.size()});
  }
  return std::move(filler.run());
}

template <class Run>
void expect_any_cut_gives_the_same(const Run& run) {
  for (const std::size_t piece : {1U, 2U, 3U, 5U, 8U, 64U, 1'000U, 100'000U}) {
    for (const std::size_t shift : {0U, 1U, 4U}) EXPECT_EQ(filled(run, piece, shift), run);
  }
}

TEST(RunFillerTest, PiecesOfAnySizeAndAlignment) {
  std::string text(3'000, '\0');
  std::iota(text.begin(), text.end(), 'a');
  expect_any_cut_gives_the_same(text);
  std::vector<double> numbers(700);
  std::iota(numbers.begin(), numbers.end(), 0.5);
  expect_any_cut_gives_the_same(numbers);
  std::vector<Odd> odd(500);
  for (std::size_t i = 0; i < odd.size(); ++i)
    odd[i].numbers[i % 3] = static_cast<std::uint16_t>(i);
  expect_any_cut_gives_the_same(odd);
  expect_any_cut_gives_the_same(std::u16string(1'000, u'x'));
  expect_any_cut_gives_the_same(std::vector<int>());
}

TEST(RunFillerTest, NoRunHasThatManyBytes) {
  RunFiller<std::vector<Odd>> filler;
  EXPECT_FALSE(filler.begin(7, 7));
}

TEST(RunFillerTest, AllocatesMuchInProportionToWhatHasComeNotToWhatWasSaid) {
  constexpr std::size_t kAtOnce = std::size_t{64} << 20;
  RunFiller<std::vector<std::byte>> filler;
  const std::vector<std::byte> piece(std::size_t{1} << 20);
  ASSERT_TRUE(filler.begin(std::size_t{1} << 60, piece.size()));
  for (std::size_t came = piece.size(); came <= 24 * piece.size(); came += piece.size()) {
    filler.add(piece);
    EXPECT_EQ(filler.run().size(), came);
    EXPECT_LE(filler.run().capacity(), std::max(kAtOnce, 8 * came));
  }
}

TEST(RunFillerTest, AllocatesOnceForWhatIsNotMuch) {
  RunFiller<std::vector<std::byte>> filler;
  ASSERT_TRUE(filler.begin(10'000'000, 16));
  EXPECT_EQ(filler.run().capacity(), 10'000'000U);
}

TEST(RunFillerTest, AMessageThatIsThereWholeIsAllocatedOnce) {
  RunFiller<std::vector<std::byte>> filler;
  ASSERT_TRUE(filler.begin(10'000, 10'000));
  EXPECT_EQ(filler.run().capacity(), 10'000U);
  // Cut in two by the end of a ring.
  filler.add(std::vector<std::byte>(8));
  filler.add(std::vector<std::byte>(9'992));
  EXPECT_EQ(filler.run().capacity(), 10'000U);
}

TEST(RunFillerTest, ANewRunForgetsWhatCameOfTheLast) {
  RunFiller<std::vector<Odd>> filler;
  ASSERT_TRUE(filler.begin(60, 60));
  filler.add(std::vector<std::byte>(10));
  ASSERT_TRUE(filler.begin(6, 6));
  filler.add(std::vector<std::byte>(6));
  EXPECT_EQ(filler.run(), std::vector<Odd>(1));
}

}  // namespace
}  // namespace tandem::detail
