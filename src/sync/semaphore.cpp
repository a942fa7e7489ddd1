#include "tandem/semaphore.hpp"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "os/check.hpp"
#include "os/futex.hpp"
#include "os/spin.hpp"
#include "shm/hand_over.hpp"
#include "sync/object.hpp"
#include "sync/semaphore_state.hpp"

namespace tandem {
namespace sync {
namespace {

using detail::Deadline;

// Invariants of SemaphoreState
// 1. `word` is {permits : 31, somebody may sleep : 1}. It is all there is, and changes in one step:
//    a death leaves nothing to repair.
// 2. Nobody goes to sleep but on a word without permits and with "may sleep".
// 3. `release` takes "may sleep" off and wakes as many as it added permits. Whoever wakes up puts
//    it back, with its permit or before it leaves without one, since others may sleep on; and if
//    permits are left over wakes the next, since a release that came in between woke nobody.
// 4. Who is killed between being woken and 3 leaves sleepers that nobody would wake: they sleep in
//    slices and look again.
constexpr Kind kind_of(bool bounded) { return bounded ? Kind::bounded_semaphore : Kind::semaphore; }
constexpr const char* word_for(bool bounded) { return bounded ? "bounded-semaphore" : "semaphore"; }

class SharedSemaphore final : public detail::SemaphoreCore {
 public:
  explicit SharedSemaphore(Object<SemaphoreState> object) noexcept : object_(std::move(object)) {}

  void hand_over(detail::Encoder& to) const override {
    shm::hand_over(to, object_.fd(), "a semaphore");
  }

  bool acquire(Deadline deadline) override {
    const auto take = [&] { return try_take(0); };
    if (take()) return true;
    if (deadline.is_now()) return false;

    std::atomic<std::uint32_t>& average = object_->average_wait_ns;
    os::SpinBudget budget(average.load(std::memory_order_relaxed));
    const long long start = os::SpinBudget::now_ns();
    bool taken = budget.spin(take, deadline);
    if (!taken) {
      taken = sleep_and_take(deadline);
      budget.slept(os::SpinBudget::now_ns() - start);
    }
    average.store(budget.average_ns(), std::memory_order_relaxed);
    return taken;
  }

  void release(std::size_t permits, const char* call) override {
    if (permits == 0) return;
    os::FutexWord& word = object_->word;
    std::uint32_t seen = word.load(std::memory_order_relaxed);
    std::uint32_t next = 0;
    do {
      if (permits > object_->limit - permits_of(seen)) {
        os::throw_error(
            EOVERFLOW, detail::concat(call, " on ", name(), ": ", std::to_string(permits),
                                      " more than ", std::to_string(permits_of(seen)), ", at most ",
                                      std::to_string(object_->limit)));
      }
      next = (seen & ~kMaySleep) + static_cast<std::uint32_t>(permits) * kPermit;
    } while (!word.compare_exchange_weak(seen, next, std::memory_order_release,
                                         std::memory_order_relaxed));
    if ((seen & kMaySleep) != 0) os::futex_wake(word, static_cast<int>(permits));
  }

  std::size_t value() const noexcept override {
    return permits_of(object_->word.load(std::memory_order_relaxed));
  }
  const std::string& name() const noexcept override { return object_.name(); }

 private:
  /// \param mark kMaySleep to put it on the word with the permit
  bool try_take(std::uint32_t mark) noexcept {
    os::FutexWord& word = object_->word;
    std::uint32_t seen = word.load(std::memory_order_relaxed);
    while (permits_of(seen) != 0) {
      // acquire pairs with release
      if (word.compare_exchange_weak(seen, (seen - kPermit) | mark, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
        if (mark != 0 && permits_of(seen) > 1) os::futex_wake(word, 1);
        return true;
      }
    }
    return false;
  }

  bool sleep_and_take(Deadline deadline) noexcept {
    os::FutexWord& word = object_->word;
    for (;;) {
      if (try_take(kMaySleep)) return true;
      std::uint32_t seen = word.load(std::memory_order_relaxed);
      if (permits_of(seen) != 0) continue;
      if ((seen & kMaySleep) == 0 &&
          !word.compare_exchange_strong(seen, seen | kMaySleep, std::memory_order_relaxed)) {
        continue;
      }
      // Only now: who leaves has put the mark back.
      if (deadline.passed()) return false;
      os::futex_wait_slice(word, kMaySleep, deadline);
    }
  }

  Object<SemaphoreState> object_;
};

}  // namespace
}  // namespace sync

namespace detail {

std::shared_ptr<SemaphoreCore> SemaphoreCore::create(std::size_t permits, bool bounded) {
  if (permits > sync::kMostPermits) {
    os::throw_error(EINVAL, concat("make a semaphore of ", std::to_string(permits), " permits"));
  }
  auto object =
      sync::Object<sync::SemaphoreState>::create(sync::kind_of(bounded), sync::word_for(bounded));
  const auto count = static_cast<std::uint32_t>(permits);
  object->limit = bounded ? count : sync::kMostPermits;
  object->word.store(count * sync::kPermit, std::memory_order_relaxed);
  return std::make_shared<sync::SharedSemaphore>(std::move(object));
}

std::shared_ptr<SemaphoreCore> SemaphoreCore::adopt(Decoder& from, bool bounded) {
  return std::make_shared<sync::SharedSemaphore>(sync::Object<sync::SemaphoreState>::adopt(
      shm::take_over(from), sync::kind_of(bounded), sync::word_for(bounded)));
}

}  // namespace detail

Semaphore::Semaphore(std::size_t permits) : core_(detail::SemaphoreCore::create(permits, false)) {}
Semaphore::Semaphore(std::shared_ptr<detail::SemaphoreCore> core) noexcept
    : core_(std::move(core)) {}
void Semaphore::save(detail::Encoder& to) const { core_->hand_over(to); }
Semaphore Semaphore::detail_decode(detail::Decoder& from) {
  return Semaphore(detail::SemaphoreCore::adopt(from, false));
}

BoundedSemaphore::BoundedSemaphore(std::size_t permits)
    : Semaphore(detail::SemaphoreCore::create(permits, true)) {}
BoundedSemaphore::BoundedSemaphore(std::shared_ptr<detail::SemaphoreCore> core) noexcept
    : Semaphore(std::move(core)) {}
BoundedSemaphore BoundedSemaphore::detail_decode(detail::Decoder& from) {
  return BoundedSemaphore(detail::SemaphoreCore::adopt(from, true));
}

}  // namespace tandem
