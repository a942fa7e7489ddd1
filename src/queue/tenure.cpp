#include "queue/tenure.hpp"

#include <memory>
#include <new>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "os/futex.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

using os::Acquired;
using os::Task;

namespace {

// The kernel follows a dead thread's list of held locks for 2048 entries only. Who holds so many
// releases after each operation.
constexpr unsigned kMostHeld = 1024;
constinit thread_local unsigned held_locks = 0;

}  // namespace

/// A mapping that its queue has left while another thread held a lock in it. That thread lets go of
/// it when it next becomes the tenant of any queue; if it ended instead, whoever comes along does.
class HeldMapping {
 public:
  static void add(shm::Segment segment, const Tenure& first, const Tenure& second) noexcept {
    auto* entry = new (std::nothrow) HeldMapping;
    if (entry == nullptr) {
      shm::Segment::keep_mapped(std::move(segment));
      return;
    }
    segment.close_descriptor();
    entry->segment_ = std::move(segment);
    const Tenure* sides[] = {&first, &second};
    for (std::size_t i = 0; i < 2; ++i) {
      entry->sides_[i] = {sides[i]->lock_, sides[i]->tenant_, sides[i]->held_by_other_thread()};
    }
    push(entry);
  }

  /// Frees those that nobody holds a lock in, the caller's own among them.
  static void sweep() noexcept {
    if (list.load(std::memory_order_relaxed) == nullptr) return;
    HeldMapping* entry = list.exchange(nullptr, std::memory_order_acquire);
    while (entry != nullptr) {
      HeldMapping* next = entry->next_;
      entry->still_held() ? push(entry) : delete entry;
      entry = next;
    }
  }

 private:
  struct Side {
    os::RobustMutex* lock = nullptr;
    std::atomic<std::uint64_t>* tenant = nullptr;
    Task holder;
  };

  [[nodiscard]] bool still_held() noexcept {
    bool held = false;
    for (Side& side : sides_) {
      if (side.holder == Task() || side.lock->holder() != side.holder.id()) continue;
      if (side.lock->held_by_caller()) {
        std::uint64_t me = side.holder.raw();
        side.tenant->compare_exchange_strong(me, 0, std::memory_order_release);
        --held_locks;
        side.lock->unlock();
      } else {
        held = true;
      }
    }
    return held;
  }
  static void push(HeldMapping* entry) noexcept {
    entry->next_ = list.load(std::memory_order_relaxed);
    while (!list.compare_exchange_weak(entry->next_, entry, std::memory_order_release,
                                       std::memory_order_relaxed)) {
    }
  }

  // Taken as a whole or added to, so a fork in another thread finds it in order.
  static constinit std::atomic<HeldMapping*> list;

  shm::Segment segment_;
  Side sides_[2];
  HeldMapping* next_ = nullptr;
};

constinit std::atomic<HeldMapping*> HeldMapping::list{nullptr};

void Tenure::attach(os::RobustMutex& lock, std::atomic<std::uint64_t>& tenant, bool promised,
                    const Words& words, std::string_view name) noexcept {
  lock_ = &lock;
  tenant_ = &tenant;
  promised_ = promised;
  words_ = words;
  name_ = name;
}

Acquired Tenure::become_tenant(Deadline deadline) {
  claim_in_process();
  HeldMapping::sweep();
  for (;;) {
    Acquired got = lock_->try_lock();
    if (got == Acquired::no) {
      if (const Task other = tenant(); is_others(other)) refuse(other);
      // The feeder, or one that becomes the tenant just now, or a reader that looks for a death.
      if (!deadline.is_now()) got = lock_->lock(deadline.earlier(Deadline::after(os::kSlice)));
    }
    if (got == Acquired::yes) {
      if (const Task other = tenant(); is_others(other)) {
        lock_->unlock();
        refuse(other);
      }
    }
    if (got != Acquired::no) {
      tenant_->store(Task::mine().raw(), std::memory_order_release);
      ++held_locks;
      return got;
    }
    if (deadline.passed()) return Acquired::no;
  }
}

// Within the process, where the tenant may be one of its threads and the lock its feeder's.
void Tenure::claim_in_process() {
  const Task me = Task::mine();
  std::uint64_t seen = claimed_.load(std::memory_order_relaxed);
  do {
    if (seen == me.raw()) return;
    if (seen != 0 && Task(seen).alive()) refuse(Task(seen));
  } while (!claimed_.compare_exchange_weak(seen, me.raw(), std::memory_order_relaxed));
}

bool Tenure::is_others(Task tenant) const {
  if (tenant == Task() || tenant == Task::mine() || tenant == Task::of_process()) return false;
  return lock_->holder() == tenant.id() || tenant.alive();
}

void Tenure::refuse(Task tenant) {
  std::uint64_t me = Task::mine().raw();
  claimed_.compare_exchange_strong(me, 0, std::memory_order_relaxed);
  throw Error(concat("Queue::", words_.call, " on ", name_, ": the queue was made with ",
                     words_.option, ", and thread ", std::to_string(tenant.id()), " is its ",
                     words_.role, ". Another may ", words_.call,
                     " when that thread has ended or closed the queue; or make the queue without ",
                     words_.option));
}

void Tenure::leave(bool stays) {
  if (!stays) {
    resign();
  } else if (held_locks > kMostHeld) {
    --held_locks;
    lock_->unlock();
  }
}

void Tenure::resign() noexcept {
  if (!promised_) return;
  std::uint64_t me = claimed_.load(std::memory_order_relaxed);
  if (Task(me).id() != os::ThreadId::mine().thread()) return;
  claimed_.store(0, std::memory_order_relaxed);
  // Not of the process, which goes on until its buffer is empty.
  tenant_->compare_exchange_strong(me, 0, std::memory_order_release);
  if (!lock_->held_by_caller()) return;
  --held_locks;
  lock_->unlock();
}

bool Tenure::is_mine() {
  if (!promised_) return true;
  claim_in_process();
  const Task process = Task::of_process();  // asked now, so that pass_to_process need not ask
  return tenant() == Task::mine() || tenant() == process;
}

void Tenure::pass_to_process() {
  if (!promised_) return;
  std::uint64_t me = Task::mine().raw();
  tenant_->compare_exchange_strong(me, Task::of_process().raw(), std::memory_order_release);
  if (!lock_->held_by_caller()) return;
  --held_locks;
  lock_->unlock();
}

void Tenure::pass_to_thread() noexcept {
  if (!promised_) return;
  std::uint64_t process = Task::of_process().raw();
  tenant_->compare_exchange_strong(process, claimed_.load(std::memory_order_relaxed),
                                   std::memory_order_release);
}

Task Tenure::held_by_other_thread() const noexcept {
  const Task task(claimed_.load(std::memory_order_relaxed));
  return promised_ && task != Task() && lock_->holder() == task.id() ? task : Task();
}

void Tenure::unmap(shm::Segment segment, const Tenure& first, const Tenure& second) noexcept {
  HeldMapping::sweep();
  if (first.held_by_other_thread() != Task() || second.held_by_other_thread() != Task()) {
    HeldMapping::add(std::move(segment), first, second);
  }
}

}  // namespace tandem::detail
