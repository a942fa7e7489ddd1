#include "process/context.hpp"

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "base/lazy.hpp"
#include "base/process_name.hpp"
#include "os/exec.hpp"

namespace tandem::detail {
namespace {

struct Hooks {
  std::mutex mutex;
  std::vector<void (*)()> process_end;
};

struct Self {
  Identity identity = {.name = "MainProcess"};
  std::atomic<unsigned> children_made{0};
  std::string program = {};
  std::atomic<bool> initialised{false};
};

// Used in static initialisers of any order and after the end of main.
constinit base::Lazy<Hooks> hooks;
constinit base::Lazy<Self> self;
constinit base::Lazy<std::shared_mutex> gate;
constinit std::atomic<bool> hooks_run_at_exit{false};

// While the library is loaded, before there is a second thread that could fork. The gate is made
// anew in the child: who held it there, for starts of their own, are threads that the child does
// not have.
[[maybe_unused]] const bool fork_safe = [] {
  os::at_fork([] { hooks->mutex.lock(); }, [] { hooks->mutex.unlock(); },
              [] {
                hooks->mutex.unlock();
                new (&*gate) std::shared_mutex;
              });
  return true;
}();

}  // namespace

const std::string& process_name() { return base::process_name(); }

const Identity& identity() { return self->identity; }

void become(Identity identity) {
  base::set_process_name(identity.name);
  self->identity = std::move(identity);
  self->children_made.store(0, std::memory_order_relaxed);
}

std::string next_child_path() {
  const unsigned number = self->children_made.fetch_add(1, std::memory_order_relaxed) + 1;
  const std::string& path = self->identity.path;
  return path.empty() ? std::to_string(number) : path + ":" + std::to_string(number);
}

void set_initialised(const char* program) {
  self->program = program;
  self->initialised.store(true, std::memory_order_release);
}

const char* initialised_program() {
  return self->initialised.load(std::memory_order_acquire) ? self->program.c_str() : nullptr;
}

void at_process_end(void (*hook)()) {
  // Twice does no harm; waiting for another thread would, in a child forked meanwhile.
  if (!hooks_run_at_exit.load(std::memory_order_acquire)) {
    run_hooks_at_exit();
    hooks_run_at_exit.store(true, std::memory_order_release);
  }
  const std::lock_guard lock(hooks->mutex);
  hooks->process_end.push_back(hook);
}

void run_hooks_at_exit() {
  if (std::atexit(run_process_end_hooks) != 0) throw std::bad_alloc();
}

void run_process_end_hooks() {
  Hooks& all = *hooks;
  for (;;) {
    void (*hook)() = nullptr;
    {
      const std::lock_guard lock(all.mutex);
      if (all.process_end.empty()) return;
      hook = all.process_end.back();
      all.process_end.pop_back();
    }
    hook();
  }
}

std::shared_mutex& start_gate() { return *gate; }

}  // namespace tandem::detail
