// A manager's dict and list against their models, alone and from many processes.
#include "tandem/manager.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/random.hpp"
#include "support/start_methods.hpp"
#include "support/supervisor.hpp"
#include "tandem/error.hpp"
#include "tandem/process.hpp"

namespace tandem {
namespace {

using ManagerTest = test::StartMethodTest;
TANDEM_OVER_START_METHODS(ManagerTest);

constexpr int kModelSteps = 100'000 / test::kSlowdown;

template <class F>
bool throws_out_of_range(F f) {
  try {
    f();
    return false;
  } catch (const std::out_of_range&) {
    return true;
  }
}

TEST(ManagerModelTest, DictIsAMap) {
  std::mt19937_64 random(test::seed());
  Manager manager;
  auto dict = manager.dict<std::string, int>();
  std::map<std::string, int> model;
  for (int step = 0; step < kModelSteps; ++step) {
    const std::string k = "key" + std::to_string(random() % 40);
    const int v = static_cast<int>(random() % 8);
    const auto at = model.find(k);
    const bool there = at != model.end();
    switch (random() % 21) {
      case 0:
        ASSERT_EQ(dict.get(k), there ? std::optional(at->second) : std::nullopt);
        break;
      case 1:
        ASSERT_EQ(throws_out_of_range([&] {
                    const auto got = dict.at(k);
                    ASSERT_EQ(got, at->second);
                  }),
                  !there);
        break;
      case 2:
        ASSERT_EQ(dict.get_or(k, -1), there ? at->second : -1);
        break;
      case 3:
      case 4:
      case 5:
        dict.set(k, v);
        model[k] = v;
        break;
      case 6:
        ASSERT_EQ(dict.insert(k, v), model.emplace(k, v).second);
        break;
      case 7:
        ASSERT_EQ(dict.erase(k), model.erase(k) == 1);
        break;
      case 8:
        ASSERT_EQ(dict.pop(k, -1), there ? at->second : -1);
        model.erase(k);
        break;
      case 9:
        ASSERT_EQ(throws_out_of_range([&] {
                    const auto got = dict.pop(k);
                    ASSERT_EQ(got, at->second);
                  }),
                  !there);
        model.erase(k);
        break;
      case 10: {
        const auto item = dict.pop_item();
        ASSERT_EQ(item.has_value(), !model.empty());
        if (!item) break;
        ASSERT_EQ(model.at(item->first), item->second);
        model.erase(item->first);
        break;
      }
      case 11:
        ASSERT_EQ(dict.set_default(k, v), model.emplace(k, v).first->second);
        break;
      case 12: {
        const std::map<std::string, int> more{{k, v}, {k + "'", v + 1}};
        dict.update(more);
        for (const auto& [key, value] : more) model[key] = value;
        break;
      }
      case 13:
        ASSERT_EQ(dict.contains(k), there);
        break;
      case 14:
        ASSERT_EQ(dict.size(), model.size());
        ASSERT_EQ(dict.empty(), model.empty());
        break;
      case 15:
        if (random() % 20 == 0) {
          dict.clear();
          model.clear();
        }
        break;
      case 16:
        if (random() % 20 == 0) {
          ASSERT_EQ(dict.copy(), model);
          ASSERT_TRUE(std::ranges::equal(dict.keys(), std::views::keys(model)));
          ASSERT_TRUE(std::ranges::equal(dict.values(), std::views::values(model)));
          std::map<std::string, int> walked;
          for (const auto& [key, value] : dict) walked.emplace(key, value);
          ASSERT_EQ(walked, model);
        }
        break;
      case 17:
        ASSERT_EQ(throws_out_of_range([&] {
                    const auto got = dict.fetch_add(k, v);
                    ASSERT_EQ(got, at->second);
                  }),
                  !there);
        if (there) at->second += v;
        break;
      case 18: {
        const int expected = static_cast<int>(random() % 8);
        ASSERT_EQ(throws_out_of_range([&] {
                    const bool done = dict.compare_exchange(k, expected, v);
                    ASSERT_EQ(done, at->second == expected);
                  }),
                  !there);
        if (there && at->second == expected) at->second = v;
        break;
      }
      case 19: {
        const auto f = [](int& value, int n) { return value = value * 3 % 1000 + n; };
        ASSERT_EQ(throws_out_of_range([&] {
                    const int result = dict.apply(k, f, v);
                    ASSERT_EQ(result, f(at->second, v));
                  }),
                  !there);
        break;
      }
      default:
        if (v < 4) {
          dict[k] = v;
          model[k] = v;
        } else {
          ASSERT_EQ(throws_out_of_range([&] {
                      const int value = dict[k];
                      ASSERT_EQ(value, at->second);
                    }),
                    !there);
        }
    }
  }
  EXPECT_EQ(dict.copy(), model);
}

TEST(ManagerModelTest, ListIsAVector) {
  std::mt19937_64 random(test::seed());
  Manager manager;
  auto list = manager.list<int>();
  std::vector<int> model;
  const auto place = [&](std::size_t i) { return model.begin() + static_cast<std::ptrdiff_t>(i); };
  for (int step = 0; step < kModelSteps; ++step) {
    const int v = static_cast<int>(random() % 30);
    const std::size_t i = random() % 40;
    const bool there = i < model.size();
    const auto found = std::find(model.begin(), model.end(), v);
    switch (random() % 22) {
      case 0:
      case 1:
        list.push_back(v);
        model.push_back(v);
        break;
      case 2: {
        const std::vector<int> more(random() % 4, v);
        list.extend(more);
        model.insert(model.end(), more.begin(), more.end());
        break;
      }
      case 3:
        ASSERT_EQ(throws_out_of_range([&] { list.insert(i, v); }), i > model.size());
        if (i <= model.size()) model.insert(place(i), v);
        break;
      case 4:
        ASSERT_EQ(throws_out_of_range([&] {
                    const auto got = list.pop_back();
                    ASSERT_EQ(got, model.back());
                  }),
                  model.empty());
        if (!model.empty()) model.pop_back();
        break;
      case 5:
        ASSERT_EQ(throws_out_of_range([&] {
                    const auto got = list.pop(i);
                    ASSERT_EQ(got, model[i]);
                  }),
                  !there);
        if (there) model.erase(place(i));
        break;
      case 6:
        ASSERT_EQ(throws_out_of_range([&] { list.erase(i); }), !there);
        if (there) model.erase(place(i));
        break;
      case 7:
        ASSERT_EQ(list.remove(v), found != model.end());
        if (found != model.end()) model.erase(found);
        break;
      case 8:
      case 9:
        ASSERT_EQ(throws_out_of_range([&] {
                    const auto got = list.at(i);
                    ASSERT_EQ(got, model[i]);
                  }),
                  !there);
        break;
      case 10:
        ASSERT_EQ(throws_out_of_range([&] { list.set(i, v); }), !there);
        if (there) model[i] = v;
        break;
      case 11: {
        const std::size_t to = random() % 50;
        const std::size_t last = std::min(to, model.size());
        const std::size_t first = std::min(i, last);
        ASSERT_EQ(list.slice(i, to), std::vector<int>(place(first), place(last)));
        break;
      }
      case 12:
        ASSERT_EQ(list.size(), model.size());
        ASSERT_EQ(list.empty(), model.empty());
        break;
      case 13:
        if (random() % 30 == 0) {
          list.clear();
          model.clear();
        }
        break;
      case 14: {
        const auto index = list.index(v);
        ASSERT_EQ(index.has_value(), found != model.end());
        ASSERT_EQ(index.value_or(model.size()), static_cast<std::size_t>(found - model.begin()));
        break;
      }
      case 15:
        ASSERT_EQ(list.count(v), static_cast<std::size_t>(std::ranges::count(model, v)));
        break;
      case 16:
        list.sort();
        std::sort(model.begin(), model.end());
        break;
      case 17:
        list.reverse();
        std::reverse(model.begin(), model.end());
        break;
      case 18:
        ASSERT_EQ(list.copy(), model);
        ASSERT_TRUE(std::equal(list.begin(), list.end(), model.begin(), model.end()));
        break;
      case 19:
        ASSERT_EQ(throws_out_of_range([&] {
                    const auto got = list.fetch_add(i, v);
                    ASSERT_EQ(got, model[i]);
                  }),
                  !there);
        if (there) model[i] += v;
        break;
      case 20:
        ASSERT_EQ(throws_out_of_range([&] {
                    const bool done = list.compare_exchange(i, v, 7);
                    ASSERT_EQ(done, model[i] == v);
                  }),
                  !there);
        if (there && model[i] == v) model[i] = 7;
        break;
      default:
        ASSERT_EQ(throws_out_of_range([&] {
                    const auto f = [](int& value, int n) { return value = value % 100 + n; };
                    const int result = list.apply(i, f, v);
                    ASSERT_EQ(result, f(model[i], v));
                  }),
                  !there);
    }
  }
  EXPECT_EQ(list.copy(), model);
}

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
