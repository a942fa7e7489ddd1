#include "tandem/lock.hpp"

#include <atomic>
#include <cerrno>
#include <utility>

#include "base/text.hpp"
#include "os/check.hpp"
#include "os/futex.hpp"
#include "os/thread_id.hpp"
#include "os/robust_mutex.hpp"
#include "shm/hand_over.hpp"
#include "sync/object.hpp"
#include "tandem/detail/log.hpp"
#include "tandem/error.hpp"

namespace tandem {
namespace sync {
namespace {

using detail::Deadline;
using os::Acquired;
using os::ThreadId;

// Invariants
// 1. `died` and `owner` are written by the mutex's holder only; anybody may read them.
// 2. `died` is not 0 from when a death was noticed until somebody recovers, and nobody keeps the
// mutex over
//    it without clearing it. It is the pid of the process that died if that is known, else -1.
// 3. `owner` is the thread that holds the lock. It is set after the mutex was taken and cleared
// before
//    it is released, so a process can tell whether one of its threads is inside.
struct LockState {
  Header header;
  std::atomic<std::uint64_t> owner;  // a ThreadId
  std::atomic<std::int32_t> died;
  os::RobustMutex mutex;
};

class SharedLock final : public detail::LockCore {
 public:
  explicit SharedLock(Object<LockState> object) noexcept : object_(std::move(object)) {}

  ~SharedLock() override {
    if (owner().process() != ThreadId::mine().process()) return;
    // glibc and the kernel keep pointers to a robust mutex that is held: it must stay where it is.
    detail::log(LogLevel::warning, "Lock: the last handle of ", name(), " goes while it is held");
    object_.keep_mapped();
  }

  void hand_over(detail::Encoder& to) const override { shm::hand_over(to, object_.fd(), "a Lock"); }

  bool lock(Deadline deadline, const char* call) override {
    const Acquired got = acquire(deadline, call);
    if (got == Acquired::no) return false;
    if (got == Acquired::owner_died) note_death();
    const std::int32_t died = object_->died.load(std::memory_order_relaxed);
    if (died == 0) [[likely]] {
      enter();
      return true;
    }
    object_->mutex.unlock();
    const std::string who = died > 0 ? "process " + std::to_string(died) : "its holder";
    throw OwnerDied(detail::concat(call, " on ", name(), ": ", who,
                                   " ended while holding it; recover() takes it over"));
  }

  void unlock(const char* call) override {
    if (owner() != ThreadId::mine()) {
      os::throw_error(EPERM,
                      detail::concat(call, " on ", name(), ", which the caller does not hold"));
    }
    object_->owner.store(0, std::memory_order_relaxed);
    object_->mutex.unlock();
  }

  bool recover(const char* call) override {
    for (Deadline wait = Deadline::now();; wait = Deadline::after(os::kSlice)) {
      const Acquired got = acquire(wait, call);
      const bool died = object_->died.load(std::memory_order_relaxed) != 0;
      if (got == Acquired::no) {
        if (!died) return false;
        continue;  // somebody is just being told, or recovers
      }
      if (got == Acquired::yes && !died) {
        object_->mutex.unlock();
        return false;
      }
      object_->died.store(0, std::memory_order_relaxed);
      enter();
      return true;
    }
  }

  const std::string& name() const noexcept override { return object_.name(); }

 private:
  Acquired acquire(Deadline deadline, const char* call) {
    try {
      return object_->mutex.lock(deadline);
    } catch (const SystemError& refused) {
      os::throw_error(refused.code().value(), detail::concat(call, " on ", name()));
    }
  }
  [[nodiscard]] ThreadId owner() const noexcept {
    return ThreadId(object_->owner.load(std::memory_order_relaxed));
  }
  void enter() noexcept { object_->owner.store(ThreadId::mine().raw(), std::memory_order_relaxed); }
  void note_death() noexcept {
    const pid_t process = owner().process();  // 0 if it died on its way in or out
    object_->owner.store(0, std::memory_order_relaxed);
    object_->died.store(process > 0 ? process : -1, std::memory_order_relaxed);
  }

  Object<LockState> object_;
};

}  // namespace
}  // namespace sync

namespace detail {

std::shared_ptr<LockCore> LockCore::create() {
  auto object = sync::Object<sync::LockState>::create(sync::Kind::lock, "lock");
  object->mutex.init(true);
  return std::make_shared<sync::SharedLock>(std::move(object));
}

std::shared_ptr<LockCore> LockCore::adopt(Decoder& from) {
  return std::make_shared<sync::SharedLock>(
      sync::Object<sync::LockState>::adopt(shm::take_over(from), sync::Kind::lock, "lock"));
}

}  // namespace detail

Lock::Lock() : core_(detail::LockCore::create()) {}
Lock::Lock(std::shared_ptr<detail::LockCore> core) noexcept : core_(std::move(core)) {}

void Lock::lock() { (void)core_->lock(detail::Deadline::never(), "Lock::lock"); }
bool Lock::try_lock() { return core_->lock(detail::Deadline::now(), "Lock::try_lock"); }
void Lock::unlock() { core_->unlock("Lock::unlock"); }
bool Lock::recover() { return core_->recover("Lock::recover"); }

void Lock::save(detail::Encoder& to) const { core_->hand_over(to); }
Lock Lock::detail_decode(detail::Decoder& from) { return Lock(detail::LockCore::adopt(from)); }

}  // namespace tandem
