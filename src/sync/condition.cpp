#include "tandem/condition.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <utility>

#include "base/text.hpp"
#include "os/check.hpp"
#include "os/futex.hpp"
#include "os/spin.hpp"
#include "shm/hand_over.hpp"
#include "sync/condition_state.hpp"
#include "sync/object.hpp"

namespace tandem {
namespace sync {
namespace {

using detail::Deadline;
using detail::LockCore;

// Invariants of ConditionState
// 1. `state` is {times notified : 32, waiters : 16, tokens : 16}, and tokens <= waiters. A token is
//    a notification that nobody has taken yet. Every change is one step.
// 2. A waiter counts itself with the lock held, so that who notifies after having held the lock
//    finds it. It takes a token only if there was a notification since: what came before is for
//    those who waited before.
// 3. Waiters that have not been notified since they began <= waiters - tokens. So when tokens ==
//    waiters everybody who waits may take one, and a notification need not add another.
// 4. A token is taken, and a waiter leaves, with the lock held again. A waiter that dies before
//    leaves its token to the others, who sleep in slices and look; one that dies after has died
//    with the lock, which the others see too.
// 5. A waiter that died is counted until a token is spent on it: that token wakes somebody once
//    for nothing. It never takes one from the living.
using View = ConditionView;

class SharedCondition final : public detail::ConditionCore {
 public:
  explicit SharedCondition(Object<ConditionState> object) noexcept : object_(std::move(object)) {}

  void hand_over(detail::Encoder& to) const override {
    shm::hand_over(to, object_.fd(), "a Condition");
  }

  bool wait(LockCore& lock, Deadline deadline, const char* call) override {
    const std::uint32_t began = begin(call);
    try {
      for (;;) {
        const std::uint32_t times = lock.unlock_wholly(call);
        sleep(lock, began, deadline);
        const bool give_up = deadline.passed();
        lock.lock_again(times, call);
        switch (finish(began, give_up)) {
          case Finish::notified:
            return true;
          case Finish::gave_up:
            return false;
          case Finish::not_yet:  // another waiter was faster
            break;
        }
      }
    } catch (...) {
      (void)change([](View seen) { return seen.one_less(); });
      throw;
    }
  }

  void notify_one() noexcept override { notify(1); }
  void notify_all() noexcept override { notify(UINT32_MAX); }

  const std::string& name() const noexcept override { return object_.name(); }

 private:
  enum class Finish { notified, gave_up, not_yet };

  [[nodiscard]] View look() const noexcept {
    return View(object_->state.load(std::memory_order_acquire));  // pairs with change
  }
  /// \returns what it was before
  template <class Next>
  View change(Next next) noexcept {
    std::uint64_t seen = object_->state.load(std::memory_order_relaxed);
    while (!object_->state.compare_exchange_weak(
        seen, next(View(seen)).raw(), std::memory_order_acq_rel, std::memory_order_relaxed)) {
    }
    return View(seen);
  }

  [[nodiscard]] static bool may_take(View seen, std::uint32_t began) noexcept {
    return seen.tokens() != 0 && seen.notified() != began;
  }

  std::uint32_t begin(const char* call) {
    const View before = change([](View seen) { return seen.full() ? seen : seen.one_more(); });
    if (before.full()) {
      os::throw_error(EAGAIN, detail::concat(call, " on ", name(), ": too many wait"));
    }
    return before.notified();
  }

  Finish finish(std::uint32_t began, bool give_up) noexcept {
    Finish result = Finish::not_yet;
    (void)change([&](View seen) {
      if (may_take(seen, began)) {
        result = Finish::notified;
        return seen.token_taken();
      }
      result = give_up ? Finish::gave_up : Finish::not_yet;
      return give_up ? seen.one_less() : seen;
    });
    return result;
  }

  void notify(std::uint32_t most) noexcept {
    std::uint32_t added = 0;
    if (look().waiters() == 0) return;
    (void)change([&](View seen) {
      added = std::min(most, seen.waiters() - seen.tokens());
      return added == 0 ? seen : seen.notified_more(added);
    });
    if (added == 0) return;
    object_->bell.fetch_add(1, std::memory_order_release);  // pairs with sleep
    os::futex_wake(object_->bell, most == 1 ? 1 : INT_MAX);
  }

  /// Until there may be a token, the deadline has passed, or the lock's holder has died.
  void sleep(const LockCore& lock, std::uint32_t began, Deadline deadline) noexcept {
    const auto woken = [&] { return may_take(look(), began); };
    std::atomic<std::uint32_t>& average = object_->average_wait_ns;
    os::SpinBudget budget(average.load(std::memory_order_relaxed));
    const long long start = os::SpinBudget::now_ns();
    if (!budget.spin(woken, deadline)) {
      for (;;) {
        const std::uint32_t rung = object_->bell.load(std::memory_order_acquire);
        if (woken() || deadline.passed() || lock.owner_died()) break;
        os::futex_wait_slice(object_->bell, rung, deadline);
      }
      budget.slept(os::SpinBudget::now_ns() - start);
    }
    average.store(budget.average_ns(), std::memory_order_relaxed);
  }

  Object<ConditionState> object_;
};

}  // namespace
}  // namespace sync

namespace detail {

std::shared_ptr<ConditionCore> ConditionCore::create() {
  return std::make_shared<sync::SharedCondition>(
      sync::Object<sync::ConditionState>::create(sync::Kind::condition, "condition"));
}

std::shared_ptr<ConditionCore> ConditionCore::adopt(Decoder& from) {
  return std::make_shared<sync::SharedCondition>(sync::Object<sync::ConditionState>::adopt(
      shm::take_over(from), sync::Kind::condition, "condition"));
}

void ConditionCore::throw_not_held(const char* call) const {
  os::throw_error(EPERM, concat(call, " on ", name(), ": the lock is not held"));
}

}  // namespace detail

Condition::Condition() : core_(detail::ConditionCore::create()) {}
Condition::Condition(std::shared_ptr<detail::ConditionCore> core) noexcept
    : core_(std::move(core)) {}

void Condition::save(detail::Encoder& to) const { core_->hand_over(to); }
Condition Condition::detail_decode(detail::Decoder& from) {
  return Condition(detail::ConditionCore::adopt(from));
}

}  // namespace tandem
