// A loop whose passes run side by side: Parallel and delayed, as with Python's joblib.
#include <cmath>
#include <iomanip>
#include <iostream>
#include <numbers>
#include <numeric>
#include <vector>

#include <tandem/parallel.hpp>
#include <tandem/tandem.hpp>

namespace {

constexpr int kPieces = 8;

double area_below_circle(double from, double to) {  // by the rule of the middle
  constexpr int kSteps = 1'000'000;
  const double width = (to - from) / kSteps;
  double area = 0;
  for (int i = 0; i < kSteps; ++i) {
    const double x = from + (i + 0.5) * width;
    area += width * std::sqrt(1 - x * x);
  }
  return area;
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);

  const auto area = tandem::delayed(area_below_circle);
  std::vector<decltype(area(0.0, 1.0))> calls;  // written down, not made
  for (int i = 0; i < kPieces; ++i) {
    calls.push_back(area(double(i) / kPieces, double(i + 1) / kPieces));
  }
  const std::vector<double> areas = tandem::Parallel(2)(calls);  // two at a time

  const double pi = 4 * std::accumulate(areas.begin(), areas.end(), 0.0);
  std::cout << std::setprecision(10) << "pi is about " << pi << '\n';
  if (areas.size() != kPieces || std::abs(pi - std::numbers::pi) > 1e-6) {
    std::cerr << "expected pi\n";
    return 1;
  }
}
