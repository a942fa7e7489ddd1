// One function by every start method, what only fork can do, and a fork server that is prepared.
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

std::vector<int> table;  // what takes long to make, as a model that is loaded
void make_table(int size) {
  table.resize(static_cast<std::size_t>(size));
  std::iota(table.begin(), table.end(), 0);
}

void report(tandem::SimpleQueue<std::size_t> sizes) { sizes.put(table.size()); }

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  tandem::SimpleQueue<std::size_t> sizes;

  make_table(10);
  tandem::set_forkserver_preload(make_table, 1000);  // once, in the server
  for (const auto method :
       {tandem::StartMethod::spawn, tandem::StartMethod::fork, tandem::StartMethod::forkserver}) {
    tandem::Process process(tandem::ProcessOptions{.start_method = method}, report, sizes);
    process.start();
    process.join();
  }
  const std::size_t spawned = sizes.get();      // 0: a new program has made no table
  const std::size_t forked = sizes.get();       // 10: a copy of this process
  const std::size_t fork_served = sizes.get();  // 1000: a copy of the server

  const std::string word = "captured";
  tandem::Process capturing(tandem::start::fork, [&] { sizes.put(word.size()); });
  capturing.start();
  capturing.join();
  const int factor = static_cast<int>(forked);
  tandem::Process vouched(tandem::by_value([factor](int n) { std::exit(factor * n); }), 7);
  vouched.start();
  vouched.join();

  std::cout << spawned << ' ' << forked << ' ' << fork_served << '\n';
  const bool as_expected = spawned == 0 && forked == 10 && fork_served == 1000 &&
                           sizes.get() == word.size() && vouched.exitcode() == 70;
  return as_expected ? 0 : 1;
}
