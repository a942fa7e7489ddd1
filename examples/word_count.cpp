// How often each word occurs in a text, counted by several processes in one dictionary. Without an
// argument the text is this file.
#include <algorithm>
#include <cctype>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

using Counts = tandem::DictProxy<std::string, long>;
using Jobs = tandem::QueueProxy<std::string>;

std::map<std::string, long> count(const std::string& text) {
  std::map<std::string, long> counts;
  std::string word;
  for (const char c : text + ' ') {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!word.empty()) {
      ++counts[std::exchange(word, {})];
    }
  }
  return counts;
}

void work(const Jobs& jobs, const Counts& counts) {
  for (const std::string& piece : jobs) {  // until the queue is shut down
    auto batch = counts.batch();           // one trip per piece
    for (const auto& [word, n] : count(piece)) {
      static_cast<void>(batch.insert(word, 0));
      static_cast<void>(batch.fetch_add(word, n));
    }
    batch.run();
  }
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  std::ifstream file(argc > 1 ? argv[1] : __FILE__);
  const std::string text{std::istreambuf_iterator<char>(file), {}};

  tandem::Manager manager;
  auto counts = manager.dict<std::string, long>();
  auto jobs = manager.queue<std::string>(16);
  std::vector<tandem::Process> workers;
  for (int i = 0; i < 3; ++i) workers.emplace_back(work, jobs, counts);
  for (tandem::Process& worker : workers) worker.start();

  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) jobs.put(line);
  jobs.shutdown();
  for (tandem::Process& worker : workers) worker.join();

  const std::map<std::string, long> counted = counts.copy();
  std::vector<std::pair<long, std::string>> often;
  for (const auto& [word, n] : counted) often.emplace_back(n, word);
  std::ranges::sort(often, std::greater());
  if (often.size() > 5) often.resize(5);
  for (const auto& [n, word] : often) std::cout << word << ' ' << n << '\n';
  if (text.empty() || counted != count(text)) {
    std::cerr << "expected the counts of one process\n";
    return 1;
  }
}
