// An object of a class of one's own, used by several processes: it lives in a manager's server,
// where one call follows the other, so the class knows nothing of processes or locks.
#include <cstddef>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <tandem/tandem.hpp>

namespace {

constexpr int kSeats = 50;
constexpr int kAgencies = 4;

class BoxOffice {
 public:
  explicit BoxOffice(int seats) : holders_(static_cast<std::size_t>(seats)) {}

  /// \returns the seat
  int sell(const std::string& to) {
    for (std::size_t seat = 0; seat < holders_.size(); ++seat) {
      if (!holders_[seat].empty()) continue;
      holders_[seat] = to;
      return static_cast<int>(seat);
    }
    throw std::range_error("sold out");
  }
  [[nodiscard]] const std::vector<std::string>& holders() const { return holders_; }

 private:
  std::vector<std::string> holders_;
};

void sell_all(const tandem::ObjectProxy<BoxOffice>& office, int agency,
              const tandem::ValueProxy<int>& sold) {
  try {
    for (;;) {
      office.call<&BoxOffice::sell>("agency " + std::to_string(agency));
      sold.fetch_add(1);
    }
  } catch (const std::range_error&) {  // thrown in the server, caught here
  }
}

}  // namespace

int main(int argc, char** argv) {
  tandem::init(argc, argv);
  tandem::Manager manager;
  auto office = manager.create<BoxOffice>(kSeats);
  auto sold = manager.value<int>(0);

  std::vector<tandem::Process> agencies;
  for (int i = 0; i < kAgencies; ++i) agencies.emplace_back(sell_all, office, i, sold);
  for (tandem::Process& agency : agencies) agency.start();
  for (tandem::Process& agency : agencies) agency.join();

  int taken = 0;
  for (const std::string& holder : office.call<&BoxOffice::holders>())
    taken += holder.empty() ? 0 : 1;
  std::cout << sold.load() << " tickets for " << kSeats << " seats\n";
  if (sold.load() != kSeats || taken != kSeats) {
    std::cerr << "expected every seat to be sold once\n";
    return 1;
  }
}
