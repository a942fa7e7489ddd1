// Counts words in shards of a text with a ProcessPoolExecutor, and again with Parallel: every worker
// has the list of stop words, which crosses to it once, and a counter of its own.
#include <cstddef>
#include <iostream>
#include <set>
#include <sstream>
#include <string>
#include <tandem/tandem.hpp>
#include <utility>
#include <vector>

namespace {

using StopWords = std::set<std::string>;

struct Counter {
  std::size_t shards = 0;
};

struct CountWords {
  tandem::Shared<StopWords> stop_words;

  std::size_t operator()(const std::string& shard) const {
    ++tandem::worker_local<Counter>().shards;
    std::istringstream words(shard);
    std::size_t count = 0;
    for (std::string word; words >> word;) count += stop_words->contains(word) ? 0 : 1;
    return count;
  }
};

std::vector<std::string> make_shards(std::size_t n) {
  std::vector<std::string> shards;
  for (std::size_t i = 0; i < n; ++i) {
    std::string shard = "the tandem is a bicycle";
    for (std::size_t j = 0; j < i % 10; ++j) shard += " for two";
    shards.push_back(shard);
  }
  return shards;
}

std::size_t expected_words(std::size_t n) {
  std::size_t words = 0;
  for (std::size_t i = 0; i < n; ++i) words += 2 + i % 10;  // tandem bicycle, two ...
  return words;
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  const std::vector<std::string> shards = make_shards(200);
  const CountWords count{tandem::share(StopWords{"a", "for", "is", "the"})};

  tandem::ProcessPoolExecutor executor(3);
  std::vector<tandem::Future<std::size_t>> futures;
  for (const std::string& shard : shards) futures.push_back(executor.submit(count, shard));
  std::size_t words = 0;
  for (auto& future : tandem::as_completed(futures)) words += future.get();  // as they end
  std::size_t again = 0;
  for (const std::size_t n : executor.map(count, shards)) again += n;  // in order

  std::vector<decltype(tandem::delayed(count)("a shard"))> calls;
  for (const std::string& shard : shards) calls.push_back(tandem::delayed(count)(shard));
  std::size_t in_parallel = 0;
  for (const std::size_t n : tandem::Parallel(2)(calls)) in_parallel += n;

  std::cout << words << " words\n";
  const std::size_t right = expected_words(shards.size());
  return words == right && again == right && in_parallel == right ? 0 : 1;
}
