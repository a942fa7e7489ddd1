#include "tandem/lock.hpp"

#include <atomic>
#include <cerrno>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "os/check.hpp"
#include "os/futex.hpp"
#include "os/robust_mutex.hpp"
#include "os/thread_id.hpp"
#include "shm/hand_over.hpp"
#include "sync/lock_state.hpp"
#include "sync/object.hpp"
#include "tandem/detail/log.hpp"
#include "tandem/error.hpp"
#include "tandem/rlock.hpp"

namespace tandem {
namespace sync {
namespace {

using detail::Deadline;
using os::Acquired;
using os::ThreadId;

// Invariants of LockState
// 1. `died` and `owner` are written by the mutex's holder only; anybody may read them.
// 2. `died` is not 0 from when a death was noticed until somebody recovers, and nobody keeps the
//    mutex over it without clearing it. It is the pid of the process that died if that is known,
//    else -1.
// 3. `owner` is the thread that holds the lock. It is set after the mutex was taken and cleared
//    before it is released, so a process can tell whether one of its threads is inside.

constexpr Kind kind_of(bool recursive) { return recursive ? Kind::recursive_lock : Kind::lock; }
constexpr const char* word_for(bool recursive) { return recursive ? "rlock" : "lock"; }

class SharedLock final : public detail::LockCore {
 public:
  SharedLock(Object<LockState> object, bool recursive) noexcept
      : object_(std::move(object)), recursive_(recursive) {}

  ~SharedLock() override {
    // Asked of the mutex, whatever the other words may say.
    if (!os::is_own_thread(object_->mutex.holder())) return;
    // glibc and the kernel keep pointers to a robust mutex that is held: it must stay where it is.
    detail::log(LogLevel::warning, "Lock: the last handle of ", name(), " goes while it is held");
    object_.keep_mapped();
  }

  void hand_over(detail::Encoder& to) const override {
    shm::hand_over(to, object_.fd(), recursive_ ? "an RLock" : "a Lock");
  }

  bool lock(Deadline deadline, const char* call) override {
    Acquired got = Acquired::no;
    if (recursive_ && owner() == ThreadId::mine()) {
      // Not proven yet: it may be that of a dead thread whose number is the caller's now.
      const std::optional<Acquired> tried = object_->mutex.try_lock_unless_mine();
      if (!tried) {
        if (object_->again == std::numeric_limits<std::uint32_t>::max()) fail(EAGAIN, call);
        ++object_->again;
        return true;
      }
      got = *tried;
    }
    if (got == Acquired::no) got = acquire(deadline, call);
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
    if (owner() != ThreadId::mine()) fail(EPERM, call);
    if (object_->again > 0) {
      --object_->again;
      return;
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

  std::uint32_t unlock_wholly(const char* call) override {
    if (owner() != ThreadId::mine()) fail(EPERM, call);
    const std::uint32_t times = object_->again + 1;
    object_->again = 0;
    unlock(call);
    return times;
  }

  void lock_again(std::uint32_t times, const char* call) override {
    (void)lock(Deadline::never(), call);
    object_->again = times - 1;
  }

  bool owner_died() const noexcept override {
    return object_->died.load(std::memory_order_relaxed) != 0 || object_->mutex.holder_died();
  }

 private:
  Acquired acquire(Deadline deadline, const char* call) {
    try {
      return object_->mutex.lock(deadline);
    } catch (const SystemError& refused) {
      fail(refused.code().value(), call);
    }
  }
  [[noreturn]] void fail(int error, const char* call) const {
    os::throw_error(error, detail::concat(call, " on ", name()));
  }
  [[nodiscard]] ThreadId owner() const noexcept {
    return ThreadId(object_->owner.load(std::memory_order_relaxed));
  }
  void enter() noexcept {
    object_->owner.store(ThreadId::mine().raw(), std::memory_order_relaxed);
    object_->again = 0;  // what a dead holder left
  }
  void note_death() noexcept {
    const pid_t process = owner().process();  // 0 if it died on its way in or out
    object_->owner.store(0, std::memory_order_relaxed);
    object_->died.store(process > 0 ? process : -1, std::memory_order_relaxed);
  }

  Object<LockState> object_;
  const bool recursive_;
};

}  // namespace
}  // namespace sync

namespace detail {

std::shared_ptr<LockCore> LockCore::create(bool recursive) {
  auto object =
      sync::Object<sync::LockState>::create(sync::kind_of(recursive), sync::word_for(recursive));
  object->mutex.init(true);
  return std::make_shared<sync::SharedLock>(std::move(object), recursive);
}

std::shared_ptr<LockCore> LockCore::adopt(Decoder& from, bool recursive) {
  return std::make_shared<sync::SharedLock>(
      sync::Object<sync::LockState>::adopt(shm::take_over(from), sync::kind_of(recursive),
                                           sync::word_for(recursive)),
      recursive);
}

}  // namespace detail

Lock::Lock() : core_(detail::LockCore::create(false)) {}
Lock::Lock(std::shared_ptr<detail::LockCore> core) noexcept : core_(std::move(core)) {}

void Lock::lock() { (void)core_->lock(detail::Deadline::never(), "Lock::lock"); }
bool Lock::try_lock() { return core_->lock(detail::Deadline::now(), "Lock::try_lock"); }
void Lock::unlock() { core_->unlock("Lock::unlock"); }
bool Lock::recover() { return core_->recover("Lock::recover"); }

void Lock::save(detail::Encoder& to) const { core_->hand_over(to); }
Lock Lock::detail_decode(detail::Decoder& from) {
  return Lock(detail::LockCore::adopt(from, false));
}

RLock::RLock() : core_(detail::LockCore::create(true)) {}
RLock::RLock(std::shared_ptr<detail::LockCore> core) noexcept : core_(std::move(core)) {}

void RLock::lock() { (void)core_->lock(detail::Deadline::never(), "RLock::lock"); }
bool RLock::try_lock() { return core_->lock(detail::Deadline::now(), "RLock::try_lock"); }
void RLock::unlock() { core_->unlock("RLock::unlock"); }
bool RLock::recover() { return core_->recover("RLock::recover"); }

void RLock::save(detail::Encoder& to) const { core_->hand_over(to); }
RLock RLock::detail_decode(detail::Decoder& from) {
  return RLock(detail::LockCore::adopt(from, true));
}

}  // namespace tandem
