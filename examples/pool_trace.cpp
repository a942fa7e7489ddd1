// Where does the time of a pool go? Draws who ran what when, into a page for a browser, prints what each
// worker did and which tasks took longest, and tags what workers write.
//
//   pool_trace [FILE.html or FILE.json]
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

constexpr int kTiles = 60;

void load_colours(int n) {  // what a worker does once, before its first task
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += std::sqrt(i);
  std::cout << "colours are ready, " << (sum > 0) << '\n';
}

// How many points of a row of tiles of the Mandelbrot set need many steps.
int render(int tile) {
  if (tile == 13) throw std::domain_error("tile 13 is \"unlucky\"");
  int inside = 0;
  for (int i = 0; i < 40'000; ++i) {
    const double a = -2 + 3.0 * tile / kTiles, b = -1.2 + 2.4 * i / 40'000;
    double x = 0, y = 0;
    int step = 0;
    for (; step < 500 && x * x + y * y < 4; ++step) {
      const double next = x * x - y * y + a;
      y = 2 * x * y + b;
      x = next;
    }
    if (step == 500) ++inside;
  }
  return inside;
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  const std::filesystem::path file =
      argc > 1 ? argv[1] : std::filesystem::temp_directory_path() / "pool_trace.html";

  tandem::Pool pool({.processes = 3,
                     .initializer = tandem::call(load_colours, 3'000'000),
                     .insights = true,
                     .tag_output = true});
  pool.trace_to(file);

  std::vector<int> tiles(kTiles);
  std::iota(tiles.begin(), tiles.end(), 0);
  bool failed = false;
  try {
    pool.with({.chunksize = 1, .progress = {.label = "render"}}).map(render, tiles);
  } catch (const std::domain_error&) {
    failed = true;  // the others have ended, too
  }
  pool.close();
  pool.join();

  const tandem::PoolInsights insights = pool.insights();
  std::cout << insights << "\nThe picture: " << file.string() << '\n';

  std::ifstream stream(file);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  const bool drawn = text.find("unlucky") != text.npos && text.find("PoolWorker-") != text.npos;
  return failed && drawn && insights.workers.size() == 3 && insights.slowest.size() == 10 ? 0 : 1;
}
