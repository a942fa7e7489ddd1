// The same work by one process and by many. How much faster depends on the machine: it is printed,
// and only the results are checked.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

std::uint64_t longest_collatz(std::uint64_t thousand) {
  std::uint64_t longest = 0;
  for (std::uint64_t first = 1000 * thousand + 1; first <= 1000 * thousand + 1000; ++first) {
    std::uint64_t steps = 0;
    for (std::uint64_t n = first; n != 1; ++steps) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    longest = std::max(longest, steps);
  }
  return longest;
}

template <class F>
std::vector<std::uint64_t> timed(double& seconds, F f) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::uint64_t> results = f();
  seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return results;
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);

  std::vector<std::uint64_t> thousands(4000);
  std::iota(thousands.begin(), thousands.end(), 0u);

  double alone = 0;
  const auto expected = timed(alone, [&] {
    std::vector<std::uint64_t> results;
    for (const std::uint64_t n : thousands) results.push_back(longest_collatz(n));
    return results;
  });

  tandem::Pool pool;
  pool.map(longest_collatz,
           std::vector<std::uint64_t>(pool.size()));  // until its workers are there
  double together = 0;
  const auto results = timed(together, [&] { return pool.map(longest_collatz, thousands); });

  std::cout << std::fixed << std::setprecision(2) << "one process " << alone << " s, "
            << pool.size() << " workers " << together << " s: " << alone / together
            << " times as fast\n";
  if (results != expected) {
    std::cerr << "expected the same results from both\n";
    return 1;
  }
}
