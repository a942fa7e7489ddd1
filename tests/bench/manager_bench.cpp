// One operation on a Manager's dict, beside Python's Manager.
#include "harness.hpp"

namespace {

constexpr std::size_t kOperations = 20'000;

/// \returns the p50 of one call in microseconds
double p50_us(const std::function<void()>& call) {
  std::vector<double> taken(kOperations);
  for (double& microseconds : taken) {
    const bench::Clock::time_point start = bench::Clock::now();
    call();
    microseconds = bench::seconds_since(start) * 1e6;
  }
  return bench::median(taken);
}

std::vector<double> sample() {
  tandem::Manager manager;
  auto dict = manager.dict<std::string, std::int64_t>({{"key", 0}});
  for (int i = 0; i < 1000; ++i) dict.set("key", i);
  return {p50_us([&] { static_cast<void>(dict.at("key")); }), p50_us([&] { dict.set("key", 1); }),
          p50_us([&] { dict.fetch_add("key", 1); })};
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  bench::Comparison comparison{
      .work = "manager, one client, p50 of one call",
      .metrics = {{"dict get, us", false}, {"dict set, us", false}, {"dict add, us", false}},
      .candidates = {{"tandem", false, sample}}};
  bench::add_python_peer(comparison, "Python", "python_manager.py", "3000");
  bench::compare(comparison);
}
