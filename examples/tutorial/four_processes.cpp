// Four processes say who they are, each ends with an exit code of its own.
#include <cstdlib>
#include <iostream>
#include <set>
#include <string>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

constexpr int kProcesses = 4;

void greet(int number, tandem::SimpleQueue<int> pids) {
  const tandem::ProcessInfo self = tandem::current_process();
  std::cout << "I am " + self.name() + ", and my number is " + std::to_string(number) + "\n";
  pids.put(self.pid());
  std::exit(number);  // without it the exit code would be 0
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);

  tandem::SimpleQueue<int> pids;
  std::vector<tandem::Process> processes;
  for (int number = 0; number < kProcesses; ++number) processes.emplace_back(greet, number, pids);
  for (tandem::Process& process : processes) process.start();

  bool as_expected = true;
  for (int number = 0; number < kProcesses; ++number) {
    tandem::Process& process = processes[static_cast<std::size_t>(number)];
    process.join();
    std::cout << process.name() << " has ended with " << process.exitcode().value() << '\n';
    as_expected = as_expected && process.exitcode() == number;
  }

  std::set<int> different{tandem::current_process().pid()};
  for (int i = 0; i < kProcesses; ++i) different.insert(pids.get());
  if (!as_expected || different.size() != kProcesses + 1) {
    std::cerr << "expected four processes beside this one, ending with 0, 1, 2 and 3\n";
    return 1;
  }
}
