// The smallest pool.
#include <iostream>
#include <vector>

#include <tandem/tandem.hpp>

int square(int x) { return x * x; }

int main(int argc, char** argv) {
  tandem::init(argc, argv);  // worker processes begin here and go no further

  tandem::Pool pool;  // one process for each CPU
  const std::vector<int> squares = pool.map(square, std::vector{1, 2, 3});
  for (const int y : squares) std::cout << y << '\n';
  return squares == std::vector{1, 4, 9} ? 0 : 1;
}
