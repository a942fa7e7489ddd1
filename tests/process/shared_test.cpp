#include "tandem/shared.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "support/numbers.hpp"
#include "support/start_methods.hpp"
#include "tandem/event.hpp"
#include "tandem/executor.hpp"
#include "tandem/pipe.hpp"
#include "tandem/pool.hpp"
#include "tandem/process.hpp"
#include "tandem/queue.hpp"

namespace tandem {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;

using SharedTest = test::ThreadedStartMethodTest;
TANDEM_OVER_START_METHODS(SharedTest);

/// Counts how often it is decoded in a process.
struct Model {
  std::vector<std::string> words;
  static inline std::atomic<int> decoded = 0;

  template <class Archive>
  void save(Archive& archive) const {
    archive(words);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(words);
    ++decoded;
  }
};

Model words(int n) {
  Model model;
  for (int i = 0; i < n; ++i) model.words.push_back(std::to_string(i));
  return model;
}

/// A word, who looked it up, and how often that process has decoded the model.
struct Found {
  std::string word;
  int pid = 0;
  int decoded = 0;
};

Found look_up(const Shared<Model>& model, int i) {
  std::string word = model->words.at(static_cast<std::size_t>(i));  // decodes it at first
  return {std::move(word), ::getpid(), Model::decoded};
}

struct LookUp {
  Shared<Model> model;
  Found operator()(int i) const { return look_up(model, i); }
};

using test::numbers;

/// Each worker has decoded it once, whatever it was asked.
void expect_once_per_worker(const std::vector<Found>& all, int decoded_before = 0) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].word, std::to_string(i));
    EXPECT_EQ(all[i].decoded, decoded_before + 1);
    EXPECT_NE(all[i].pid, ::getpid());
  }
}

/// What a forked worker starts with.
int inherited_count() { return start_method() == StartMethod::fork ? Model::decoded.load() : 0; }

TEST_P(SharedTest, CrossesOncePerWorkerAsPartOfTheCallable) {
  const Shared<Model> model = share(words(300));
  const int before = inherited_count();
  Pool pool(2);
  expect_once_per_worker(pool.map(LookUp{model}, numbers(300)), before);
  std::vector<Found> all;
  for (Found& found : pool.imap(LookUp{model}, numbers(300))) all.push_back(std::move(found));
  expect_once_per_worker(all, before);
  all.clear();
  all.push_back(pool.apply(LookUp{model}, 0));
  expect_once_per_worker(all, before);
  expect_once_per_worker(pool.map_async(LookUp{model}, numbers(300)).get(), before);
}

TEST_P(SharedTest, CrossesOncePerWorkerAsAnArgument) {
  const Shared<Model> model = share(words(100));
  const int before = inherited_count();
  Pool pool(2);
  std::vector<std::pair<Shared<Model>, int>> elements;
  for (int i = 0; i < 100; ++i) elements.emplace_back(model, i);
  expect_once_per_worker(pool.starmap(look_up, elements), before);
  expect_once_per_worker(pool.starmap_async(look_up, elements).get(), before);
  std::vector<Found> all;
  for (Found& found : pool.istarmap(look_up, elements)) all.push_back(std::move(found));
  expect_once_per_worker(all, before);
  all.clear();
  for (int i = 0; i < 20; ++i) all.push_back(pool.apply(look_up, model, i));
  expect_once_per_worker(all, before);
}

TEST_P(SharedTest, ThousandsOfElementsMayCarryIt) {
  const auto number = share(7);
  Pool pool(2);
  const auto read = [](const Shared<int>& shared) { return *shared; };
  const std::vector<Shared<int>> elements(3000, number);
  EXPECT_THAT(pool.map(read, elements), Each(7));
}

TEST_P(SharedTest, AForkedWorkerFindsWhatItsParentDecoded) {
  const Shared<Model> model = share(words(10));
  const int before = Model::decoded;
  EXPECT_EQ(model->words.size(), 10u);
  EXPECT_EQ(Model::decoded, before + 1);
  Pool pool(1);
  const Found found = pool.apply(look_up, model, 3);
  EXPECT_EQ(found.word, "3");
  EXPECT_EQ(found.decoded, GetParam() == StartMethod::fork ? before + 1 : 1);
}

TEST_P(SharedTest, AProcessDecodesItOnce) {
  const Shared<Model> model = share(words(10));
  const Shared<Model> copy = model;  // NOLINT(performance-unnecessary-copy-initialization)
  const int before = Model::decoded;
  EXPECT_EQ(&model.get(), &*copy);
  EXPECT_EQ(Model::decoded, before + 1);
  auto [here, there] = OneWayPipe<Shared<Model>>();
  there.send(model);
  EXPECT_EQ(&here.recv().get(), &model.get());
  EXPECT_EQ(Model::decoded, before + 1);
}

TEST_P(SharedTest, GoesToAProcess) {
  Process child([](const Shared<std::map<std::string, int>>& map,
                   const Shared<std::string>& name) { std::exit(map->at(*name)); },
                share(std::map<std::string, int>{{"one", 1}, {"six", 6}}),
                share(std::string("six")));
  child.start();
  child.join();
  EXPECT_EQ(child.exitcode(), 6);
}

TEST_P(SharedTest, OutlivesTheHandleThatMadeIt) {
  Event go;
  ProcessPoolExecutor executor(1);
  Future<int> first = executor.submit(
      [](Event event) {
        event.wait();
        return 1;
      },
      go);
  Future<std::string> word = executor.submit(
      [](const Shared<Model>& model) { return model->words.back(); }, share(words(5)));
  go.set();
  EXPECT_EQ(word.get(), "4");
  EXPECT_EQ(first.get(), 1);
}

