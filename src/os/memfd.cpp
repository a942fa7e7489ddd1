#include "os/memfd.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/text.hpp"
#include "os/check.hpp"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3; older headers do not know it
#endif

namespace tandem::os {
namespace {

constexpr std::size_t kLongestName = 240;
constexpr int kFrozen = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

int create_sealable(const std::string& name) {
  const int fd = ::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd != -1 || errno != EINVAL) return fd;
  return ::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

struct stat status(const detail::Fd& fd) {
  struct stat found {};
  check(::fstat(fd.get(), &found), "look at a descriptor");
  return found;
}

}  // namespace

// A sparse file of any size can be made and mapped; it would be the first touch beyond the
// machine's memory that kills somebody. Better refused here.
bool machine_could_hold(std::size_t size_bytes) {
  struct sysinfo machine {};
  check(::sysinfo(&machine), "ask for the size of memory");
  return size_bytes / machine.mem_unit <= machine.totalram + machine.totalswap;
}

detail::Fd make_memfd(const std::string& name, std::size_t size_bytes) {
  const auto what = [&] {
    return detail::concat("make ", std::to_string(size_bytes), " bytes of shared memory for ",
                          name);
  };
  if (size_bytes == 0) throw_error(EINVAL, what());
  if (!machine_could_hold(size_bytes)) throw_error(ENOMEM, what());
  detail::Fd fd(create_sealable(name.substr(0, kLongestName)));
  if (!fd) throw_last_error(what());
  if (retry([&] { return ::ftruncate(fd.get(), static_cast<off_t>(size_bytes)); }) == -1 ||
      ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == -1) {
    throw_last_error(what());
  }
  return fd;
}

detail::Fd make_frozen_memfd(const std::string& name, std::span<const std::byte> bytes) {
  const std::string what = detail::concat("freeze ", std::to_string(bytes.size()), " bytes");
  detail::Fd fd(create_sealable(name.substr(0, kLongestName)));
  if (!fd) throw_last_error(what);
  while (!bytes.empty()) {
    const auto written =
        check(retry([&] { return ::write(fd.get(), bytes.data(), bytes.size()); }), what);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  check(::fcntl(fd.get(), F_ADD_SEALS, kFrozen | F_SEAL_SEAL), what);
  return fd;
}

std::size_t frozen_size(const detail::Fd& fd) {
  const int seals = check(::fcntl(fd.get(), F_GET_SEALS), "look for the seals of shared memory");
  if ((seals & kFrozen) != kFrozen) {
    throw_error(EPERM, "view shared memory that somebody could change");
  }
  return static_cast<std::size_t>(status(fd).st_size);
}

std::size_t sealed_size(const detail::Fd& fd) {
  const int seals = check(::fcntl(fd.get(), F_GET_SEALS), "look for the seals of shared memory");
  if ((seals & F_SEAL_SHRINK) == 0) {
    throw_error(EPERM, "map shared memory that somebody could truncate");
  }
  return static_cast<std::size_t>(status(fd).st_size);
}

FileIdentity identity(const detail::Fd& fd) {
  const struct stat found = status(fd);
  return {found.st_dev, found.st_ino};
}

}  // namespace tandem::os
