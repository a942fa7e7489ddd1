#include "os/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "os/check.hpp"

namespace tandem::os {

detail::Fd create_file(const std::string& path) {
  return detail::Fd(check(
      retry([&] { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666); }),
      path));
}

void write_at(const detail::Fd& file, std::size_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto written = static_cast<std::size_t>(
        check(retry([&] {
                return ::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
              }),
              "write to a file"));
    bytes = bytes.subspan(written);
    offset += written;
  }
}

bool read_at(const detail::Fd& file, std::size_t offset, std::span<std::byte> into) {
  while (!into.empty()) {
    const ssize_t got = retry(
        [&] { return ::pread(file.get(), into.data(), into.size(), static_cast<off_t>(offset)); });
    if (got <= 0) return false;
    into = into.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace tandem::os
