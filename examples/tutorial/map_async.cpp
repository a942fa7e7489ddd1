// A map whose caller does other things meanwhile: ready, wait, get.
#include <chrono>
#include <iostream>
#include <optional>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

std::optional<tandem::Event> go;  // of a worker, put there by its initializer
void begin(tandem::Event event) { go = event; }

int square(int n) {
  go->wait();
  return n * n;
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  using namespace std::chrono_literals;

  tandem::Event start;
  tandem::Pool pool({.processes = 2, .initializer = tandem::call(begin, start)});
  tandem::AsyncResult result = pool.map_async(square, std::vector{1, 2, 3, 4, 5});

  const bool early = result.ready() || result.wait_for(20ms);
  std::cout << "before the start: " << (early ? "ready\n" : "not ready, also not after 20 ms\n");
  start.set();
  result.wait();  // takes no result, throws no error of the tasks
  const bool late = result.ready() && result.successful();
  std::cout << "after wait: " << (late ? "ready and successful\n" : "not ready\n");

  const std::vector<int> squares = result.get();
  for (const int n : squares) std::cout << n << ' ';
  std::cout << '\n';
  if (early || !late || squares != std::vector{1, 4, 9, 16, 25}) {
    std::cerr << "expected nothing before the start, and five squares after it\n";
    return 1;
  }
}
