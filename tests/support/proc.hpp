// What /proc says about processes, for the watchdog and the leak check.
#pragma once

#include <sys/types.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace tandem::test {

struct ProcessEntry {
  pid_t parent = 0;
  char state = '?';
  std::string name;
};

/// Every process that can be seen, by pid.
std::map<pid_t, ProcessEntry> process_table();

/// Children, their children and so on, parents before their children; zombies included.
std::vector<pid_t> descendants(pid_t root);
/// Direct children, zombies included.
std::set<pid_t> children(pid_t parent);

/// Descriptor and what it refers to, "12 -> socket:[5512]".
std::set<std::string> open_descriptors();
/// Thread ids of this process.
std::set<pid_t> threads();
/// "1234 (name) S: command line"
std::string describe_process(pid_t pid);

/// Prints for each thread of the process where it is: state, system call, kernel function, kernel
/// stack.
void print_where_it_hangs(pid_t pid);

/// The first line of a file; empty when it cannot be read.
std::string first_line(const std::string& path);

}  // namespace tandem::test
