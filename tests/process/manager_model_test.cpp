// A manager's dict and list against std::map and std::vector, under random sequences of everything
// their proxies can do. TANDEM_FULL=1 runs a million steps of each.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/random.hpp"
#include "support/supervisor.hpp"
#include "tandem/manager.hpp"

namespace tandem {
namespace {

int model_steps() { return test::full_form() ? 1'000'000 : 50'000 / test::kSlowdown; }

template <class F>
bool throws_out_of_range(F f) {
  try {
    f();
    return false;
  } catch (const std::out_of_range&) {
    return true;
  }
}

// --- a dict ---

using Dict = DictProxy<std::string, int>;
using Map = std::map<std::string, int>;
using Checks = std::vector<std::function<void()>>;  // for after the trip

std::string random_key(std::mt19937_64& random) {
  const auto n = random() % 40;
  return "key" + std::to_string(n) + std::string(n % 5 * 20, '.');
}

void spoil_and_throw(int& value) {
  value = -1;
  throw std::invalid_argument("no");
}
int mix(int& value, int n) { return value = value * 3 % 1000 + n; }

/// What the step of a batch returns must be as the model says, and missing where it is there.
template <class T>
void expect_later(Checks& checks, Later<T> later, std::optional<T> expected) {
  checks.push_back([later, expected] {
    std::optional<T> got;
    EXPECT_EQ(throws_out_of_range([&] { got = later.get(); }), !expected);
    EXPECT_EQ(got, expected);
  });
}

void add_to_batch(DictBatch<std::string, int>& batch, Map& model, Checks& checks,
                  std::mt19937_64& random) {
  const std::string k = random_key(random);
  const int v = static_cast<int>(random() % 8);
  const auto at = model.find(k);
  const bool there = at != model.end();
  const std::optional<int> before = there ? std::optional(at->second) : std::nullopt;
  switch (random() % 10) {
    case 0:
      return expect_later(checks, batch.at(k), before);
    case 1:
      return expect_later(checks, batch.get(k), std::make_optional(before));
    case 2:
      expect_later(checks, batch.pop(k), std::make_optional(before));
      model.erase(k);
      return;
    case 3:
      return expect_later(checks, batch.contains(k), std::optional(there));
    case 4:
      expect_later(checks, batch.erase(k), std::optional(there));
      model.erase(k);
      return;
    case 5:
      expect_later(checks, batch.insert(k, v), std::optional(!there));
      model.emplace(k, v);
      return;
    case 6:
      expect_later(checks, batch.set_default(k, v), std::optional(before.value_or(v)));
      model.emplace(k, v);
      return;
    case 7:
      expect_later(checks, batch.fetch_add(k, v), before);
      if (there) at->second += v;
      return;
    case 8: {
      auto later = batch.apply(k, mix, v);
      expect_later(checks, later, there ? std::optional(mix(at->second, v)) : std::nullopt);
      return;
    }
    default:
      batch.set(k, v);
      model[k] = v;
  }
}

/// The order in which keys came, youngest last.
class Ages {
 public:
  /// After every step: none both takes keys away and brings others.
  void update(const Map& model) {
    if (keys_.size() == model.size()) return;
    std::erase_if(keys_, [&](const std::string& key) { return !model.contains(key); });
    for (const auto& [key, value] : model) {
      if (std::ranges::find(keys_, key) == keys_.end()) keys_.push_back(key);
    }
  }
  [[nodiscard]] const std::string& youngest() const { return keys_.back(); }

 private:
  std::vector<std::string> keys_;
};

TEST(ManagerModelTest, DictIsAMap) {
  std::mt19937_64 random(test::seed());
  Manager manager;
  const Dict dict = manager.dict<std::string, int>();
  Map model;
  Ages ages;
  for (int step = 0, steps = model_steps(); step < steps; ++step) {
    const std::string k = random_key(random);
    const int v = static_cast<int>(random() % 8);
    const auto at = model.find(k);
    const bool there = at != model.end();
    switch (random() % 23) {
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
        ASSERT_EQ(item->first, ages.youngest());
        ASSERT_EQ(item->second, model.at(item->first));
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
      case 19:
        ASSERT_EQ(throws_out_of_range([&] {
                    const int result = dict.apply(k, mix, v);
                    ASSERT_EQ(result, mix(at->second, v));
                  }),
                  !there);
        break;
      case 20: {
        auto batch = dict.batch();
        Checks checks;
        for (auto left = random() % 12; left > 0; --left) {
          add_to_batch(batch, model, checks, random);
          ages.update(model);
        }
        batch.run();
        for (const auto& check : checks) check();
        break;
      }
      case 21:
        if (!there) break;
        ASSERT_THROW(dict.apply(k, spoil_and_throw), std::invalid_argument);
        break;
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
    ages.update(model);
    if (testing::Test::HasFailure()) FAIL() << "at step " << step;
  }
  EXPECT_EQ(dict.copy(), model);
}

// --- a list ---

using List = ListProxy<int>;
using Vector = std::vector<int>;

void add_to_batch(ListBatch<int>& batch, Vector& model, Checks& checks, std::mt19937_64& random) {
  const int v = static_cast<int>(random() % 30);
  const std::size_t i = random() % 40;
  const bool there = i < model.size();
  const std::optional<int> before = there ? std::optional(model[i]) : std::nullopt;
  switch (random() % 6) {
    case 0:
      return expect_later(checks, batch.at(i), before);
    case 1:
      expect_later(checks, batch.set(i, v), std::optional(there));
      if (there) model[i] = v;
      return;
    case 2: {
      const auto last = model.empty() ? std::nullopt : std::optional(model.back());
      expect_later(checks, batch.pop_back(), std::make_optional(last));
      if (!model.empty()) model.pop_back();
      return;
    }
    case 3:
      expect_later(checks, batch.fetch_add(i, v), before);
      if (there) model[i] += v;
      return;
    case 4: {
      auto later = batch.apply(i, mix, v);
      expect_later(checks, later, there ? std::optional(mix(model[i], v)) : std::nullopt);
      return;
    }
    default:
      batch.push_back(v);
      model.push_back(v);
  }
}

bool greater(const int& a, const int& b) { return a > b; }

TEST(ManagerModelTest, ListIsAVector) {
  std::mt19937_64 random(test::seed());
  Manager manager;
  const List list = manager.list<int>();
  Vector model;
  const auto place = [&](std::size_t i) { return model.begin() + static_cast<std::ptrdiff_t>(i); };
  for (int step = 0, steps = model_steps(); step < steps; ++step) {
    const int v = static_cast<int>(random() % 30);
    const std::size_t i = random() % 40;
    const bool there = i < model.size();
    const auto found = std::find(model.begin(), model.end(), v);
    switch (random() % 25) {
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
      case 21:
        list.sort(greater);
        std::stable_sort(model.begin(), model.end(), greater);
        break;
      case 22: {
        auto batch = list.batch();
        Checks checks;
        for (auto left = random() % 12; left > 0; --left) {
          add_to_batch(batch, model, checks, random);
        }
        batch.run();
        for (const auto& check : checks) check();
        break;
      }
      case 23:
        if (v % 2 == 0) {
          ASSERT_EQ(throws_out_of_range([&] { list[i] = v; }), !there);
          if (there) model[i] = v;
        } else if (there) {
          ASSERT_THROW(list.apply(i, spoil_and_throw), std::invalid_argument);
        }
        break;
      default:
        ASSERT_EQ(throws_out_of_range([&] {
                    const int result = list.apply(i, mix, v);
                    ASSERT_EQ(result, mix(model[i], v));
                  }),
                  !there);
    }
    if (testing::Test::HasFailure()) FAIL() << "at step " << step;
  }
  EXPECT_EQ(list.copy(), model);
}

// --- proxies in a dict ---

struct Held {
  List proxy;
  std::shared_ptr<Vector> model;
};

List exchange_with(List& value, const List& with) { return std::exchange(value, with); }

// Lists that several keys and handles name: each is one list, and lives as long as any names it.
TEST(ManagerModelTest, NestedListsAreSharedAndLiveAsLongAsAnyRefersToThem) {
  std::mt19937_64 random(test::seed());
  Manager manager;
  const auto shelf = manager.dict<int, List>();
  std::map<int, std::shared_ptr<Vector>> model;
  std::array<Held, 5> all_held;
  const auto make = [&](int v) {
    const Vector first(random() % 3, v);
    return Held{manager.list(first), std::make_shared<Vector>(first)};
  };
  for (Held& held : all_held) held = make(0);
  for (int step = 0, steps = model_steps() / 5; step < steps; ++step) {
    Held& held = all_held[random() % all_held.size()];
    const int k = static_cast<int>(random() % 8);
    const int v = static_cast<int>(random() % 100);
    const auto at = model.find(k);
    const bool there = at != model.end();
    switch (random() % 12) {
      case 0:
        held = make(v);
        break;
      case 1:
      case 2:
        shelf.set(k, held.proxy);
        model[k] = held.model;
        break;
      case 3:
        if (const auto got = shelf.get(k)) {
          ASSERT_TRUE(there);
          held = {*got, at->second};
        } else {
          ASSERT_FALSE(there);
        }
        break;
      case 4:
        ASSERT_EQ(shelf.erase(k), there);
        if (there) model.erase(at);
        break;
      case 5:
        ASSERT_EQ(throws_out_of_range([&] { held.proxy = shelf.pop(k); }), !there);
        if (!there) break;
        held.model = at->second;
        model.erase(at);
        break;
      case 6:
        held.proxy.push_back(v);
        held.model->push_back(v);
        break;
      case 7:
        if (!there) break;
        shelf[k]->push_back(v);
        at->second->push_back(v);
        break;
      case 8:
        if (!there) break;
        held.proxy = shelf.apply(k, exchange_with, held.proxy);
        std::swap(held.model, at->second);
        break;
      case 9: {
        auto batch = shelf.batch();
        const Held made = make(v);
        batch.set(k, made.proxy);
        const auto again = batch.at(k);
        batch.run();
        model[k] = made.model;
        ASSERT_EQ(again.get(), made.proxy);
        break;
      }
      case 10:
        if (random() % 10 != 0) break;
        shelf.clear();
        model.clear();
        break;
      default: {
        ASSERT_EQ(held.proxy.copy(), *held.model);
        std::set<const Vector*> living;
        for (const Held& one : all_held) living.insert(one.model.get());
        for (const auto& [key, list] : model) living.insert(list.get());
        ASSERT_EQ(manager.statistics().objects, 1 + living.size());
      }
    }
    if (testing::Test::HasFailure()) FAIL() << "at step " << step;
  }
  ASSERT_EQ(shelf.size(), model.size());
  for (const auto& [key, list] : model) EXPECT_EQ(shelf.at(key).copy(), *list);
}

}  // namespace
}  // namespace tandem
