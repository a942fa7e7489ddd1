// What workers write to their standard streams, on its way to the standard error of the pool's process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "os/byte_pipe.hpp"
#include "os/poller.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::detail {

/// A worker's end of the pipe for its output. Empty: it writes where its starter does.
class OutputEnd {
 public:
  using TandemHandle = void;

  OutputEnd() = default;
  explicit OutputEnd(Fd writer) : writer_(std::move(writer)) {}

  /// Makes it this process's standard output and standard error.
  void redirect();

  void save(Encoder& to) const;
  [[nodiscard]] static OutputEnd detail_decode(Decoder& from);

 private:
  Fd writer_;
};

/// Puts a tag before each line.
class LineTagger {
 public:
  /// A line that is longer is cut into several.
  static constexpr std::size_t kLongestLine = std::size_t{64} << 10;

  explicit LineTagger(std::string tag) : tag_(std::move(tag)) {}
  /// Appends the lines that `bytes` completes.
  void add(std::string_view bytes, std::string& to);
  /// Appends what has no line end yet, with one.
  void end(std::string& to);

 private:
  void add_line(std::string& to);

  std::string tag_;
  std::string begun_;  // a line without its end
};

/// Gathers the output of many workers with a thread of its own, so that no worker waits for a pool
/// that nobody looks after. Any thread may call any member.
class OutputGatherer {
 public:
  OutputGatherer();
  OutputGatherer(const OutputGatherer&) = delete;
  OutputGatherer& operator=(const OutputGatherer&) = delete;
  /// Writes what is there. Children of workers that still write get SIGPIPE from now on.
  ~OutputGatherer();

  /// \returns what `finish` calls it
  [[nodiscard]] std::uint64_t add(Fd reader, std::string tag);
  /// The worker has ended: writes all that it left, a line without end, too. Its children may go
  /// on.
  void finish(std::uint64_t key);

 private:
  struct Source {
    Fd reader;
    LineTagger lines;
  };

  void run();
  std::optional<std::size_t> read_once(Source& source, std::string& to);

  std::mutex mutex_;
  Fd bell_;
  os::Poller poller_;
  std::map<std::uint64_t, Source> sources_;
  std::uint64_t last_key_ = 0;
  bool ends_ = false;
  std::string bytes_;  // read at once
  std::thread thread_;
};

}  // namespace tandem::detail
