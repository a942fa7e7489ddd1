#include "tandem/barrier.hpp"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "os/check.hpp"
#include "os/futex.hpp"
#include "os/robust_mutex.hpp"
#include "os/spin.hpp"
#include "shm/hand_over.hpp"
#include "sync/barrier_state.hpp"
#include "sync/object.hpp"
#include "tandem/detail/call.hpp"
#include "tandem/error.hpp"

namespace tandem {
namespace sync {
namespace {

using detail::Deadline;
using os::Acquired;

// Invariants of BarrierState
// 1. `state` is {round : 32, arrived : 24, complete : 1, why it is broken : 7}. It changes in one
//    step, so a death leaves nothing to repair.
// 2. To arrive as number i of round r is to take `door`, then the mutex of seat i in bank r % 2,
//    then to count oneself in `state`, then to leave the door. A seat's mutex is kept until its
//    party leaves `wait`. So whoever died in here left the door or a seat to a dead owner, which the
//    others see at the end of every slice of their sleep.
// 3. The last to arrive marks the round complete, runs the action, and releases all by making it
//    round r + 1. A reset makes it r + 4, in the same bank. Only these two change the round.
// 4. A party of round r that has not left yet holds a seat of bank r % 2, so no later round of that
//    bank can become complete before it has. So it sees at most two releases since, the first of
//    them its own, and (round - r) % 4 is their number: 0 says that r was broken.
// 5. A seat may still be held by a slow party of an earlier round. It needs nothing but time to
//    leave, so its heir can wait for it with the door held.
using View = BarrierView;

/// The encoded call and the descriptors of the handles among its arguments; not changed once made.
struct Action {
  std::vector<std::byte> bytes;
  std::vector<detail::Fd> descriptors;

  [[nodiscard]] std::vector<detail::Fd> copies() const {
    std::vector<detail::Fd> result;
    for (const detail::Fd& fd : descriptors) result.push_back(fd.duplicate());
    return result;
  }
};

const char* text_for(Broken why) {
  switch (why) {
    case Broken::aborted:
      return "it was aborted";
    case Broken::timed_out:
      return "not all came in time";
    case Broken::party_died:
      return "a party was killed within wait";
    case Broken::action_failed:
      return "its action failed";
    case Broken::no:
      break;
  }
  return "it was reset";
}

class SharedBarrier final : public detail::BarrierCore {
 public:
  SharedBarrier(Object<BarrierState> object, Action action) noexcept
      : object_(std::move(object)),
        action_(std::move(action)),
        shared_(*object_),
        seats_(std::launder(reinterpret_cast<Seat*>(&*object_ + 1))) {}

  void hand_over(detail::Encoder& to) const override {
    shm::hand_over(to, object_.fd(), "a Barrier");
    to.write_size(action_.bytes.size());
    to.write(action_.bytes.data(), action_.bytes.size());
    to.write_size(action_.descriptors.size());
    for (detail::Fd& fd : action_.copies()) to.write_raw(to.attach(std::move(fd)));
  }

  Deadline own_deadline() const override {
    return shared_.timeout_ns < 0 ? Deadline::never()
                                  : Deadline::after(duration(shared_.timeout_ns));
  }

  std::size_t wait(Deadline deadline, const char* call) override {
    const Arrived mine = arrive(deadline, call);
    if (mine.index + 1 == shared_.parties) {
      complete(mine, call);
    } else {
      sit(mine, deadline, call);
    }
    return mine.index;
  }

  void abort() noexcept override {
    break_if(Broken::aborted, [](View) { return true; });
  }

  void reset() override {
    const Hold door(shared_.door, Deadline::never());  // takes it over from a dead one
    change([](View seen) { return seen.reset(); });
    ring();
  }

  bool broken() const noexcept override { return look().is_broken(); }
  std::size_t parties() const noexcept override { return shared_.parties; }
  std::size_t waiting() const noexcept override {
    const View seen = look();
    return seen.is_broken() ? 0 : seen.arrived();
  }
  const std::string& name() const noexcept override { return object_.name(); }

 private:
  class Hold {
   public:
    Hold(os::RobustMutex& mutex, Deadline deadline) : mutex_(&mutex), got_(mutex.lock(deadline)) {}
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    Hold(Hold&& other) noexcept
        : mutex_(other.mutex_), got_(std::exchange(other.got_, Acquired::no)) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold() {
      if (got_ != Acquired::no) mutex_->unlock();
    }
    [[nodiscard]] Acquired got() const noexcept { return got_; }

   private:
    os::RobustMutex* mutex_;
    Acquired got_;
  };

