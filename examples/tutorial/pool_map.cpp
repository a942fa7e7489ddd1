// A slow function over many arguments, by as many processes as there are CPUs.
#include <cstdint>
#include <iostream>
#include <numeric>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

std::uint64_t fib(int n) {  // as slow as it can be
  return n < 2 ? static_cast<std::uint64_t>(n) : fib(n - 1) + fib(n - 2);
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);

  std::vector<int> arguments(31);
  std::iota(arguments.begin(), arguments.end(), 0);

  tandem::Pool pool;  // one worker for each CPU
  const std::vector<std::uint64_t> results = pool.map(fib, arguments);

  bool right = results.size() == arguments.size() && results[0] == 0 && results[1] == 1;
  for (std::size_t i = 0; i < results.size(); ++i) {
    std::cout << (i == 0 ? "" : " ") << results[i];
    right = right && (i < 2 || results[i] == results[i - 1] + results[i - 2]);
  }
  std::cout << "\ncomputed by " << pool.size() << " workers\n";
  if (!right) {
    std::cerr << "expected Fibonacci's numbers, in the order of the arguments\n";
    return 1;
  }
}
