// Starting a process that returns at once and waiting for it, beside posix_spawn of the same
// program; and what it costs a process that holds much memory.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string_view>

#include "harness.hpp"

namespace {

constexpr int kStarts = 50;
constexpr int kStartsOfBig = 3;  // a fork of it takes a third of a second

void nothing() {}

std::vector<double> milliseconds_each(int starts, const std::function<void()>& start_and_join) {
  std::vector<double> taken(static_cast<std::size_t>(starts));
  for (double& milliseconds : taken) {
    const bench::Clock::time_point start = bench::Clock::now();
    start_and_join();
    milliseconds = bench::seconds_since(start) * 1e3;
  }
  return {bench::median(taken)};
}

std::vector<double> tandem_process(tandem::StartMethod method, int starts) {
  return milliseconds_each(starts, [&] {
    tandem::Process process({.start_method = method}, nothing);
    process.start();
    process.join();
  });
}

std::vector<double> posix() {
  return milliseconds_each(kStarts, [] {
    std::string program = "/proc/self/exe";
    std::string argument = "--end-at-once";
    char* const arguments[] = {program.data(), argument.data(), nullptr};
    pid_t child = 0;
    int status = 0;
    if (posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ) != 0 ||
        waitpid(child, &status, 0) != child || status != 0) {
      throw std::runtime_error("posix_spawn failed");
    }
  });
}

const char* name_of(tandem::StartMethod method) {
  switch (method) {
    case tandem::StartMethod::spawn:
      return "tandem, spawn";
    case tandem::StartMethod::fork:
      return "tandem, fork";
    case tandem::StartMethod::forkserver:
      return "tandem, forkserver";
  }
  return "unknown";
}

std::vector<double> bare_fork() {
  return milliseconds_each(kStartsOfBig, [] {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) throw std::runtime_error("fork failed");
  });
}

// What a fork copies is the page tables of all that its starter has touched.
void compare_from_a_big_process() {
  std::vector<char> held(std::size_t{1} << 30);
  for (std::size_t page = 0; page < held.size(); page += 4096) held[page] = 1;
  bench::Comparison comparison{.work = "the same from a process that holds 1 GiB",
                               .metrics = {{"p50, ms", false}},
                               .candidates = {{"fork, waitpid", true, bare_fork}}};
  for (const tandem::StartMethod method : tandem::all_start_methods()) {
    comparison.candidates.push_back(
        {name_of(method), false, [method] { return tandem_process(method, kStartsOfBig); }});
  }
  bench::compare(comparison);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--end-at-once") return 0;
  tandem::init(argc, argv);
  bench::Comparison comparison{.work = "start a process that does nothing, and join it",
                               .metrics = {{"p50, ms", false}},
                               .candidates = {{"posix_spawn", true, posix}},
                               .reaches = {{"tandem, spawn", "posix_spawn", 1 / 1.5, 1 / 1.5}}};
  for (const tandem::StartMethod method : tandem::all_start_methods()) {
    comparison.candidates.push_back(
        {name_of(method), false, [method] { return tandem_process(method, kStarts); }});
  }
  bench::add_python_peer(comparison, "Python spawn", "python_start.py", "10");
  bench::compare(comparison);
  compare_from_a_big_process();
}
