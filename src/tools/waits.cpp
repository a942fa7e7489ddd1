// Which thread waits in what: the kernel tells in which system call it is and with which arguments,
// and an address in a mapping of a segment tells which word of which object it sleeps on.
#include <linux/futex.h>
#include <poll.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.hpp"
#include "tools/proc.hpp"
#include "tools/scan.hpp"

namespace tandem::tools {
namespace {

using detail::concat;

constexpr std::size_t kMostThreads = 4096;  // of one process
constexpr std::size_t kMostPolled = 64;

struct CallName {
  long number;
  const char* doing;
};

// What else a thread of such a program may sleep in.
constexpr CallName kCalls[] = {
    {SYS_read, "reads"},
    {SYS_write, "writes"},
    {SYS_recvfrom, "receives from a socket"},
    {SYS_sendmsg, "sends to a socket"},
    {SYS_sendto, "sends to a socket"},
    {SYS_accept4, "accepts connections"},
    {SYS_connect, "connects"},
    {SYS_wait4, "waits for a child to end"},
    {SYS_waitid, "waits for a child to end"},
    {SYS_clock_nanosleep, "sleeps"},
    {SYS_nanosleep, "sleeps"},
    {SYS_rt_sigtimedwait, "waits for a signal"},
    {SYS_rt_sigsuspend, "waits for a signal"},
#if defined(SYS_pause)
    {SYS_pause, "waits for a signal"},
#endif
#if defined(SYS_select)
    {SYS_select, "polls"},
#endif
    {SYS_pselect6, "polls"},
    {SYS_flock, "waits for a file lock"},
};

bool is_poll(long number) {
#if defined(SYS_poll)
  if (number == SYS_poll) return true;
#endif
  return number == SYS_ppoll;
}

bool is_epoll(long number) {
#if defined(SYS_epoll_wait)
  if (number == SYS_epoll_wait) return true;
#endif
#if defined(SYS_epoll_pwait2)
  if (number == SYS_epoll_pwait2) return true;
#endif
  return number == SYS_epoll_pwait;
}

bool waits_on_futex(const proc::SystemCall& call) {
  if (call.number != SYS_futex) return false;
  switch (static_cast<int>(call.arguments[1]) & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
    case FUTEX_LOCK_PI:
      return true;
    default:
      return false;
  }
}

/// One process's threads.
class Threads {
 public:
  Threads(Snapshot& snapshot, Process& process) : snapshot_(snapshot), process_(process) {}

  /// \returns whether some run
  bool look() {
    bool some = false;
    const std::string directory = proc::path(process_.pid, "task");
    for (const int id : proc::numbers_in(directory)) {
      if (process_.threads.size() == kMostThreads) break;
      const std::string path = concat(directory, "/", std::to_string(id));
      const auto status = proc::status(path + "/stat");
      if (!status) continue;
      Thread thread;
      thread.id = id;
      thread.name = status->name;
      thread.state = status->state;
      look_at(thread, path);
      some = some || thread.runs;
      process_.threads.push_back(std::move(thread));
    }
    return some;
  }

  /// At those that ran. \returns whether some still do
  bool look_again() {
    bool some = false;
    for (Thread& thread : process_.threads) {
      if (!thread.runs) continue;
      look_at(thread, proc::path(process_.pid, concat("task/", std::to_string(thread.id))));
      some = some || thread.runs;
    }
    return some;
  }

 private:
  void look_at(Thread& thread, const std::string& path) {
    const proc::Text text = proc::read_text(path + "/syscall", 512);
    thread.runs = false;
    if (text.error != 0) {
      thread.doing = concat("unknown (", std::strerror(text.error), ")");
      fall_back(thread, path);
      return;
    }
    const auto call = proc::parse_system_call(text.text);
    if (!call) {
      thread.doing = "unknown";
    } else if (call->running) {
      thread.runs = true;
      thread.doing = "runs";
    } else {
      explain(thread, *call);
    }
  }

  // Without the right to read the arguments there is the name of a function of the kernel.
  static void fall_back(Thread& thread, const std::string& path) {
    const proc::Text channel = proc::read_text(path + "/wchan", 128);
    if (channel.error == 0 && !channel.text.empty() && channel.text != "0") {
      thread.doing += concat(", in ", channel.text);
    }
  }

  void explain(Thread& thread, const proc::SystemCall& call) {
    if (waits_on_futex(call)) {
      explain_futex(thread, call.arguments[0]);
    } else if (is_poll(call.number)) {
      thread.doing = explain_poll(call.arguments[0], call.arguments[1]);
    } else if (is_epoll(call.number)) {
      thread.doing = concat("polls (epoll)", parked());
    } else if (call.number == SYS_recvmsg) {
      thread.doing = concat("receives from a socket", parked());
    } else if (call.number == -1) {
      thread.doing = thread.state == 'T' || thread.state == 't' ? "is stopped" : "runs";
    } else {
      const auto* const known =
          std::find_if(std::begin(kCalls), std::end(kCalls),
                       [&](const CallName& name) { return name.number == call.number; });
      thread.doing = known != std::end(kCalls)
                         ? known->doing
                         : concat("is in system call ", std::to_string(call.number));
    }
    if (thread.state == 'T') thread.doing = "is stopped (SIGSTOP)";
  }

