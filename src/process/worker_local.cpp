#include "tandem/worker_local.hpp"

#include <atomic>
#include <cstdint>
#include <memory>

#include "os/fork_count.hpp"
#include "tandem/detail/context.hpp"

namespace tandem::detail {

/// All objects of this process, the last first; behind them those of the processes it was forked
/// from, which stay. No mutex, which a fork could leave locked.
struct ProcessLocals {
  struct Made {
    const std::uint64_t process;
    ProcessLocal& local;
    ProcessLocal::Destroy destroy;
    void* object = nullptr;
    Made* next = nullptr;
  };

  static void add(std::unique_ptr<Made> made) noexcept {
    Made* const one = made.release();
    one->next = latest.load(std::memory_order_relaxed);
    while (!latest.compare_exchange_weak(one->next, one, std::memory_order_release,
                                         std::memory_order_relaxed)) {
    }
  }
  static void destroy_all() {
    const std::uint64_t process = os::fork_count();
    Made* at = latest.load(std::memory_order_acquire);
    while (at != nullptr && at->process == process) {
      if (!latest.compare_exchange_weak(at, at->next, std::memory_order_acq_rel)) continue;
      const std::unique_ptr<Made> made(at);
      made->local.once_.forget();
      made->destroy(made->object);
      at = latest.load(std::memory_order_acquire);  // a destructor may have made another
    }
  }
  static void destroy_at_end() {
    // Twice does no harm; waiting for another thread would, in a child forked meanwhile.
    if (hooked.load(std::memory_order_acquire)) return;
    at_process_end(&destroy_all);
    hooked.store(true, std::memory_order_release);
  }

  static constinit std::atomic<Made*> latest;
  static constinit std::atomic<bool> hooked;
};

constinit std::atomic<ProcessLocals::Made*> ProcessLocals::latest{nullptr};
constinit std::atomic<bool> ProcessLocals::hooked{false};

void* ProcessLocal::get(ProcessOnce::Make make, Destroy destroy, void* context) {
  struct Call {
    ProcessLocal& local;
    ProcessOnce::Make make;
    Destroy destroy;
    void* context;
  } call{*this, make, destroy, context};
  return once_.get(
      [](void* given) {
        const Call& wanted = *static_cast<Call*>(given);
        ProcessLocals::destroy_at_end();
        // Allocated before there is an object to lose.
        auto made = std::make_unique<ProcessLocals::Made>(ProcessLocals::Made{
            .process = os::fork_count(), .local = wanted.local, .destroy = wanted.destroy});
        made->object = wanted.make(wanted.context);
        void* const object = made->object;
        ProcessLocals::add(std::move(made));
        return object;
      },
      &call);
}

}  // namespace tandem::detail
