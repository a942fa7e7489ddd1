#include "support/proc.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace tandem::test {
namespace {

namespace fs = std::filesystem;

// Names of the entries of a directory of /proc; what vanishes meanwhile is left out.
std::vector<std::string> entries(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  return names;
}

// 0 for a name that is no number.
pid_t to_pid(const std::string& text) {
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  return error == std::errc() && end == text.data() + text.size() ? pid : 0;
}

std::string whole_file(const std::string& path) {
  const std::ifstream file(path);
  std::ostringstream text;
  // As far as it can be read: the process may end meanwhile.
  text << file.rdbuf();
  return text.str();
}

// "pid (name) state parent ..."; the name itself may contain anything.
ProcessEntry parse_stat(const std::string& stat) {
  ProcessEntry entry;
  const std::size_t open = stat.find('(');
  const std::size_t close = stat.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close + 4 > stat.size()) {
    return entry;
  }
  entry.name = stat.substr(open + 1, close - open - 1);
  entry.state = stat[close + 2];
  std::from_chars(stat.data() + close + 4, stat.data() + stat.size(), entry.parent);
  return entry;
}

// The calls in which a program of ours may be found waiting.
std::string syscall_name(const std::string& line) {
  struct Name {
    long number;
    const char* name;
  };
  static constexpr Name kNames[] = {
      {SYS_futex, "futex"},
      {SYS_ppoll, "ppoll"},
      {SYS_epoll_pwait, "epoll_pwait"},
      {SYS_read, "read"},
      {SYS_write, "write"},
      {SYS_recvmsg, "recvmsg"},
      {SYS_sendmsg, "sendmsg"},
      {SYS_recvfrom, "recvfrom"},
      {SYS_sendto, "sendto"},
      {SYS_accept4, "accept4"},
      {SYS_connect, "connect"},
      {SYS_wait4, "wait4"},
      {SYS_waitid, "waitid"},
      {SYS_flock, "flock"},
      {SYS_clock_nanosleep, "sleep"},
      {SYS_membarrier, "membarrier"},
#ifdef SYS_poll
      {SYS_poll, "poll"},
      {SYS_epoll_wait, "epoll_wait"},
#endif
  };
  long number = -1;
  if (std::from_chars(line.data(), line.data() + line.size(), number).ec != std::errc()) {
    return line;  // "running", or empty where reading is not allowed
  }
  for (const Name& name : kNames) {
    if (name.number == number) {
      return name.name + line.substr(std::min(line.find(' '), line.size()));
    }
  }
  return "syscall " + line;
}

}  // namespace

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::map<pid_t, ProcessEntry> process_table() {
  std::map<pid_t, ProcessEntry> table;
  for (const std::string& name : entries("/proc")) {
    if (const pid_t pid = to_pid(name); pid != 0) {
      const std::string stat = first_line("/proc/" + name + "/stat");
      if (!stat.empty()) table.emplace(pid, parse_stat(stat));
    }
  }
  return table;
}

std::vector<pid_t> descendants(pid_t root) {
  const std::map<pid_t, ProcessEntry> table = process_table();
  std::vector<pid_t> found = {root};
  for (std::size_t next = 0; next < found.size(); ++next) {
    const pid_t parent = found[next];
    for (const auto& [pid, entry] : table) {
      if (entry.parent == parent) found.push_back(pid);
    }
  }
  found.erase(found.begin());
  return found;
}

std::set<pid_t> children(pid_t parent) {
  std::set<pid_t> found;
  for (const auto& [pid, entry] : process_table()) {
    if (entry.parent == parent) found.insert(pid);
  }
  return found;
}

std::set<std::string> open_descriptors() {
  std::set<std::string> found;
  for (const std::string& name : entries("/proc/self/fd")) {
    std::error_code error;
    const fs::path target = fs::read_symlink("/proc/self/fd/" + name, error);
    // The descriptor the listing itself used is closed by now.
    if (!error) found.insert(name + " -> " + target.string());
  }
  return found;
}

std::set<pid_t> threads() {
  std::set<pid_t> found;
  for (const std::string& name : entries("/proc/self/task")) found.insert(to_pid(name));
  return found;
}

std::string describe_process(pid_t pid) {
  const std::string directory = "/proc/" + std::to_string(pid);
  const ProcessEntry entry = parse_stat(first_line(directory + "/stat"));
  std::string command = whole_file(directory + "/cmdline");
  std::replace(command.begin(), command.end(), '\0', ' ');
  return std::to_string(pid) + " (" + entry.name + ") " + entry.state + ": " + command;
}

void print_where_it_hangs(pid_t pid) {
  std::fprintf(stderr, "process %s\n", describe_process(pid).c_str());
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  for (const std::string& thread : entries(tasks)) {
    const std::string directory = tasks + "/" + thread + "/";
    const ProcessEntry entry = parse_stat(first_line(directory + "stat"));
    std::fprintf(stderr, "  thread %s (%s) %c  %s  in %s\n", thread.c_str(), entry.name.c_str(),
                 entry.state, syscall_name(first_line(directory + "syscall")).c_str(),
                 first_line(directory + "wchan").c_str());
    std::fputs(whole_file(directory + "stack").c_str(), stderr);
  }
}

}  // namespace tandem::test
