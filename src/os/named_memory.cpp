#include "os/named_memory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <limits>

#include "base/text.hpp"
#include "os/check.hpp"

namespace tandem::os {
namespace {

constexpr char kDirectory[] = "/dev/shm";
constexpr std::size_t kLongestFileName = 255;

}  // namespace

std::string named_path(std::string_view kind, std::string_view name) {
  const std::string file = detail::concat("tandem-", kind, "-", name);
  if (name.empty() || name.find('/') != name.npos || name.find('\0') != name.npos) {
    throw_error(EINVAL, detail::concat("the name \"", name, "\" for shared memory"));
  }
  if (file.size() > kLongestFileName) {
    throw_error(ENAMETOOLONG, detail::concat("the name \"", name, "\" for shared memory"));
  }
  return detail::concat(kDirectory, "/", file);
}

detail::Fd make_nameless(std::size_t size_bytes) {
  const auto what = [&] {
    return detail::concat("reserve ", std::to_string(size_bytes), " bytes of ", kDirectory);
  };
  if (size_bytes == 0) throw_error(EINVAL, what());
  if (size_bytes > static_cast<std::size_t>(std::numeric_limits<off_t>::max())) {
    throw_error(ENOSPC, what());
  }
  detail::Fd fd(::open(kDirectory, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!fd) throw_last_error(what());
  if (retry([&] { return ::fallocate(fd.get(), 0, 0, static_cast<off_t>(size_bytes)); }) == -1) {
    throw_last_error(what());
  }
  return fd;
}

void publish(const detail::Fd& fd, const std::string& path) {
  const std::string self = detail::concat("/proc/self/fd/", std::to_string(fd.get()));
  check(::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW), path);
}

detail::Fd open_named(const std::string& path) {
  detail::Fd fd(check(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW), path));
  struct stat found {};
  check(::fstat(fd.get(), &found), path);
  if (!S_ISREG(found.st_mode) || found.st_uid != ::geteuid()) throw_error(EACCES, path);
  return fd;
}

bool remove_named(const std::string& path) {
  if (::unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  throw_last_error(path);
}

bool has_name(const detail::Fd& fd) {
  struct stat found {};
  check(::fstat(fd.get(), &found), "look at shared memory");
  return found.st_nlink != 0;
}

std::size_t file_size(const detail::Fd& fd) {
  struct stat found {};
  check(::fstat(fd.get(), &found), "look at the size of shared memory");
  return static_cast<std::size_t>(found.st_size);
}

}  // namespace tandem::os
