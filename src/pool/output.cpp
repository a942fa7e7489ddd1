#include "pool/output.hpp"

#include <algorithm>
#include <exception>
#include <vector>

#include "os/event_fd.hpp"
#include "os/exec.hpp"
#include "os/self.hpp"
#include "tandem/detail/log.hpp"

namespace tandem::detail {
namespace {

constexpr std::uint64_t kBell = 0;
constexpr std::size_t kReadAtOnce = std::size_t{64} << 10;

}  // namespace

void OutputEnd::redirect() {
  if (!writer_) return;
  os::replace_output(writer_.duplicate());
  os::replace_error(std::move(writer_));
}

void OutputEnd::save(Encoder& to) const {
  to.write_raw(static_cast<std::uint32_t>(writer_ ? 1 : 0));
  if (writer_) to.write_raw(to.attach(writer_.duplicate()));
}

OutputEnd OutputEnd::detail_decode(Decoder& from) {
  if (from.read_raw<std::uint32_t>() == 0) return {};
  return OutputEnd(from.take_descriptor(from.read_raw<std::uint32_t>()));
}

void LineTagger::add(std::string_view bytes, std::string& to) {
  while (!bytes.empty()) {
    const std::size_t room = kLongestLine - begun_.size();
    const std::size_t line_end = bytes.find('\n');
    const std::size_t n = std::min({line_end, bytes.size(), room});
    begun_ += bytes.substr(0, n);
    bytes.remove_prefix(n);
    if (n == line_end) bytes.remove_prefix(1);
    if (n == line_end || n == room) add_line(to);
  }
}

void LineTagger::end(std::string& to) {
  if (!begun_.empty()) add_line(to);
}

void LineTagger::add_line(std::string& to) {
  to += tag_;
  to += begun_;
  to += '\n';
  begun_.clear();
}

OutputGatherer::OutputGatherer() : bell_(os::make_event_fd()), bytes_(kReadAtOnce, '\0') {
  poller_.add(bell_.get(), kBell);
  const os::SignalsBlocked blocked;  // the program's handlers run in the program's threads
  thread_ = std::thread([this] { run(); });
}

OutputGatherer::~OutputGatherer() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  os::ring_bell(bell_);
  thread_.join();
  while (!sources_.empty()) {
    const std::uint64_t key = sources_.begin()->first;
    finish(key);
    sources_.erase(key);
  }
}

std::uint64_t OutputGatherer::add(Fd reader, std::string tag) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t key = ++last_key_;
  const int fd = reader.get();
  sources_.emplace(key, Source{std::move(reader), LineTagger(std::move(tag))});
  try {
    poller_.add(fd, key);
  } catch (...) {
    sources_.erase(key);
    throw;
  }
  return key;
}

void OutputGatherer::finish(std::uint64_t key) {
  const std::lock_guard lock(mutex_);
  const auto source = sources_.find(key);
  if (source == sources_.end()) return;
  // No more than what is there now: its children may write for ever.
  std::string text;
  for (std::size_t left = os::bytes_waiting(source->second.reader); left > 0;) {
    const std::size_t got = read_once(source->second, text).value_or(0);
    if (got == 0) break;
    left -= std::min(left, got);
  }
  source->second.lines.end(text);
  os::write_to_stderr(text);
}

/// \returns as os::read_some
std::optional<std::size_t> OutputGatherer::read_once(Source& source, std::string& to) {
  const std::optional<std::size_t> got = os::read_some(source.reader, bytes_);
  source.lines.add(std::string_view(bytes_).substr(0, got.value_or(0)), to);
  return got;
}

void OutputGatherer::run() {
  for (;;) {
    try {
      const std::vector<std::uint64_t>& ready = poller_.wait(Deadline::never());
      const std::lock_guard lock(mutex_);
      if (ends_) return;
      std::string text;
      for (const std::uint64_t key : ready) {
        const auto source = sources_.find(key);
        if (source == sources_.end()) continue;
        if (read_once(source->second, text) != 0) continue;
        source->second.lines.end(text);  // nobody can write any more
        poller_.remove(source->second.reader.get());
        sources_.erase(source);
      }
      os::write_to_stderr(text);
    } catch (const std::exception& error) {
      // Workers must not wait for ever: from here on they get an error where they write.
      log(LogLevel::error, "Pool: the output of workers is lost: ", error.what());
      const std::lock_guard lock(mutex_);
      sources_.clear();
      return;
    }
  }
}

}  // namespace tandem::detail
