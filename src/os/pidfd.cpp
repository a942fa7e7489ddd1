#include "os/pidfd.hpp"

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

#include "base/text.hpp"
#include "os/check.hpp"
#include "os/liveness.hpp"
#include "os/poll.hpp"

namespace tandem::os {
namespace {

constexpr auto kPidfdIdType = static_cast<idtype_t>(3);  // P_PIDFD, which older headers lack

// First version of the kernel's struct pidfd_info (linux/pidfd.h), which later ones only extend.
struct PidfdInfo {
  std::uint64_t mask;
  std::uint64_t cgroup_id;
  std::uint32_t ids[11];
  std::int32_t exit_code;
};
static_assert(sizeof(PidfdInfo) == 64);
constexpr std::uint64_t kInfoExit = 1U << 3;
constexpr unsigned long kGetInfo = _IOWR(0xFF, 11, PidfdInfo);
constexpr int kUnknown = 255;

int from_wait_status(int status) {
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int remembered_exit(const detail::Fd& pidfd) {
  PidfdInfo info{};
  info.mask = kInfoExit;
  if (::ioctl(pidfd.get(), kGetInfo, &info) == -1 || (info.mask & kInfoExit) == 0) return kUnknown;
  return from_wait_status(info.exit_code);
}

}  // namespace

detail::Fd open_pidfd(pid_t pid) {
  const long fd = ::syscall(SYS_pidfd_open, pid, 0);
  if (fd == -1) throw_last_error(detail::concat("open process ", std::to_string(pid)));
  return detail::Fd(static_cast<int>(fd));
}

bool send_signal(const detail::Fd& pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0) return true;
  if (errno == ESRCH) return false;
  throw_last_error(detail::concat("send signal ", std::to_string(signal), " to a process"));
}

bool has_ended(const detail::Fd& pidfd) {
  if (!wait_readable(pidfd.get(), detail::Deadline::now())) return false;
  ends_seen.fetch_add(1, std::memory_order_release);
  return true;
}

std::optional<int> reap(const detail::Fd& pidfd) {
  siginfo_t ended{};
  const int result = retry([&] {
    return ::waitid(kPidfdIdType, static_cast<id_t>(pidfd.get()), &ended, WEXITED | WNOHANG);
  });
  if (result == 0) {
    if (ended.si_pid == 0) return std::nullopt;
    ends_seen.fetch_add(1, std::memory_order_release);
    return ended.si_code == CLD_EXITED ? ended.si_status : -ended.si_status;
  }
  if (errno != ECHILD) throw_last_error("look whether a process has ended");
  // Not a child of this process, or reaped by somebody else.
  if (!has_ended(pidfd)) return std::nullopt;
  return remembered_exit(pidfd);
}

}  // namespace tandem::os
