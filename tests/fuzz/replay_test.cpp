// The fuzz targets without a fuzzer: their seeds, cut short and spoiled at random.
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "fuzz/target.hpp"
#include "support/random.hpp"

namespace tandem::fuzz {
namespace {

using namespace std::chrono_literals;

class FuzzReplayTest : public testing::TestWithParam<const Target*> {};

void run(const Target& target, const std::string& input) {
  target.run(std::as_bytes(std::span(input)));
}

void spoil(std::string& input, std::mt19937_64& random) {
  for (auto changes = 1 + random() % 4; changes != 0 && !input.empty(); --changes) {
    const std::size_t at = random() % input.size();
    switch (random() % 5) {
      case 0:
        input[at] = static_cast<char>(random());
        break;
      case 1:
        input[at] = static_cast<char>(input[at] ^ 1 << random() % 8);
        break;
      case 2:
        input.resize(at);
        break;
      case 3:
        input.insert(at, input.substr(random() % input.size(), random() % 16));
        break;
      default:
        for (std::size_t i = at; i < input.size() && i < at + 8; ++i) input[i] = '\xff';
    }
  }
}

TEST_P(FuzzReplayTest, SeedsWholeAndSpoiled) {
  const Target& target = *GetParam();
  const std::vector<std::string> seeds = target.seeds();
  ASSERT_FALSE(seeds.empty());
  run(target, "");
  for (const std::string& seed : seeds) run(target, seed);
  std::mt19937_64 random(test::seed());
  // As many as go into a moment; a slow machine tries fewer.
  const auto end = std::chrono::steady_clock::now() + 300ms;
  do {
    std::string input = seeds[random() % seeds.size()];
    spoil(input, random);
    run(target, input);
  } while (std::chrono::steady_clock::now() < end);
}

INSTANTIATE_TEST_SUITE_P(AllTargets, FuzzReplayTest, testing::ValuesIn(kTargets),
                         [](const auto& each) { return std::string(each.param->name); });

}  // namespace
}  // namespace tandem::fuzz
