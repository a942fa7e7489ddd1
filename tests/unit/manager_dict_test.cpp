// The table of a manager's dict and the memory its entries are in.
#include "manager/dict_object.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "manager/slabs.hpp"
#include "support/random.hpp"

namespace tandem::detail {
namespace {

ArrivingValue value_of(const std::string& text, References references = nullptr) {
  return {std::as_bytes(std::span(text)), std::move(references)};
}

class ManagerDictTest : public testing::Test {
 protected:
  References put(const std::string& key, const std::string& value,
                 References references = nullptr) {
    auto fresh = DictObject::make(memory_, key, value_of(value, std::move(references)));
    dict_.reserve(1);
    return dict_.put(std::move(fresh));
  }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> items() const {
    std::vector<std::pair<std::string, std::string>> all;
    for (const DictEntry* entry = dict_.oldest(); entry != nullptr; entry = entry->newer()) {
      all.emplace_back(entry->key(), entry->value());
    }
    return all;
  }

  Slabs memory_;
  DictObject dict_;
};

TEST_F(ManagerDictTest, AKeyKeepsItsPlaceInTheOrderWhateverItsValue) {
  put("a", "1");
  put("b", "2");
  put("c", "3");
  const std::string longer(5000, 'x');
  put("b", longer);  // another block
  put("a", "4");     // the same
  static_cast<void>(dict_.take(*dict_.find("c")));
  put("c", "5");
  put("b", "");
  EXPECT_EQ(items(),
            (std::vector<std::pair<std::string, std::string>>{{"a", "4"}, {"b", ""}, {"c", "5"}}));
  EXPECT_EQ(dict_.newest()->key(), "c");
}

TEST_F(ManagerDictTest, WhatAValueReferredToComesBackWhenItGoes) {
  const auto of = [](ObjectId id) {
    return std::make_unique<const std::vector<ObjectId>>(std::vector<ObjectId>{id});
  };
  EXPECT_EQ(put("k", "v", of(1)), nullptr);
  const References first = put("k", "w", of(2));  // in its place
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->front(), 1u);
  const References second = put("k", std::string(100, 'w'), of(3));  // in another block
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->front(), 2u);
  const auto taken = dict_.take(*dict_.find("k"));
  EXPECT_EQ(taken->references()->front(), 3u);
  EXPECT_EQ(dict_.size(), 0u);
}

TEST_F(ManagerDictTest, BytesOfAnyKindAreKeysAndValues) {
  const std::string zeros(3, '\0');
  put("", "of the empty key");
  put(zeros, zeros);
  EXPECT_EQ(dict_.find("")->value(), "of the empty key");
  EXPECT_EQ(dict_.find(zeros)->value(), zeros);
  EXPECT_EQ(dict_.find(std::string(2, '\0')), nullptr);
}

// As a std::map and a std::list of the keys in their order do.
TEST_F(ManagerDictTest, DoesAsAMapDoes) {
  std::mt19937_64 random(test::seed());
  std::map<std::string, std::string> map;
  std::list<std::string> order;
  for (int phase = 0; phase < 6; ++phase) {
    const bool growing = phase % 2 == 0;
    for (int i = 0; i < 10'000; ++i) {
      const std::string key = "key " + std::to_string(random() % 4000);
      DictEntry* const there = dict_.find(key);
      ASSERT_EQ(there != nullptr, map.contains(key));
      if (there != nullptr) {
        ASSERT_EQ(there->value(), map.at(key));
      }
      if (random() % 4 != 0 ? growing : !growing) {
        const std::string value(random() % 80, static_cast<char>('a' + random() % 26));
        put(key, value);
        if (map.insert_or_assign(key, value).second) order.push_back(key);
      } else if (there != nullptr) {
        EXPECT_EQ(dict_.take(*there)->key(), key);
        map.erase(key);
        order.remove(key);
      }
      ASSERT_EQ(dict_.size(), map.size());
    }
    std::vector<std::pair<std::string, std::string>> expected;
    for (const std::string& key : order) expected.emplace_back(key, map.at(key));
    ASSERT_EQ(items(), expected);
  }
}

TEST(SlabsTest, ABlockIsNobodyElses) {
  struct Block {
    void* memory;
    std::size_t bytes;
    unsigned char mark;
  };
  std::mt19937_64 random(test::seed());
  Slabs slabs;
  std::vector<Block> blocks;
  const auto free_one = [&] {
    std::swap(blocks[random() % blocks.size()], blocks.back());
    const Block block = blocks.back();
    blocks.pop_back();
    const auto* const bytes = static_cast<const unsigned char*>(block.memory);
    EXPECT_TRUE(std::all_of(bytes, bytes + block.bytes,
                            [&](unsigned char byte) { return byte == block.mark; }));
    Slabs::free(block.memory, block.bytes);
  };
  // Blocks of one range of sizes after another, some 10 MB at a time.
  for (std::size_t most : {64u, 300u, 1500u, 16u, 1024u}) {
    for (std::size_t used = 0; used < 10'000'000;) {
      Block block{nullptr, 16 + random() % most, static_cast<unsigned char>(random())};
      block.memory = slabs.allocate(block.bytes);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.memory) % 16, 0u);
      std::memset(block.memory, block.mark, block.bytes);
      used += block.bytes;
      blocks.push_back(block);
      if (random() % 4 == 0) free_one();
    }
    while (blocks.size() > 100) free_one();
  }
  while (!blocks.empty()) free_one();
}

}  // namespace
}  // namespace tandem::detail