TEST_P(SharedTest, MayBeAResult) {
  std::optional<Shared<Model>> model;
  {
    Pool pool(1);
    model = pool.apply([](int n) { return share(words(n)); }, 8);
  }
  EXPECT_EQ((*model)->words.size(), 8u);
  Pool pool(1);
  EXPECT_EQ(pool.apply(look_up, *model, 7).word, "7");
}

TEST_P(SharedTest, ManyAreKeptApart) {
  std::vector<std::pair<Shared<Model>, int>> elements;
  std::vector<Shared<Model>> models;
  for (int i = 1; i <= 20; ++i) models.push_back(share(words(i)));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 20; ++i) elements.emplace_back(models[static_cast<std::size_t>(i)], i);
  }
  Pool pool(2);
  const std::vector<Found> all = pool.starmap(look_up, elements);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].word, std::to_string(i % 20));
}

TEST_P(SharedTest, TheLastEightAreKept) {
  const int before = inherited_count();
  std::vector<Shared<Model>> models;
  for (int i = 0; i < 9; ++i) models.push_back(share(words(1)));
  Pool pool(1);
  int decoded = before;
  const auto decoded_after = [&](int i) {
    return pool.apply(look_up, models[static_cast<std::size_t>(i)], 0).decoded;
  };
  for (int i = 0; i < 8; ++i) EXPECT_EQ(decoded_after(i), ++decoded);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(decoded_after(i), decoded);
  EXPECT_EQ(decoded_after(8), ++decoded);
  EXPECT_EQ(decoded_after(1), decoded);
  // It was the one that had to go, but where the worker has inherited a handle of it.
  EXPECT_EQ(decoded_after(0), GetParam() == StartMethod::fork ? decoded : decoded + 1);
}

TEST_P(SharedTest, PlainElementsAreSeenInPlace) {
  const std::vector<double> values(100'000, 0.5);
  const auto shared = share(values);
  EXPECT_EQ(shared.span().size(), values.size());
  EXPECT_EQ(shared.span().data(), shared.span().data());
  EXPECT_THAT(shared.get(), testing::ContainerEq(values));
  struct Sum {
    Shared<std::vector<double>> numbers;
    double operator()(int from) const {
      double sum = 0;
      for (const double x : numbers.span().subspan(static_cast<std::size_t>(from))) sum += x;
      return sum;
    }
  };
  Pool pool(2);
  EXPECT_THAT(pool.map(Sum{shared}, std::vector{0, 99'998, 100'000}), ElementsAre(50'000, 1, 0));
}

TEST_P(SharedTest, OfNothing) {
  const auto none = share(std::vector<int>());
  const auto bytes = share(Bytes());
  EXPECT_THAT(none.span(), IsEmpty());
  Pool pool(1);
  const auto sizes = [](const Shared<std::vector<int>>& a, const Shared<Bytes>& b) {
    return static_cast<int>(a->size() + b->size() + a.span().size());
  };
  EXPECT_EQ(pool.apply(sizes, none, bytes), 0);
}

TEST_P(SharedTest, ThreadsDecodeItOnce) {
  const auto race = [](const Shared<Model>& model) {
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    const int before = Model::decoded;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        if (model->words.size() != 1000) ++wrong;
      });
    }
    for (std::thread& thread : threads) thread.join();
    return std::pair(wrong.load(), Model::decoded - before);
  };
  EXPECT_EQ(Pool(1).apply(race, share(words(1000))), std::pair(0, 1));
}

/// Cannot be decoded the first time.
struct Stubborn {
  int value = 0;
  static inline std::atomic<int> tries = 0;
  template <class Archive>
  void save(Archive& archive) const {
    archive(value);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(value);
    if (++tries == 1) throw std::domain_error("not yet");
  }
};

TEST_P(SharedTest, WhatCannotBeDecodedIsTriedAgain) {
  Pool pool(1);
  const auto shared = share(Stubborn{.value = 3});
  const auto read = [](const Shared<Stubborn>& stubborn) { return stubborn->value; };
  EXPECT_THROW(static_cast<void>(pool.apply(read, shared)), std::domain_error);
  EXPECT_EQ(pool.apply(read, shared), 3);
}

TEST(SharedFormTest, GoesWhereDescriptorsGo) {
  const auto shared = share(1);
  Queue<Shared<int>> queue;
  EXPECT_THROW(queue.put(shared), NotSendable);
}

TEST(SharedFormTest, HoldsNoHandles) {
  EXPECT_THROW(static_cast<void>(share(Event())), NotSendable);
  EXPECT_THROW(static_cast<void>(share(std::vector{share(1)})), NotSendable);
}

TEST(SharedFormTest, AnotherTypeIsNotRead) {
  const auto shared = share(std::uint32_t{1});
  detail::Buffer buffer;
  std::vector<detail::Fd> descriptors;
  detail::Encoder to(buffer, detail::Route::process, &descriptors);
  detail::encode(to, shared);
  detail::Decoder from(buffer.bytes(), detail::Route::process, &descriptors);
  EXPECT_THROW(static_cast<void>(detail::decode<Shared<float>>(from)), DecodeError);
}

TEST(SharedFormTest, IsSendable) {
  static_assert(Sendable<Shared<Model>>);
  static_assert(SendableCall<LookUp, int>);
}

}  // namespace
}  // namespace tandem
