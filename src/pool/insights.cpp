#include "tandem/insights.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ostream>
#include <utility>

#include "base/text.hpp"

namespace tandem {
namespace {

std::string time_text(duration d) {
  constexpr std::array<std::pair<double, const char*>, 4> kUnits{
      {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}}};
  const auto ns = static_cast<double>(d.count());
  const auto unit = std::find_if(kUnits.begin(), kUnits.end() - 1,
                                 [&](const auto& candidate) { return ns >= candidate.first; });
  const double value = ns / unit->first;
  std::array<char, 48> text;
  const int decimals = unit->first == 1 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  std::snprintf(text.data(), text.size(), "%.*f %s", decimals, value, unit->second);
  return text.data();
}

std::string share_text(duration part, duration whole) {
  std::array<char, 48> text;
  const double share = whole.count() == 0 ? 0
                                          : 100 * static_cast<double>(part.count()) /
                                                static_cast<double>(whole.count());
  std::snprintf(text.data(), text.size(), "%.0f%%", share);
  return text.data();
}

/// Columns as wide as their widest cell: the first to the left, others to the right.
class Table {
 public:
  using Row = std::vector<std::string>;

  void add(Row row) { rows_.push_back(std::move(row)); }
  void write(std::string& to) const {
    std::vector<std::size_t> widths;
    for (const Row& row : rows_) {
      widths.resize(std::max(widths.size(), row.size()));
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    for (const Row& row : rows_) {
      const std::size_t begin = to.size();
      for (std::size_t i = 0; i < row.size(); ++i) {
        const std::string blanks(widths[i] - row[i].size(), ' ');
        if (i != 0) to += "  ";
        to += i == 0 ? row[i] + blanks : blanks + row[i];
      }
      to.erase(std::max(begin, to.find_last_not_of(' ') + 1));
      to += '\n';
    }
  }

 private:
  std::vector<Row> rows_;
};

}  // namespace

std::string to_string(const PoolInsights& insights) {
  std::string text;
  Table workers;
  workers.add(
      {"worker", "pid", "tasks", "start-up", "initializer", "busy", "", "idle", "restarts"});
  for (const WorkerInsights& worker : insights.workers) {
    const duration life = worker.start_up + worker.initializer + worker.busy + worker.idle;
    workers.add({worker.name, std::to_string(worker.pid), std::to_string(worker.tasks),
                 time_text(worker.start_up), time_text(worker.initializer), time_text(worker.busy),
                 share_text(worker.busy, life), time_text(worker.idle),
                 std::to_string(worker.restarts)});
  }
  workers.write(text);
  if (insights.slowest.empty()) return text;
  text += '\n';
  Table tasks;
  tasks.add({"slowest tasks", "call", "index", "took", "pid", ""});
  for (const TaskInsights& task : insights.slowest) {
    tasks.add({task.call, detail::concat("#", std::to_string(task.number)),
               std::to_string(task.index), time_text(task.took), std::to_string(task.pid),
               task.failed ? "failed" : ""});
  }
  tasks.write(text);
  return text;
}

std::ostream& operator<<(std::ostream& to, const PoolInsights& insights) {
  return to << to_string(insights);
}

}  // namespace tandem
