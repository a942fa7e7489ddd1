#include "tools/proc.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "base/text.hpp"

namespace tandem::tools::proc {
namespace {

using detail::concat;

template <class F>
void for_each_name(const std::string& directory, F f) {
  std::error_code error;
  std::filesystem::directory_iterator at(directory, error);
  while (!error && at != std::filesystem::directory_iterator()) {
    f(at->path().filename().native());
    at.increment(error);  // a process that ends while it is listed just ends the list
  }
}

std::optional<FileInfo> regular(const struct stat& found) {
  if (!S_ISREG(found.st_mode) || found.st_size < 0) return std::nullopt;
  return FileInfo{
      {found.st_dev, found.st_ino}, static_cast<std::uint64_t>(found.st_size), found.st_uid};
}

}  // namespace

unsigned own_user() noexcept { return ::geteuid(); }

std::string path(int pid, std::string_view rest) {
  return concat("/proc/", std::to_string(pid), rest.empty() ? "" : "/", rest);
}

std::vector<int> numbers_in(const std::string& directory) {
  std::vector<int> numbers;
  for_each_name(directory, [&](std::string_view name) {
    int parsed = 0;
    const char* const end = name.data() + name.size();
    if (std::from_chars(name.data(), end, parsed) == std::from_chars_result{end, std::errc()}) {
      numbers.push_back(parsed);
    }
  });
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for_each_name(directory, [&](const std::string& name) { names.push_back(name); });
  std::sort(names.begin(), names.end());
  return names;
}

std::string link(const std::string& path) {
  char target[4096];
  const ssize_t size = ::readlink(path.c_str(), target, sizeof target);
  return size <= 0 ? std::string() : std::string(target, static_cast<std::size_t>(size));
}

Text read_text(const std::string& path, std::size_t most) {
  const detail::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  Text result;
  if (!file) {
    result.error = errno;
    return result;
  }
  char piece[16 * 1024];
  while (result.text.size() < most) {
    const ssize_t got =
        ::read(file.get(), piece, std::min(sizeof piece, most - result.text.size()));
    if (got == -1 && errno == EINTR) continue;
    if (got == -1) result.error = errno;
    if (got <= 0) break;
    result.text.append(piece, static_cast<std::size_t>(got));
  }
  return result;
}

std::optional<FileInfo> look(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return std::nullopt;
  return regular(found);
}

std::optional<unsigned> owner_of(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return std::nullopt;
  return found.st_uid;
}

// Not blocking: between the look and this it may have become a FIFO.
File::File(const std::string& path)
    : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)),
      error_(fd_ ? 0 : errno) {}

std::optional<FileInfo> File::info() const {
  struct stat found {};
  if (!fd_ || ::fstat(fd_.get(), &found) != 0) return std::nullopt;
  return regular(found);
}

std::size_t File::read(std::uint64_t offset, std::span<std::byte> into) const {
  std::size_t done = 0;
  while (fd_ && done < into.size()) {
    const ssize_t got = ::pread(fd_.get(), into.data() + done, into.size() - done,
                                static_cast<off_t>(offset + done));
    if (got == -1 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

std::optional<Status> status(const std::string& path) {
  return parse_status(read_text(path, 4096).text);
}

// "pid (name) state parent ..."; the name may hold anything, parentheses and spaces too. The start
// is the 22nd field.
std::optional<Status> parse_status(std::string_view text) {
  const std::size_t open = text.find('(');
  const std::size_t close = text.rfind(')');
  if (open == text.npos || close == text.npos || close < open) return std::nullopt;
  Status result;
  result.name = text.substr(open + 1, close - open - 1);
  text.remove_prefix(close + 1);
  const std::string_view state = take_word(text);
  if (state.size() != 1) return std::nullopt;
  result.state = state[0];
  result.parent = static_cast<int>(number(take_word(text)).value_or(0));
  for (int field = 5; field < 22; ++field) static_cast<void>(take_word(text));
  result.started = number(take_word(text)).value_or(0);
  return result;
}

std::optional<Mapping> parse_mapping(std::string_view line) {
  std::string_view range = take_word(line);
  static_cast<void>(take_word(line));  // permissions
  const auto offset = number(take_word(line), 16);
  std::string_view device = take_word(line);
  const auto inode = number(take_word(line));
  const std::size_t path = line.find_first_not_of(' ');
  const std::size_t dash = range.find('-');
  const std::size_t colon = device.find(':');
  if (path == line.npos || dash == range.npos || colon == device.npos) return std::nullopt;
  const auto begin = number(range.substr(0, dash), 16);
  const auto end = number(range.substr(dash + 1), 16);
  const auto major_number = number(device.substr(0, colon), 16);
  const auto minor_number = number(device.substr(colon + 1), 16);
  if (!begin || !end || !offset || !major_number || !minor_number || !inode || *inode == 0) {
    return std::nullopt;
  }
  Mapping mapping;
  mapping.begin = *begin;
  mapping.end = *end;
  mapping.offset = *offset;
  mapping.id = {
      ::makedev(static_cast<unsigned>(*major_number), static_cast<unsigned>(*minor_number)),
      *inode};
  mapping.path = line.substr(path);
  return mapping;
}

// "running", "-1 SP PC" outside of any call, or "NUMBER 0xA 0xB 0xC 0xD 0xE 0xF SP PC".
std::optional<SystemCall> parse_system_call(std::string_view text) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  SystemCall call;
  const std::string_view first = take_word(text);
  if (first == "running") {
    call.running = true;
    return call;
  }
  if (first == "-1") return call;
  const auto which = number(first);
  if (!which) return std::nullopt;
  call.number = static_cast<long>(*which);
  for (std::uint64_t& argument : call.arguments) {
    std::string_view word = take_word(text);
    if (!word.starts_with("0x")) return std::nullopt;
    const auto value = number(word.substr(2), 16);
    if (!value) return std::nullopt;
    argument = *value;
  }
  return call;
}

std::string_view take_word(std::string_view& text) {
  const std::size_t begin = text.find_first_not_of(' ');
  if (begin == text.npos) {
    text = {};
    return {};
  }
  const std::size_t end = std::min(text.find(' ', begin), text.size());
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

std::optional<std::uint64_t> number(std::string_view text, int base) {
  std::uint64_t parsed = 0;
  const char* const end = text.data() + text.size();
  if (text.empty() ||
      std::from_chars(text.data(), end, parsed, base) != std::from_chars_result{end, std::errc()}) {
    return std::nullopt;
  }
  return parsed;
}

}  // namespace tandem::tools::proc