  void explain_futex(Thread& thread, std::uint64_t address) {
    const auto at = std::find_if(
        process_.mapped.begin(), process_.mapped.end(),
        [&](const Mapped& mapped) { return address >= mapped.begin && address < mapped.end; });
    const auto found =
        at == process_.mapped.end() ? snapshot_.objects.end() : snapshot_.objects.find(at->object);
    if (found == snapshot_.objects.end()) {
      thread.doing = "waits for another thread of its process (a mutex, condition or join)";
      return;
    }
    Object& object = found->second;
    const std::uint64_t offset = address - at->begin + at->offset;
    thread.object = object.id;
    thread.awaited = concat("the word at offset ", std::to_string(offset));
    const Description& description = object.description;
    for (const WaitWord& word : description.words) {
      if (word.offset == offset) thread.awaited = word.awaited;
    }
    for (std::size_t i = 0; i < description.locks.size(); ++i) {
      if (description.locks[i].offset != offset) continue;
      thread.awaited = description.locks[i].label;
      thread.lock = i;
    }
    thread.doing = "waits";
    object.waiters.push_back({{process_.pid, thread.id}, thread.awaited, thread.lock});
  }

  // Of what it polls the descriptors tell what they are.
  std::string explain_poll(std::uint64_t address, std::uint64_t count) {
    std::vector<pollfd> fds(static_cast<std::size_t>(std::min<std::uint64_t>(count, kMostPolled)));
    const proc::File memory(proc::path(process_.pid, "mem"));
    fds.resize(memory.read(address, std::as_writable_bytes(std::span(fds))) / sizeof(pollfd));
    std::vector<std::string> ends;  // of processes
    std::vector<std::string> others;
    bool maybe_pipe = fds.empty();  // or it could not be read
    for (const pollfd& one : fds) {
      if (one.fd < 0) continue;
      const std::string target =
          proc::link(proc::path(process_.pid, concat("fd/", std::to_string(one.fd))));
      if (target == "anon_inode:[pidfd]" || target.starts_with("pidfd:")) {
        ends.push_back(process_behind(one.fd));
        continue;
      }
      const std::string kind = kind_of(target);
      maybe_pipe = maybe_pipe || target.starts_with("socket:");
      if (std::find(others.begin(), others.end(), kind) == others.end()) others.push_back(kind);
    }
    std::string text;
    if (!ends.empty()) {
      text = ends.size() <= 2
                 ? concat("waits for the end of process ", ends[0])
                 : concat("waits for the end of ", std::to_string(ends.size()), " processes");
      if (ends.size() == 2) text += concat(" or ", ends[1]);
    }
    std::string polled;
    for (const std::string& kind : others) polled += concat(polled.empty() ? "" : ", ", kind);
    if (!polled.empty()) {
      text += concat(text.empty() ? "polls " : "; polls ", polled);
    } else if (text.empty()) {
      text = "polls";
    }
    return maybe_pipe ? text + parked() : text;
  }

  static std::string kind_of(const std::string& target) {
    if (target.starts_with("socket:")) return "a socket";
    if (target.starts_with("pipe:")) return "a pipe of the system";
    if (target == "anon_inode:[eventfd]") return "an eventfd";
    if (target == "anon_inode:[eventpoll]") return "an epoll descriptor";
    return "a file";
  }

  std::string process_behind(int fd) {
    const proc::Text info =
        proc::read_text(proc::path(process_.pid, concat("fdinfo/", std::to_string(fd))), 4096);
    std::string text = "unknown";
    proc::for_each_line(info.text, [&](std::string_view line) {
      constexpr std::string_view kPid = "Pid:";
      if (!line.starts_with(kPid)) return;
      line.remove_prefix(kPid.size());
      while (line.starts_with('\t') || line.starts_with(' ')) line.remove_prefix(1);
      if (proc::number(line)) text = line;
    });
    return text;
  }

  // The pipes of this process whose words say that one of its threads waits.
  std::string parked() {
    constexpr std::size_t kMost = 3;
    std::size_t found = 0;
    std::string text;
    for (const ObjectId& id : process_.objects) {
      const Description& description = snapshot_.objects.at(id).description;
      for (const Role& role : description.parked) {
        if (role.process != process_.pid || ++found > kMost) continue;
        text += concat(text.empty() ? "; parked: " : ", ", description.name, " for ", role.what);
      }
    }
    if (found > kMost) text += concat(" and ", std::to_string(found - kMost), " more");
    return text;
  }

  Snapshot& snapshot_;
  Process& process_;
};

}  // namespace

void find_waits(Snapshot& snapshot) {
  bool some_run = false;
  for (auto& [pid, process] : snapshot.processes) {
    some_run = Threads(snapshot, process).look() || some_run;
  }
  // A sleep is cut in slices, between which its thread runs for a moment, or waits for a CPU.
  constexpr int kTimes = 3;
  for (int i = 0; i < kTimes && some_run; ++i) {
    const timespec moment{0, 2'000'000};
    ::nanosleep(&moment, nullptr);
    some_run = false;
    for (auto& [pid, process] : snapshot.processes) {
      some_run = Threads(snapshot, process).look_again() || some_run;
    }
  }
}

}  // namespace tandem::tools
