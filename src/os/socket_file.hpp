// The file of a listening unix socket: one listener at a time, none left over.
//
// A process that dies leaves its file behind, and connecting to that is refused. Whoever wants to
// listen looks at the file, takes a stale one away and binds its own while it holds a lock, a file
// beside it that is there only meanwhile; so of two who come at once one gets the address and the
// other sees somebody listen.
#pragma once

#include <string>

#include "os/memfd.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::os {

class SocketFile {
 public:
  SocketFile() noexcept = default;
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;
  /// As `remove`.
  ~SocketFile() { remove(); }

  /// Makes the file. \returns the socket that listens there
  /// \throws SystemError EADDRINUSE when somebody listens there, or the file is no socket
  [[nodiscard]] detail::Fd listen(const std::string& path);
  /// Takes the file away if it is still the one that was made here, and by this process. Before the
  /// socket is closed: while it listens nobody else touches the file.
  void remove() noexcept;

 private:
  std::string path_;
  FileIdentity identity_;
  int maker_ = 0;
};

}  // namespace tandem::os
