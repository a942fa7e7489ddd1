#include "os/socket_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/text.hpp"
#include "os/check.hpp"
#include "os/self.hpp"
#include "os/stream.hpp"

namespace tandem::os {
namespace {

FileIdentity identity_of(const struct stat& file) { return {file.st_dev, file.st_ino}; }

/// A file that says who may change another one. It goes with its holder's last act, or else stays,
/// free, until the next holder.
class LockFile {
 public:
  explicit LockFile(std::string path) : path_(std::move(path)) {
    for (;;) {
      file_ = detail::Fd(check(retry([&] {
                                 return ::open(path_.c_str(),
                                               O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
                               }),
                               detail::concat("open the lock file ", path_)));
      check(retry([&] { return ::flock(file_.get(), LOCK_EX); }),
            detail::concat("lock the file ", path_));
      // Its last holder may have taken it away while this one waited for it.
      struct stat mine, there;
      check(::fstat(file_.get(), &mine), path_);
      if (::lstat(path_.c_str(), &there) == 0 && identity_of(mine) == identity_of(there)) return;
    }
  }
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;
  ~LockFile() {
    ::unlink(path_.c_str());
    // A process forked meanwhile has a copy of the descriptor, which shall not keep others waiting.
    ::flock(file_.get(), LOCK_UN);
  }

 private:
  std::string path_;
  detail::Fd file_;
};

/// Whether the file is a socket that nobody listens to.
bool is_stale(const std::string& path, const SocketName& name) {
  struct stat file;
  if (::lstat(path.c_str(), &file) == -1) {
    if (errno == ENOENT) return false;
    throw_last_error(path);
  }
  if (!S_ISSOCK(file.st_mode)) throw_error(EADDRINUSE, path);
  try {
    static_cast<void>(connect_stream(name, detail::Deadline::now()));
  } catch (const TimedOut&) {
    // Its backlog is full, so it has one.
  } catch (const SystemError& error) {
    if (error.code() == std::errc::connection_refused) return true;
    if (error.code() == std::errc::no_such_file_or_directory) return false;  // it went just now
    throw_error(EADDRINUSE, path);
  }
  throw_error(EADDRINUSE, path);
}

}  // namespace

detail::Fd SocketFile::listen(const std::string& path) {
  const SocketName name = unix_path(path);
  const LockFile lock(path + ".lock");
  if (is_stale(path, name) && ::unlink(path.c_str()) == -1 && errno != ENOENT) {
    throw_last_error(path);
  }
  detail::Fd socket = bind_stream(name);
  struct stat file;
  if (::lstat(path.c_str(), &file) == -1) throw_last_error(path);
  path_ = std::filesystem::absolute(path).string();
  identity_ = identity_of(file);
  maker_ = process_id();
  start_listening(socket);
  return socket;
}

void SocketFile::remove() noexcept {
  if (maker_ != process_id()) return;
  maker_ = 0;
  struct stat file;
  if (::lstat(path_.c_str(), &file) == 0 && identity_of(file) == identity_) {
    ::unlink(path_.c_str());
  }
}

}  // namespace tandem::os