  struct Arrived {
    std::uint32_t round;
    std::uint32_t index;
    Hold seat;
  };

  [[nodiscard]] static bool ended(const Arrived& mine, View seen) noexcept {
    return seen.round() != mine.round || seen.is_broken();
  }
  /// Of a round that was broken; what broke it is forgotten once it was reset.
  [[nodiscard]] static Broken why(const Arrived& mine, View seen) noexcept {
    return seen.round() == mine.round ? seen.broken() : Broken::no;
  }

  [[nodiscard]] View look() const noexcept {
    return View(shared_.state.load(std::memory_order_acquire));  // pairs with step
  }
  [[nodiscard]] bool step(View from, View to) noexcept {
    std::uint64_t expected = from.raw();
    return shared_.state.compare_exchange_strong(expected, to.raw(), std::memory_order_acq_rel,
                                                 std::memory_order_relaxed);
  }
  template <class Next>
  void change(Next next) noexcept {
    for (View seen = look(); !step(seen, next(seen)); seen = look()) {
    }
  }
  void ring() noexcept {
    shared_.bell.fetch_add(1, std::memory_order_release);
    os::futex_wake_all(shared_.bell);
  }
  /// Breaks it unless it is broken, if `still(state)`.
  template <class Still>
  void break_if(Broken why, Still still) noexcept {
    for (View seen = look(); !seen.is_broken() && still(seen); seen = look()) {
      if (step(seen, seen.broken_by(why))) {
        ring();
        return;
      }
    }
  }

  [[nodiscard]] Seat& seat(std::uint32_t round, std::uint32_t index) const noexcept {
    return seats_[(round % 2) * std::size_t{shared_.parties} + index];
  }
  [[nodiscard]] bool somebody_died(View seen) const noexcept {
    if (shared_.door.holder_died()) return true;
    for (std::uint32_t i = 0; i < seen.arrived(); ++i) {
      if (seat(seen.round(), i).mutex.holder_died()) return true;
    }
    return false;
  }
  /// Sleeps a slice while the bell is as it was. Breaks the barrier when a party is found dead.
  void sleep(std::uint32_t rung, View seen, Deadline deadline) noexcept {
    if (somebody_died(seen)) {
      break_if(Broken::party_died, [&](View now) { return now == seen; });
    } else {
      os::futex_wait_slice(shared_.bell, rung, deadline);
    }
  }

  [[noreturn]] void throw_broken(const char* call, Broken why) const {
    throw BrokenBarrier(detail::concat(call, " on ", name(), ": ", text_for(why)));
  }

  Arrived arrive(Deadline deadline, const char* call) {
    // Door and seat are held for moments, which are not what a short timeout is about.
    const Deadline soon = Deadline::after(os::kSlice);
    const Deadline patience = deadline.ns() < soon.ns() ? soon : deadline;
    for (;;) {
      const std::uint32_t rung = shared_.bell.load(std::memory_order_acquire);
      View seen = look();
      if (seen.is_broken()) throw_broken(call, seen.broken());
      if (seen.complete()) {  // more threads than parties: the next round has not begun
        sleep(rung, seen, Deadline::never());
        continue;
      }
      const Hold door(shared_.door, patience);
      seen = look();
      if (door.got() == Acquired::no) {
        time_out(seen.round());
        continue;
      }
      if (door.got() == Acquired::owner_died) {
        break_if(Broken::party_died, [&](View now) { return now == seen; });
        continue;
      }
      if (seen.is_broken() || seen.complete()) continue;
      std::optional<Hold> mine = take_seat(seen, patience);
      if (!mine) {
        time_out(seen.round());
      } else if (mine->got() != Acquired::no && step(seen, seen.one_more(shared_.parties))) {
        return {seen.round(), seen.arrived(), *std::move(mine)};
      }
    }
  }

  /// \returns nothing when it was not free in time; one not taken when the state has changed
  std::optional<Hold> take_seat(View seen, Deadline patience) {
    for (;;) {
      Hold hold(seat(seen.round(), seen.arrived()).mutex,
                patience.earlier(Deadline::after(os::kSlice)));
      if (hold.got() != Acquired::no || look() != seen) return hold;
      if (patience.passed()) return std::nullopt;
    }
  }

  void time_out(std::uint32_t round) noexcept {
    break_if(Broken::timed_out, [&](View now) { return now.round() == round && !now.complete(); });
  }

