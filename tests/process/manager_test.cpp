// A manager's dict and list, alone and from many processes. What each step does is proven in
// manager_model_test.
#include "tandem/manager.hpp"

#include <gtest/gtest.h>

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/error.hpp"
#include "tandem/process.hpp"

namespace tandem {
namespace {

using ManagerTest = test::StartMethodTest;
TANDEM_OVER_START_METHODS(ManagerTest);

TEST_P(ManagerTest, SortTakesAComparisonAndIsStable) {
  Manager manager;
  auto list = manager.list<std::string>({"bb", "a", "cc", "ddd", "b"});
  list.sort([](const std::string& a, const std::string& b) { return a.size() < b.size(); });
  EXPECT_EQ(list.copy(), (std::vector<std::string>{"a", "b", "bb", "cc", "ddd"}));
  EXPECT_THROW(list.sort([](const std::string& a, const std::string&) -> bool {
    throw std::invalid_argument("no order for " + a);
  }),
               std::invalid_argument);
  EXPECT_EQ(list.at(0), "a");
}

void count_up(DictProxy<std::string, int> dict, int times) {
  for (int i = 0; i < times; ++i) {
    dict.fetch_add("added", 1);
    dict.apply("applied", [](int& n) { ++n; });
  }
}

TEST_P(ManagerTest, StepsOfManyProcessesAreExact) {
  constexpr int kProcesses = 8;
  constexpr int kTimes = 2000 / test::kSlowdown;
  Manager manager;
  auto dict = manager.dict<std::string, int>({{"added", 0}, {"applied", 0}});
  std::vector<Process> children;
  for (int i = 0; i < kProcesses; ++i) children.emplace_back(count_up, dict, kTimes);
  for (Process& child : children) child.start();
  for (Process& child : children) {
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
  }
  EXPECT_EQ(dict.at("added"), kProcesses * kTimes);
  EXPECT_EQ(dict.at("applied"), kProcesses * kTimes);
}

TEST_P(ManagerTest, LargeValuesAndMany) {
  Manager manager;
  auto dict = manager.dict<int, std::string>();
  for (const std::size_t size : {0u, 1u, 255u, 32'700u, 32'752u, 32'768u, 65'536u, 10'000'000u}) {
    const std::string value(size, static_cast<char>('a' + size % 26));
    dict.set(1, value);
    ASSERT_EQ(dict.at(1), value);
    ASSERT_EQ(dict.at(1).size(), size);
  }
  std::map<int, std::string> many;
  for (int i = 0; i < 20'000; ++i) many.emplace(i, std::to_string(i));
  dict.update(many);
  EXPECT_EQ(dict.copy(), many);
}

TEST_P(ManagerTest, NamesFindTheSameObject) {
  Manager manager;
  auto first = manager.dict<std::string, int>({{"a", 1}}, "settings");
  auto second = manager.dict<std::string, int>({{"b", 2}}, "settings");
  EXPECT_EQ(first, second);
  EXPECT_EQ(second.copy(), (std::map<std::string, int>{{"a", 1}}));
  EXPECT_THROW(static_cast<void>(manager.list<int>({}, "settings")), Error);
  EXPECT_THROW(static_cast<void>(manager.dict<std::string, long>({}, "settings")), Error);
  first = {};
  second = {};
  EXPECT_EQ((manager.dict<std::string, int>({}, "settings").at("a")), 1);
}

TEST_P(ManagerTest, ABatchIsOneTrip) {
  Manager manager;
  auto dict = manager.dict<std::string, int>({{"a", 1}});
  auto batch = dict.batch();
  const auto before = batch.get("b");
  batch.set("b", 2);
  const auto after = batch.get("b");
  const auto added = batch.fetch_add("a", 10);
  const auto sum = batch.at("a");
  const auto missing = batch.at("none");
  const auto gone = batch.pop("b");
  EXPECT_THROW(static_cast<void>(after.get()), Error);
  EXPECT_EQ(dict.size(), 1u);
  batch.run();
  EXPECT_EQ(before.get(), std::nullopt);
  EXPECT_EQ(after.get(), 2);
  EXPECT_EQ(after.get(), 2);
  EXPECT_EQ(added.get(), 1);
  EXPECT_EQ(sum.get(), 11);
  EXPECT_THROW(static_cast<void>(missing.get()), std::out_of_range);
  EXPECT_EQ(gone.get(), 2);
  EXPECT_EQ(dict.copy(), (std::map<std::string, int>{{"a", 11}}));

  for (int i = 0; i < 5000; ++i) batch.set(std::to_string(i), i);  // and again, in several pieces
  batch.run();
  EXPECT_EQ(dict.size(), 5001u);
}

void add_twice(int& value, int n) { value += 2 * n; }
int add_and_tell(int& value, int n) { return value += n; }

TEST_P(ManagerTest, ABatchAppliesFunctions) {
  Manager manager;
  auto dict = manager.dict<std::string, int>({{"a", 1}});
  auto on_dict = dict.batch();
  on_dict.apply("a", add_twice, 10);
  const auto sum = on_dict.apply("a", add_and_tell, 100);
  const auto missing = on_dict.apply("none", add_and_tell, 1);
  on_dict.run();
  EXPECT_EQ(sum.get(), 121);
  EXPECT_THROW(static_cast<void>(missing.get()), std::out_of_range);

  on_dict.apply("none", add_twice, 1);  // nobody holds the result
  on_dict.apply("a", add_twice, 1);
  EXPECT_THROW(on_dict.run(), std::out_of_range);
  EXPECT_EQ(dict.copy(), (std::map<std::string, int>{{"a", 123}}));

  auto list = manager.list<int>({1, 2});
  auto on_list = list.batch();
  const auto told = on_list.apply(1, add_and_tell, 5);
  on_list.apply(0, add_twice, 1);
  on_list.run();
  EXPECT_EQ(told.get(), 7);
  EXPECT_EQ(list.copy(), (std::vector<int>{3, 7}));
}

TEST_P(ManagerTest, ABatchKeepsTheProxiesInItsValues) {
  Manager manager;
  auto shelf = manager.list<ListProxy<int>>();
  auto batch = shelf.batch();
  batch.push_back(manager.list<int>({7}));
  const auto there = batch.at(0);
  batch.run();
  EXPECT_EQ(there.get().at(0), 7);
  EXPECT_EQ(shelf.size(), 1u);
}

}  // namespace
}  // namespace tandem
