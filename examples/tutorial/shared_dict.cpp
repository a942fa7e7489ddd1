// A dict and a list in a manager, filled by five processes.
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

constexpr int kProcesses = 5;
constexpr int kSteps = 100;

void fill(int number, tandem::DictProxy<int, std::string> names,
          tandem::DictProxy<std::string, int> counts, tandem::ListProxy<int> finished) {
  names[number] = tandem::current_process().name();
  for (int i = 0; i < kSteps; ++i) counts.fetch_add("steps", 1);  // one step: exact
  finished.push_back(number);
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);

  tandem::Manager manager;
  auto names = manager.dict<int, std::string>();
  auto counts = manager.dict<std::string, int>({{"steps", 0}});
  auto finished = manager.list<int>();

  std::vector<tandem::Process> processes;
  for (int i = 0; i < kProcesses; ++i) {
    processes.emplace_back(fill, i, names, counts, finished).start();
  }
  for (tandem::Process& process : processes) process.join();

  for (const auto& [number, name] : names) std::cout << number << " is " << name << '\n';
  std::cout << "finished in this order:";
  for (const int number : finished) std::cout << ' ' << number;
  std::cout << '\n' << counts.at("steps") << " steps\n";

  finished.sort();
  if (names.size() != kProcesses || counts.at("steps") != kProcesses * kSteps ||
      finished.copy() != std::vector{0, 1, 2, 3, 4}) {
    std::cerr << "expected five names, five numbers and five hundred steps\n";
    return 1;
  }
}