  void complete(const Arrived& mine, const char* call) {
    // Those who wait look only at the end of a slice.
    const View all = look();
    if (all.round() == mine.round && somebody_died(all)) {
      break_if(Broken::party_died, [&](View now) { return now == all; });
    }
    if (ended(mine, look())) throw_broken(call, why(mine, look()));
    if (!action_.bytes.empty()) {
      try {
        std::vector<detail::Fd> descriptors = action_.copies();
        detail::Decoder from(action_.bytes, detail::Route::process, &descriptors);
        detail::run_call(from);
      } catch (...) {
        break_if(Broken::action_failed, [&](View now) { return now.round() == mine.round; });
        throw;
      }
    }
    for (View seen = look();; seen = look()) {
      if (ended(mine, seen)) throw_broken(call, why(mine, seen));
      if (step(seen, seen.released())) break;
    }
    ring();
  }

  void sit(const Arrived& mine, Deadline deadline, const char* call) {
    std::atomic<std::uint32_t>& average = shared_.average_wait_ns;
    os::SpinBudget budget(average.load(std::memory_order_relaxed));
    const long long start = os::SpinBudget::now_ns();
    if (!budget.spin([&] { return ended(mine, look()); }, deadline)) {
      for (;;) {
        const std::uint32_t rung = shared_.bell.load(std::memory_order_acquire);
        const View seen = look();
        if (ended(mine, seen)) break;
        if (!seen.complete() && deadline.passed()) {
          time_out(mine.round);
          continue;
        }
        sleep(rung, seen, seen.complete() ? Deadline::never() : deadline);
      }
      budget.slept(os::SpinBudget::now_ns() - start);
    }
    average.store(budget.average_ns(), std::memory_order_relaxed);
    const View seen = look();
    if ((seen.round() - mine.round) % 4 == 0) throw_broken(call, why(mine, seen));
  }

  Object<BarrierState> object_;
  const Action action_;
  BarrierState& shared_;
  Seat* const seats_;
};

}  // namespace
}  // namespace sync

namespace detail {

std::shared_ptr<BarrierCore> BarrierCore::create(std::size_t parties, const Call& action,
                                                 std::optional<duration> timeout) {
  if (parties == 0 || parties > sync::kMostParties) {
    os::throw_error(EINVAL, concat("make a barrier of ", std::to_string(parties), " parties"));
  }
  sync::Action encoded;
  if (action) {
    Buffer buffer;
    Encoder to(buffer, Route::process, &encoded.descriptors);
    action.encode(to);
    encoded.bytes.assign(buffer.data(), buffer.data() + buffer.size());
  }
  auto object = sync::Object<sync::BarrierState>::create(sync::Kind::barrier, "barrier",
                                                         2 * parties * sizeof(sync::Seat));
  sync::BarrierState& state = *object;
  state.parties = static_cast<std::uint32_t>(parties);
  state.timeout_ns = !timeout ? -1 : timeout->count() > 0 ? timeout->count() : 0;
  state.door.init(true);
  auto* const seats = reinterpret_cast<sync::Seat*>(&*object + 1);
  for (std::size_t i = 0; i < 2 * parties; ++i) (new (seats + i) sync::Seat{})->mutex.init(false);
  return std::make_shared<sync::SharedBarrier>(std::move(object), std::move(encoded));
}

std::shared_ptr<BarrierCore> BarrierCore::adopt(Decoder& from) {
  auto object =
      sync::Object<sync::BarrierState>::adopt(shm::take_over(from), sync::Kind::barrier, "barrier");
  const std::size_t parties = object->parties;
  if (parties == 0 || parties > sync::kMostParties ||
      object.more_bytes() < 2 * parties * sizeof(sync::Seat)) {
    throw DecodeError("adopt a barrier: its memory does not hold its parties");
  }
  sync::Action action;
  const auto bytes = from.take(from.read_size(1));
  action.bytes.assign(bytes.begin(), bytes.end());
  const std::size_t descriptors = from.read_size(sizeof(std::uint32_t));
  for (std::size_t i = 0; i < descriptors; ++i) {
    action.descriptors.push_back(from.take_descriptor(from.read_raw<std::uint32_t>()));
  }
  return std::make_shared<sync::SharedBarrier>(std::move(object), std::move(action));
}

}  // namespace detail

Barrier::Barrier(std::size_t parties, const Call& action, std::optional<duration> timeout)
    : core_(detail::BarrierCore::create(parties, action, timeout)) {}
Barrier::Barrier(std::shared_ptr<detail::BarrierCore> core) noexcept : core_(std::move(core)) {}

void Barrier::save(detail::Encoder& to) const { core_->hand_over(to); }
Barrier Barrier::detail_decode(detail::Decoder& from) {
  return Barrier(detail::BarrierCore::adopt(from));
}

}  // namespace tandem
