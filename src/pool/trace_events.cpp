// Chrome's trace event format: an object with an array of events; one process, a thread for each lane.
#include <cerrno>  // program_invocation_short_name
#include <string>
#include <utility>
#include <vector>

#include "os/self.hpp"
#include "pool/trace.hpp"
#include "pool/trace_file.hpp"

namespace tandem::detail {
namespace {

std::string head() {
  std::string text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
  text += R"({"name":"process_name","ph":"M","pid":)";
  append_number(text, static_cast<std::uint64_t>(os::process_id()));
  text += R"(,"tid":0,"args":{"name":"Pool of )";
  append_json_text(text, program_invocation_short_name);
  text += "\"}}";
  return text;
}

class TraceEvents final : public TraceWriter {
 public:
  TraceEvents(const std::filesystem::path& path, std::uint64_t zero_ns)
      : zero_ns_(zero_ns),
        own_pid_(static_cast<std::uint64_t>(os::process_id())),
        file_(path, head(), "\n]}\n") {}

  void started(const WorkerLife& worker) override {
    if (worker.lane >= lanes_.size()) lanes_.resize(worker.lane + 1);
    Lane& lane = lanes_[worker.lane];
    if (lane.processes++ == 0) {
      lane.label = std::string(worker.name) + " (pid " + std::to_string(worker.pid) + ")";
      name_lane(worker.lane, lane.label);
    } else {
      lane.label = std::string(worker.name) + " (pid " + std::to_string(worker.pid) +
                   "), process " + std::to_string(lane.processes) + " in its place";
    }
  }

  void ready(const WorkerLife& worker) override {
    span_until(worker, worker.initializer_ns != 0 ? worker.initializer_ns : worker.ready_ns,
               worker.ready_ns);
  }

  void task(const WorkerLife& worker, const TaskRun& task) override {
    std::string& out = file_.records();
    out += ",\n{\"name\":\"";
    append_json_text(out, task.title);
    out += task.single ? " #" : " ";
    append_number(out, task.single ? task.call : task.index);
    out += R"(","cat":"task","ph":"X")";
    if (task.outcome != Outcome::value) out += R"(,"cname":"terrible")";
    place(worker.lane, task.began_ns);
    out += ",\"dur\":";
    append_micros(out, task.ran_ns);
    out += ",\"args\":{\"call\":";
    append_number(out, task.call);
    out += ",\"task\":";
    append_number(out, task.index);
    add_pid(worker);
    out += ",\"outcome\":\"";
    out += task.outcome == Outcome::value   ? "ok"
           : task.outcome == Outcome::error ? "failed"
                                            : "died";
    if (task.outcome != Outcome::value) {
      out += "\",\"error\":\"";
      append_json_text(out, task.error);
    }
    out += "\"}}";
    file_.appended(task.began_ns + task.ran_ns);
  }

  void gone(const WorkerLife& worker, Departure departure, std::string_view how) override {
    if (worker.ready_ns == 0) {
      span_until(worker, worker.initializer_ns != 0 ? worker.initializer_ns : worker.gone_ns,
                 worker.gone_ns);
    }
    std::string& out = file_.records();
    out += ",\n{\"name\":\"";
    append_json_text(out, worker.name);
    out += departure == Departure::ended      ? " ended"
           : departure == Departure::replaced ? " replaced"
                                              : " died";
    out += R"(","cat":"worker","ph":"i","s":"t")";
    place(worker.lane, worker.gone_ns);
    out += ",\"args\":{\"how\":\"";
    append_json_text(out, how);
    out += '"';
    add_pid(worker);
    out += "}}";
    file_.appended(worker.gone_ns);
  }

  void finish() override {
    for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
      if (lanes_[lane].processes > 1) name_lane(lane, lanes_[lane].label);
    }
    file_.flush();
  }

 private:
  struct Lane {
    std::size_t processes = 0;
    std::string label;
  };

  void name_lane(std::size_t lane, const std::string& label) {
    std::string& out = file_.records();
    out += R"(,
{"name":"thread_name","ph":"M","pid":)";
    append_number(out, own_pid_);
    out += ",\"tid\":";
    append_number(out, lane + 1);
    out += ",\"args\":{\"name\":\"";
    append_json_text(out, label);
    out += "\"}}";
  }

  void place(std::size_t lane, std::uint64_t ns) {
    std::string& out = file_.records();
    out += ",\"pid\":";
    append_number(out, own_pid_);
    out += ",\"tid\":";
    append_number(out, lane + 1);
    out += ",\"ts\":";
    append_micros(out, ns > zero_ns_ ? ns - zero_ns_ : 0);
  }

  void add_pid(const WorkerLife& worker) {
    std::string& out = file_.records();
    out += ",\"pid\":";
    append_number(out, static_cast<std::uint64_t>(worker.pid));
  }

  /// From the worker's start to its initializer, and that one.
  void span_until(const WorkerLife& worker, std::uint64_t started_ns, std::uint64_t end_ns) {
    span(worker, "start", worker.began_ns, started_ns);
    if (worker.initializer_ns != 0) span(worker, "initializer", worker.initializer_ns, end_ns);
    file_.appended(end_ns);
  }

  void span(const WorkerLife& worker, std::string_view what, std::uint64_t from_ns,
            std::uint64_t to_ns) {
    std::string& out = file_.records();
    out += ",\n{\"name\":\"";
    append_json_text(out, worker.name);
    out += ' ';
    out += what;
    out += R"(","cat":"worker","ph":"X")";
    place(worker.lane, from_ns);
    out += ",\"dur\":";
    append_micros(out, to_ns > from_ns ? to_ns - from_ns : 0);
    out += ",\"args\":{\"worker\":\"";
    append_json_text(out, worker.name);
    out += '"';
    add_pid(worker);
    out += "}}";
  }

  std::uint64_t zero_ns_;
  std::uint64_t own_pid_;
  std::vector<Lane> lanes_;
  TraceFile file_;
};

}  // namespace

std::unique_ptr<TraceWriter> open_trace_events(const std::filesystem::path& path,
                                               std::uint64_t zero_ns) {
  return std::make_unique<TraceEvents>(path, zero_ns);
}

std::unique_ptr<TraceWriter> open_trace(const std::filesystem::path& path, std::uint64_t zero_ns) {
  return path.extension() == ".html" ? open_trace_page(path, zero_ns)
                                     : open_trace_events(path, zero_ns);
}

}  // namespace tandem::detail
