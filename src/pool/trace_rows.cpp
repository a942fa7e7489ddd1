// The trace as a page: trace.html with an array of rows in it, which the page's script reads. Times are
// nanoseconds.
//
//     [0, worker, lane, "name", pid, began]
//     [1, worker, initializer began or 0, ready]
//     [2, worker, gone, Departure, "how"]
//     [3, kind, "title", 1 where its calls have one task each]
//     [4 + Outcome, worker, kind, call, index, began, ran]    and "error" where it is one
//     [7, worker, kind, first call, first index, last call, last index, count, began,
//      until the end of the last, time in tasks]
//     [8, "title of the page"]
#include <algorithm>
#include <cerrno>  // program_invocation_short_name
#include <string>
#include <utility>
#include <vector>

#include "os/self.hpp"
#include "pool/trace.hpp"
#include "pool/trace_file.hpp"
#include "pool/trace_page.hpp"

namespace tandem::detail {
namespace {

// A page of more rows than a browser likes is of no use: after the first, short tasks that follow each
// other are one row. How long such a row may last doubles with every so many rows, so that their number
// grows with the logarithm of what there is to draw.
constexpr std::size_t kUnmergedRows = 50'000;
constexpr std::size_t kRowsPerDoubling = 25'000;
constexpr std::uint64_t kFirstMerge_ns = 10'000;

std::string head() {
  std::string text(trace_page.substr(0, trace_page.find(kTracePlace)));
  text += "[\n[8,\"Pool of ";
  append_json_text(text, program_invocation_short_name);
  text += ", pid ";
  append_number(text, static_cast<std::uint64_t>(os::process_id()));
  text += "\"]";
  return text;
}

std::string tail() {
  std::string text("\n]");
  text += trace_page.substr(trace_page.find(kTracePlace) + kTracePlace.size());
  return text;
}

class TracePage final : public TraceWriter {
 public:
  TracePage(const std::filesystem::path& path, std::uint64_t zero_ns)
      : zero_ns_(zero_ns), file_(path, head(), tail()) {}

  void started(const WorkerLife& worker) override {
    row(0, worker.number);
    number(worker.lane);
    text(worker.name);
    number(static_cast<std::uint64_t>(worker.pid));
    time(worker.began_ns);
    end_row(worker.began_ns);
  }

  void ready(const WorkerLife& worker) override {
    row(1, worker.number);
    if (worker.initializer_ns != 0) {
      time(worker.initializer_ns);
    } else {
      number(0);
    }
    time(worker.ready_ns);
    end_row(worker.ready_ns);
  }

  void task(const WorkerLife& worker, const TaskRun& task) override {
    introduce(task);
    const std::uint64_t limit_ns = merge_limit_ns();
    if (worker.lane >= pending_.size()) pending_.resize(worker.lane + 1);
    Merged& pending = pending_[worker.lane];
    const std::uint64_t end_ns = task.began_ns + task.ran_ns;
    if (task.outcome == Outcome::value && pending.count != 0 && pending.worker == worker.number &&
        pending.kind == task.kind && end_ns - pending.began_ns <= limit_ns) {
      ++pending.count;
      pending.last = {task.call, task.index};
      pending.end_ns = end_ns;
      pending.busy_ns += task.ran_ns;
      return;
    }
    write_pending(pending);
    if (task.outcome == Outcome::value && task.ran_ns < limit_ns) {
      const Place place{task.call, task.index};
      pending = {worker.number, task.kind, place, place, 1, task.began_ns, end_ns, task.ran_ns};
      return;
    }
    row(4 + static_cast<unsigned>(task.outcome), worker.number);
    number(task.kind);
    place({task.call, task.index});
    time(task.began_ns);
    number(task.ran_ns);
    if (task.outcome != Outcome::value) text(task.error);
    end_row(end_ns);
  }

  void gone(const WorkerLife& worker, Departure departure, std::string_view how) override {
    if (worker.lane < pending_.size()) write_pending(pending_[worker.lane]);
    row(2, worker.number);
    time(worker.gone_ns);
    number(static_cast<std::uint64_t>(departure));
    text(how);
    end_row(worker.gone_ns);
  }

  void finish() override {
    for (Merged& pending : pending_) write_pending(pending);
    file_.flush();
  }

 private:
  struct Place {
    std::uint64_t call = 0;
    std::size_t index = 0;
  };
  struct Merged {
    std::uint64_t worker = 0;
    std::size_t kind = 0;
    Place first = {};
    Place last = {};
    std::size_t count = 0;
    std::uint64_t began_ns = 0;
    std::uint64_t end_ns = 0;
    std::uint64_t busy_ns = 0;
  };

  [[nodiscard]] std::uint64_t merge_limit_ns() const noexcept {
    if (rows_ < kUnmergedRows) return 0;
    return kFirstMerge_ns << std::min<std::size_t>((rows_ - kUnmergedRows) / kRowsPerDoubling, 40);
  }

  void introduce(const TaskRun& task) {
    if (task.kind < introduced_.size() && introduced_[task.kind]) return;
    introduced_.resize(std::max(introduced_.size(), task.kind + 1));
    introduced_[task.kind] = true;
    row(3, task.kind);
    text(task.kind == 0 ? std::string_view("others") : task.title);
    number(task.single ? 1 : 0);
    end_row(task.began_ns);
  }

  void write_pending(Merged& merged) {
    if (merged.count == 0) return;
    if (merged.count == 1) {
      row(4, merged.worker);
      number(merged.kind);
      place(merged.first);
      time(merged.began_ns);
      number(merged.busy_ns);
    } else {
      row(7, merged.worker);
      number(merged.kind);
      place(merged.first);
      place(merged.last);
      number(merged.count);
      time(merged.began_ns);
      number(merged.end_ns - merged.began_ns);
      number(merged.busy_ns);
    }
    end_row(merged.end_ns);
    merged.count = 0;
  }

  void row(unsigned kind, std::uint64_t of) {
    std::string& out = file_.records();
    out += ",\n[";
    append_number(out, kind);
    number(of);
  }
  void number(std::uint64_t n) {
    file_.records() += ',';
    append_number(file_.records(), n);
  }
  void place(const Place& place) {
    number(place.call);
    number(place.index);
  }
  void time(std::uint64_t ns) { number(ns > zero_ns_ ? ns - zero_ns_ : 0); }
  void text(std::string_view words) {
    std::string& out = file_.records();
    out += ",\"";
    append_json_text(out, words);
    out += '"';
  }
  void end_row(std::uint64_t now_ns) {
    file_.records() += ']';
    ++rows_;
    file_.appended(now_ns);
  }

  std::uint64_t zero_ns_;
  std::size_t rows_ = 0;
  std::vector<bool> introduced_;  // kinds that have had their row
  std::vector<Merged> pending_;   // of each lane
  TraceFile file_;
};

}  // namespace

std::unique_ptr<TraceWriter> open_trace_page(const std::filesystem::path& path,
                                             std::uint64_t zero_ns) {
  return std::make_unique<TracePage>(path, zero_ns);
}

}  // namespace tandem::detail
