// Waits for any of many descriptors, of which it keeps the list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::os {

class Poller {
 public:
  Poller();

  /// \param key what `wait` calls it
  void add(int fd, std::uint64_t key);
  /// Whether a descriptor also counts as ready when it takes more.
  void watch_room(int fd, std::uint64_t key, bool on);
  /// Before the descriptor is closed.
  void remove(int fd) noexcept;
  /// Readable while one of them is.
  [[nodiscard]] int fd() const noexcept { return epoll_.get(); }
  /// Closes its descriptor; for a forked child, which must not touch the list it has in common with
  /// its parent.
  void abandon() noexcept { epoll_.reset(); }
  /// The keys of those that are readable or hung up, some of them if they are very many; none when
  /// the deadline passed. They stay ready until they are read.
  [[nodiscard]] const std::vector<std::uint64_t>& wait(detail::Deadline deadline);

 private:
  detail::Fd epoll_;
  std::vector<std::uint64_t> ready_;
};

}  // namespace tandem::os
