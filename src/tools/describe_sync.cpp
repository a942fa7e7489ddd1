#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/text.hpp"
#include "os/thread_id.hpp"
#include "sync/barrier_state.hpp"
#include "sync/condition_state.hpp"
#include "sync/event_state.hpp"
#include "sync/header.hpp"
#include "sync/lock_state.hpp"
#include "sync/semaphore_state.hpp"
#include "tools/describe.hpp"
#include "tools/image.hpp"

namespace tandem::tools {
namespace {

constexpr std::memory_order kRelaxed = std::memory_order_relaxed;

sync::Kind kind_in_header(Kind kind) noexcept {
  switch (kind) {
    case Kind::lock:
      return sync::Kind::lock;
    case Kind::rlock:
      return sync::Kind::recursive_lock;
    case Kind::semaphore:
      return sync::Kind::semaphore;
    case Kind::bounded_semaphore:
      return sync::Kind::bounded_semaphore;
    case Kind::condition:
      return sync::Kind::condition;
    case Kind::event:
      return sync::Kind::event;
    default:
      return sync::Kind::barrier;
  }
}

/// \returns null, and says why, when the bytes are not that of such an object
template <class State>
bool is_good(const Image<State>& state, Description& description) {
  const sync::Header& header = state->header;
  if (!state.whole()) {
    description.problem = "it is too small";
  } else if (header.magic != sync::Header::kMagic ||
             header.kind != kind_in_header(description.kind)) {
    description.problem = "it holds something else";
  } else if (header.version != sync::Header::kVersion) {
    description.problem = "it was made by another version of tandem";
  }
  return description.problem.empty();
}

void describe_lock(std::span<const std::byte> head, Description& description) {
  const Image<sync::LockState> state(head);
  if (!is_good(state, description)) return;
  LockWord word = lock_word("lock", offsetof(sync::LockState, mutex), state->mutex);
  // Set after the mutex was taken, cleared before it is released; still there after a death.
  const os::ThreadId owner(state->owner.load(kRelaxed));
  const std::int32_t died = state->died.load(kRelaxed);
  if (word.died || owner.thread() == word.thread) word.process = owner.process();
  if (died != 0 && word.thread == 0) {  // told to somebody, and nobody has recovered it
    word.died = true;
    word.process = std::max(died, 0);
  }
  if (description.kind == Kind::rlock) {
    const bool held = word.thread != 0 && word.process != 0;
    description.fields.push_back({"depth", held ? std::uint64_t{state->again} + 1 : 0});
  }
  description.locks.push_back(std::move(word));
}

void describe_semaphore(std::span<const std::byte> head, Description& description) {
  const Image<sync::SemaphoreState> state(head);
  if (!is_good(state, description)) return;
  const std::uint64_t permits = sync::permits_of(state->word.load(kRelaxed));
  description.fields.push_back({"permits", permits});
  if (description.kind == Kind::bounded_semaphore) {
    description.fields.push_back({"limit", std::uint64_t{state->limit}});
  }
  description.words.push_back({offsetof(sync::SemaphoreState, word), "a permit"});
}

void describe_condition(std::span<const std::byte> head, Description& description) {
  const Image<sync::ConditionState> state(head);
  if (!is_good(state, description)) return;
  const sync::ConditionView seen(state->state.load(kRelaxed));
  description.fields.push_back({"waiters", std::uint64_t{seen.waiters()}});
  description.fields.push_back({"notifications_not_taken", std::uint64_t{seen.tokens()}});
  description.words.push_back({offsetof(sync::ConditionState, bell), "a notification"});
}

void describe_event(std::span<const std::byte> head, Description& description) {
  const Image<sync::EventState> state(head);
  if (!is_good(state, description)) return;
  const std::uint32_t word = state->word.load(kRelaxed);
  description.fields.push_back({"set", (word & sync::EventState::kSet) != 0});
  description.words.push_back({offsetof(sync::EventState, word), "the event to be set"});
}

void describe_barrier(std::span<const std::byte> head, Description& description) {
  const Image<sync::BarrierState> state(head);
  if (!is_good(state, description)) return;
  const sync::BarrierView seen(state->state.load(kRelaxed));
  const std::uint64_t parties = state->parties;
  if (parties == 0 || parties > sync::kMostParties) {
    description.problem = "it is damaged";
    return;
  }
  description.fields.push_back({"parties", parties});
  description.fields.push_back({"arrived", std::uint64_t{seen.arrived()}});
  description.fields.push_back({"round", std::uint64_t{seen.round()}});
  description.fields.push_back({"broken", seen.is_broken()});
  description.words.push_back({offsetof(sync::BarrierState, bell), "the other parties"});
  description.locks.push_back(lock_word("door", offsetof(sync::BarrierState, door), state->door));
  // A party keeps its seat while it waits.
  for (std::uint64_t number = 0; number < 2 * parties; ++number) {
    const std::size_t offset = sizeof(sync::BarrierState) + number * sizeof(sync::Seat);
    const Image<sync::Seat> seat(head, offset);
    if (!seat.whole()) break;
    LockWord word =
        lock_word(detail::concat("seat ", std::to_string(number % parties)), offset, seat->mutex);
    if (!word.free()) description.locks.push_back(std::move(word));
  }
}

}  // namespace

void describe_sync(std::span<const std::byte> head, Description& description) {
  switch (description.kind) {
    case Kind::lock:
    case Kind::rlock:
      return describe_lock(head, description);
    case Kind::semaphore:
    case Kind::bounded_semaphore:
      return describe_semaphore(head, description);
    case Kind::condition:
      return describe_condition(head, description);
    case Kind::event:
      return describe_event(head, description);
    default:
      return describe_barrier(head, description);
  }
}

}  // namespace tandem::tools
