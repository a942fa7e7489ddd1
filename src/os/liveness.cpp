#include "os/liveness.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "os/check.hpp"
#include "tandem/detail/fd.hpp"

namespace tandem::os {

std::optional<std::uint32_t> birth_of(int pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const detail::Fd file(retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  if (!file) {
    if (errno == ENOENT || errno == ESRCH) return std::nullopt;
    throw_last_error("open " + path);
  }
  char text[1024];
  const ssize_t size = retry([&] { return ::read(file.get(), text, sizeof text - 1); });
  if (size <= 0) return std::nullopt;
  text[size] = '\0';
  // "pid (name) state ..."; the name may hold anything, parentheses too. The start is the 22nd
  // field.
  const char* field = std::strrchr(text, ')');
  if (field == nullptr || field[1] != ' ') return std::nullopt;
  field += 2;
  if (*field == 'Z' || *field == 'X') return std::nullopt;
  for (int i = 3; i < 22; ++i) {
    field = std::strchr(field, ' ');
    if (field == nullptr) return std::nullopt;
    ++field;
  }
  return static_cast<std::uint32_t>(std::strtoull(field, nullptr, 10));
}

}  // namespace tandem::os
