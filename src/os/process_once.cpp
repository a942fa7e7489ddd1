#include "tandem/detail/process_once.hpp"

#include <mutex>

#include "os/fork_count.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

/// One process's. A child never touches the mutex of its parent's, but goes on pointing to it.
struct ProcessOnce::Attempt {
  const std::uint64_t process;
  Attempt* const inherited;
  std::recursive_mutex mutex = {};  // recursive: to find out that a thread waits for itself
  bool making = false;
  std::atomic<void*> made{nullptr};
};

ProcessOnce::Attempt& ProcessOnce::attempt() {
  const std::uint64_t process = os::fork_count();
  Attempt* latest = latest_.load(std::memory_order_acquire);
  if (latest != nullptr && latest->process == process) return *latest;
  auto* const mine = new Attempt{.process = process, .inherited = latest};
  if (latest_.compare_exchange_strong(latest, mine, std::memory_order_acq_rel)) return *mine;
  delete mine;  // another thread of this process was first
  return *latest;
}

void* ProcessOnce::find() const noexcept {
  const Attempt* latest = latest_.load(std::memory_order_acquire);
  if (latest == nullptr || latest->process != os::fork_count()) return nullptr;
  return latest->made.load(std::memory_order_acquire);
}

void* ProcessOnce::find_inherited() const noexcept {
  for (const Attempt* at = latest_.load(std::memory_order_acquire); at != nullptr;
       at = at->inherited) {
    if (void* made = at->made.load(std::memory_order_acquire); made != nullptr) return made;
  }
  return nullptr;
}

void* ProcessOnce::get(Make make, void* context) {
  Attempt& mine = attempt();
  if (void* made = mine.made.load(std::memory_order_acquire); made != nullptr) return made;
  const std::lock_guard lock(mine.mutex);
  if (void* made = mine.made.load(std::memory_order_relaxed); made != nullptr) return made;
  if (mine.making) throw Error("what is made once per process asks for itself while it is made");
  mine.making = true;
  struct Done {
    bool& making;
    ~Done() { making = false; }
  } const done{mine.making};
  void* const made = make(context);
  mine.made.store(made, std::memory_order_release);
  return made;
}

void ProcessOnce::forget() noexcept {
  Attempt* const latest = latest_.load(std::memory_order_acquire);
  if (latest != nullptr && latest->process == os::fork_count()) {
    latest->made.store(nullptr, std::memory_order_release);
  }
}

void ProcessOnce::clear() noexcept {
  Attempt* at = latest_.exchange(nullptr, std::memory_order_acq_rel);
  while (at != nullptr) {
    Attempt* const before = at->inherited;
    delete at;
    at = before;
  }
}

}  // namespace tandem::detail
