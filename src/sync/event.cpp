#include "tandem/event.hpp"

#include <atomic>
#include <cstdint>
#include <utility>

#include "os/futex.hpp"
#include "os/spin.hpp"
#include "shm/hand_over.hpp"
#include "sync/event_state.hpp"
#include "sync/object.hpp"

namespace tandem {
namespace sync {
namespace {

using detail::Deadline;

// Invariants of EventState
// 1. `word` is {times set : 30, somebody waits : 1, is set : 1}.
// 2. "waits" is only put on a word that is not set; "is set" takes it off. So whoever sets a word
//    without it has nobody to wake.
// 3. Who waits compares the number of times: a set that was cleared before the waiter looked again
//    has released it all the same.
// 4. A setter may die before its wake-up: waiters sleep in slices and look again.
constexpr std::uint32_t kSet = EventState::kSet;
constexpr std::uint32_t kWaits = EventState::kWaits;
constexpr std::uint32_t kOneTime = EventState::kOneTime;

class SharedEvent final : public detail::EventCore {
 public:
  explicit SharedEvent(Object<EventState> object) noexcept : object_(std::move(object)) {}

  void hand_over(detail::Encoder& to) const override {
    shm::hand_over(to, object_.fd(), "an Event");
  }

  void set() noexcept override {
    os::FutexWord& word = object_->word;
    std::uint32_t seen = word.load(std::memory_order_relaxed);
    std::uint32_t next = 0;
    do {
      // A set one is written as it is, so that the release order holds for this caller's writes
      // too.
      next = (seen & kSet) != 0 ? seen : ((seen & ~kWaits) + kOneTime) | kSet;
    } while (!word.compare_exchange_weak(seen, next, std::memory_order_release,
                                         std::memory_order_relaxed));
    if ((seen & kWaits) != 0) os::futex_wake_all(word);
  }

  void clear() noexcept override { object_->word.fetch_and(~kSet, std::memory_order_acq_rel); }

  bool is_set() const noexcept override {
    return (object_->word.load(std::memory_order_acquire) & kSet) != 0;  // pairs with set
  }

  bool wait(Deadline deadline) override {
    os::FutexWord& word = object_->word;
    const std::uint32_t first = word.load(std::memory_order_acquire);
    std::uint32_t seen = first;
    const auto released = [&] {
      seen = word.load(std::memory_order_acquire);  // pairs with set
      return (seen & kSet) != 0 || (seen ^ first) >= kOneTime;
    };
    if (released()) return true;
    if (deadline.is_now()) return false;

    std::atomic<std::uint32_t>& average = object_->average_wait_ns;
    os::SpinBudget budget(average.load(std::memory_order_relaxed));
    const long long start = os::SpinBudget::now_ns();
    if (!budget.spin(released, deadline)) {
      while (!released()) {
        if (deadline.passed()) return false;
        const std::uint32_t waiting = seen | kWaits;
        if (seen != waiting &&
            !word.compare_exchange_strong(seen, waiting, std::memory_order_relaxed)) {
          continue;
        }
        os::futex_wait_slice(word, waiting, deadline);
      }
      budget.slept(os::SpinBudget::now_ns() - start);
    }
    average.store(budget.average_ns(), std::memory_order_relaxed);
    return true;
  }

  const std::string& name() const noexcept override { return object_.name(); }

 private:
  Object<EventState> object_;
};

}  // namespace
}  // namespace sync

namespace detail {

std::shared_ptr<EventCore> EventCore::create() {
  return std::make_shared<sync::SharedEvent>(
      sync::Object<sync::EventState>::create(sync::Kind::event, "event"));
}

std::shared_ptr<EventCore> EventCore::adopt(Decoder& from) {
  return std::make_shared<sync::SharedEvent>(
      sync::Object<sync::EventState>::adopt(shm::take_over(from), sync::Kind::event, "event"));
}

}  // namespace detail

Event::Event() : core_(detail::EventCore::create()) {}
Event::Event(std::shared_ptr<detail::EventCore> core) noexcept : core_(std::move(core)) {}

void Event::set() { core_->set(); }
void Event::clear() { core_->clear(); }
bool Event::is_set() const { return core_->is_set(); }
void Event::wait() { (void)core_->wait(detail::Deadline::never()); }

void Event::save(detail::Encoder& to) const { core_->hand_over(to); }
Event Event::detail_decode(detail::Decoder& from) { return Event(detail::EventCore::adopt(from)); }

}  // namespace tandem
