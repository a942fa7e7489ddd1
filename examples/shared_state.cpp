// Accounts in a dict that several processes change at once. One call is one step in the manager's
// server and needs no lock; two entries that must change together do.
#include <algorithm>
#include <cstdint>
#include <iostream>
#include <mutex>
#include <string>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

constexpr std::int64_t kClerks = 4;
constexpr std::int64_t kTransfers = 500;  // of each clerk

using Accounts = tandem::DictProxy<std::string, std::int64_t>;
using Journal = tandem::ListProxy<std::string>;

void work(int clerk, tandem::Event open, tandem::Lock both, Accounts accounts, Journal journal) {
  open.wait();
  for (std::int64_t i = 0; i < kTransfers; ++i) {
    {
      const std::scoped_lock lock(both);
      accounts.fetch_add("alice", -1);
      accounts.fetch_add("bob", 1);
    }
    accounts.fetch_add("transfers", 1);
  }
  journal.push_back("clerk " + std::to_string(clerk) + " has closed");
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);

  constexpr std::int64_t kAll = kClerks * kTransfers;
  tandem::Manager manager;
  auto accounts =
      manager.dict<std::string, std::int64_t>({{"alice", kAll}, {"bob", 0}, {"transfers", 0}});
  auto journal = manager.list<std::string>();
  tandem::Event open;
  tandem::Lock both;

  std::vector<tandem::Process> clerks;
  for (int i = 0; i < kClerks; ++i) clerks.emplace_back(work, i, open, both, accounts, journal);
  for (tandem::Process& clerk : clerks) clerk.start();
  open.set();

  bool balanced = true;
  while (std::ranges::any_of(clerks, &tandem::Process::is_alive)) {  // an audit, while they work
    const std::scoped_lock lock(both);
    balanced = balanced && accounts.at("alice") + accounts.at("bob") == kAll;
  }
  for (tandem::Process& clerk : clerks) clerk.join();

  for (const std::string& line : journal) std::cout << line << '\n';
  for (const auto& [name, value] : accounts) std::cout << name << ' ' << value << '\n';
  if (!balanced || accounts["alice"] != 0 || accounts["bob"] != kAll ||
      accounts["transfers"] != kAll) {
    std::cerr << "expected " << kAll
              << " transfers from alice to bob, and the sum never to change\n";
    return 1;
  }
}
