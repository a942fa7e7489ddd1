// What /proc says. Everything in it may vanish between two calls, or be refused: then the answer is
// empty. Nothing here writes, and nothing waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "os/memfd.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::tools::proc {

[[nodiscard]] unsigned own_user() noexcept;

/// "/proc/12/fd", of path(12, "fd").
[[nodiscard]] std::string path(int pid, std::string_view rest);

/// The entries of a directory whose names are numbers, in order.
[[nodiscard]] std::vector<int> numbers_in(const std::string& directory);
/// The names in a directory, in order.
[[nodiscard]] std::vector<std::string> names_in(const std::string& directory);
/// Where a symbolic link leads; empty when it cannot be told.
[[nodiscard]] std::string link(const std::string& path);

struct Text {
  std::string text;
  int error = 0;  // errno when it could not be read
};
/// A file of /proc, at most that much of it.
[[nodiscard]] Text read_text(const std::string& path, std::size_t most = 64 * 1024);

/// A regular file.
struct FileInfo {
  os::FileIdentity id;
  std::uint64_t size = 0;
  unsigned user = 0;
};
/// Follows links. \returns nothing when it is not a regular file
[[nodiscard]] std::optional<FileInfo> look(const std::string& path);
/// Who owns it; nothing when it is gone.
[[nodiscard]] std::optional<unsigned> owner_of(const std::string& path);

/// Open for reading only.
class File {
 public:
  /// \param path a regular file, which is looked at again once it is open
  explicit File(const std::string& path);
  /// Of the file that is open; nothing when it is not a regular one.
  [[nodiscard]] std::optional<FileInfo> info() const;
  /// \returns how many bytes there were: a short read is no fault, as a truncated file gives it
  [[nodiscard]] std::size_t read(std::uint64_t offset, std::span<std::byte> into) const;
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  detail::Fd fd_;
  int error_ = 0;
};

struct Status {
  std::string name;  // what ps shows
  char state = '?';
  int parent = 0;
  std::uint64_t started = 0;  // clock ticks since boot
};
/// Of a process or thread ("/proc/12/task/13/stat"); nothing when it is gone.
[[nodiscard]] std::optional<Status> status(const std::string& path);
/// From the text of such a file.
[[nodiscard]] std::optional<Status> parse_status(std::string_view text);

struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t offset = 0;
  os::FileIdentity id;
  std::string_view path;  // in the text it was parsed from
};
/// One line of /proc/PID/maps; nothing when it maps no file.
[[nodiscard]] std::optional<Mapping> parse_mapping(std::string_view line);

/// A system call that a thread is in: /proc/PID/task/TID/syscall.
struct SystemCall {
  bool running = false;
  long number = -1;
  std::uint64_t arguments[6] = {};
};
[[nodiscard]] std::optional<SystemCall> parse_system_call(std::string_view text);

/// Calls f(line) for each line of the text.
template <class F>
void for_each_line(std::string_view text, F f) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    f(text.substr(0, end));
    if (end == text.npos) break;
    text.remove_prefix(end + 1);
  }
}

/// Takes the next word off `text`, words being apart by spaces; empty when there is none.
[[nodiscard]] std::string_view take_word(std::string_view& text);
/// The number that `text` is, or nothing.
[[nodiscard]] std::optional<std::uint64_t> number(std::string_view text, int base = 10);

}  // namespace tandem::tools::proc
