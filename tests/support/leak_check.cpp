#include "support/leak_check.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <memory>
#include <set>
#include <thread>

#include "support/proc.hpp"
#include "support/supervisor.hpp"

namespace tandem::test {
namespace {

using std::chrono::steady_clock;

// Names in /dev/shm that come from unique_name() of this process: other test programs may be
// running.
std::set<std::string> shared_memory_names() {
  const std::string mine = "-" + std::to_string(::getpid()) + "-";
  std::set<std::string> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm", error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("tandem") && name.find(mine) != std::string::npos) found.insert(name);
  }
  return found;
}

// The test process is the supervisor's only child; any other is an orphan of a test.
std::set<pid_t> children_and_orphans() {
  std::set<pid_t> found;
  const pid_t self = ::getpid();
  const pid_t supervisor = supervised() ? ::getppid() : self;
  for (const auto& [pid, entry] : process_table()) {
    if (pid != self && (entry.parent == self || entry.parent == supervisor)) found.insert(pid);
  }
  return found;
}

struct Snapshot {
  std::set<std::string> descriptors = open_descriptors();
  std::set<pid_t> threads = test::threads();
  std::set<pid_t> processes = children_and_orphans();
  std::set<std::string> shared_memory = shared_memory_names();
};

template <class T>
std::set<T> added(const std::set<T>& before, const std::set<T>& after) {
  std::set<T> more;
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                      std::inserter(more, more.end()));
  return more;
}

// What is there now and was not then, one line each.
std::string leaks(const Snapshot& before) {
  const Snapshot after;
  std::string report;
  for (const std::string& line : added(before.descriptors, after.descriptors)) {
    report += "  descriptor " + line + "\n";
  }
  for (const pid_t thread : added(before.threads, after.threads)) {
    const std::string task = "/proc/self/task/" + std::to_string(thread);
    report += "  thread " + std::to_string(thread) + " (" + first_line(task + "/comm") + ") in " +
              first_line(task + "/wchan") + "\n";
  }
  for (const pid_t process : added(before.processes, after.processes)) {
    report += "  process " + describe_process(process) + "\n";
  }
  for (const std::string& name : added(before.shared_memory, after.shared_memory)) {
    report += "  /dev/shm/" + name + "\n";
  }
  return report;
}

std::string allowed_reason;

class LeakListener : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo& test) override {
    allowed_reason.clear();
    begin_watch(std::string(test.test_suite_name()) + "." + test.name());
    before_ = std::make_unique<Snapshot>();
  }

  void OnTestEnd(const testing::TestInfo&) override {
    const auto deadline = steady_clock::now() + leak_grace();
    std::string report = leaks(*before_);
    while (!report.empty() && allowed_reason.empty() && steady_clock::now() < deadline) {
      ::poll(nullptr, 0, 5);
      report = leaks(*before_);
    }
    if (report.empty()) return;
    if (allowed_reason.empty()) {
      ADD_FAILURE() << "the test left behind:\n" << report;
    } else {
      std::cout << "left behind, because " << allowed_reason << ":\n" << report;
    }
  }

  void OnTestProgramEnd(const testing::UnitTest&) override {
    begin_watch("end of the test program");
  }

  std::unique_ptr<Snapshot> before_;
};

}  // namespace

void install_leak_check() {
  // ThreadSanitizer starts a thread of its own beside the first one.
  if (kTsan) std::thread([] {}).join();
  // Listeners hear of a test's end in reverse order: appended, this one can still fail the test.
  testing::UnitTest::GetInstance()->listeners().Append(new LeakListener);
}

void allow_leaks(const std::string& reason) { allowed_reason = reason; }

std::string unique_name(const std::string& stem) {
  static int count = 0;
  return "test-" + std::to_string(::getpid()) + "-" + stem + "-" + std::to_string(++count);
}

}  // namespace tandem::test
