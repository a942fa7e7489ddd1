#include "queue/takers.hpp"

#include "os/liveness.hpp"
#include "os/self.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

namespace {

constexpr std::uint64_t kPending = std::uint64_t{1} << 32;

std::uint32_t held_of(std::uint64_t counts) { return static_cast<std::uint32_t>(counts); }
std::uint32_t pending_of(std::uint64_t counts) { return static_cast<std::uint32_t>(counts >> 32); }

bool dead(const TakerSlot& slot) {
  const auto birth = os::birth_of(static_cast<int>(slot.pid.load(std::memory_order_acquire)));
  return !birth || *birth != slot.birth.load(std::memory_order_relaxed);
}

}  // namespace

// Held: get_lock, so that two processes cannot take the same free slot.
TakerSlot& Takers::own_slot() {
  if (TakerSlot* own = own_.load(std::memory_order_relaxed)) return *own;
  const int pid = os::process_id();
  const std::uint32_t birth = os::birth_of(pid).value_or(0);
  TakerSlot* free = nullptr;
  for (TakerSlot& slot : state_->slots) {
    const std::uint32_t owner = slot.pid.load(std::memory_order_relaxed);
    const bool empty = slot.counts.load(std::memory_order_relaxed) == 0;
    if (owner == static_cast<std::uint32_t>(pid) &&
        slot.birth.load(std::memory_order_relaxed) == birth) {
      free = &slot;  // this process's, from a handle it had before
      break;
    }
    if (free == nullptr && empty && (owner == 0 || dead(slot))) free = &slot;
  }
  if (free == nullptr) {
    throw Error("JoinableQueue::get: more than " + std::to_string(JoinState::kSlots) +
                " processes take items from this queue; let fewer do so");
  }
  free->birth.store(birth, std::memory_order_relaxed);
  free->pid.store(static_cast<std::uint32_t>(pid), std::memory_order_release);
  own_.store(free, std::memory_order_relaxed);
  return *free;
}

void Takers::take(shm::Cursor head, std::uint32_t items) {
  TakerSlot& slot = own_slot();
  slot.head.store(head.raw(), std::memory_order_relaxed);
  slot.counts.fetch_add(items * kPending, std::memory_order_release);
}

void Takers::taken(std::uint32_t items) noexcept {
  own_.load(std::memory_order_relaxed)
      ->counts.fetch_add(items - items * kPending, std::memory_order_release);
}

void Takers::settle(shm::Cursor head) noexcept {
  for (TakerSlot& slot : state_->slots) {
    const std::uint64_t counts = slot.counts.load(std::memory_order_acquire);
    const std::uint64_t items = pending_of(counts);
    if (items == 0) continue;
    const bool published = slot.head.load(std::memory_order_relaxed) != head.raw();
    // One step, so that a death in here leaves the slot either as it was or settled.
    slot.counts.fetch_add((published ? items : 0) - items * kPending, std::memory_order_release);
  }
}

void Takers::tell_change() noexcept {
  state_->changed.fetch_add(1, std::memory_order_seq_cst);  // pairs with waiters in wait_for_change
  if (state_->waiters.load(std::memory_order_seq_cst) != 0) os::futex_wake_all(state_->changed);
}

bool Takers::none_held() const noexcept {
  for (const TakerSlot& slot : state_->slots) {
    if (slot.counts.load(std::memory_order_acquire) != 0) return false;
  }
  return state_->lost.load(std::memory_order_relaxed) == 0;
}

std::uint32_t Takers::held() const noexcept {
  const TakerSlot* own = own_.load(std::memory_order_relaxed);
  return own == nullptr ? 0 : held_of(own->counts.load(std::memory_order_relaxed));
}

bool Takers::finish_one() noexcept {
  TakerSlot* own = own_.load(std::memory_order_relaxed);
  if (own == nullptr) return false;
  std::uint64_t counts = own->counts.load(std::memory_order_relaxed);
  do {
    if (held_of(counts) == 0) return false;
  } while (!own->counts.compare_exchange_weak(counts, counts - 1, std::memory_order_release));
  tell_change();
  return true;
}

bool Takers::died_taking() const {
  for (const TakerSlot& slot : state_->slots) {
    if (pending_of(slot.counts.load(std::memory_order_acquire)) != 0 && dead(slot)) return true;
  }
  return false;
}

std::optional<Takers::Loss> Takers::report_loss() {
  for (TakerSlot& slot : state_->slots) {
    const std::uint32_t pid = slot.pid.load(std::memory_order_acquire);
    if (pid == 0 || held_of(slot.counts.load(std::memory_order_relaxed)) == 0 || !dead(slot))
      continue;
    // Others may report at the same time: each item is one's.
    std::uint64_t counts = slot.counts.load(std::memory_order_relaxed);
    while (held_of(counts) != 0 &&
           !slot.counts.compare_exchange_weak(counts, counts - held_of(counts),
                                              std::memory_order_relaxed)) {
    }
    if (held_of(counts) == 0) continue;
    tell_change();
    return Loss{static_cast<int>(pid), held_of(counts)};
  }
  const std::uint32_t lost = state_->lost.exchange(0, std::memory_order_relaxed);
  if (lost == 0) return std::nullopt;
  return Loss{0, lost};
}

void Takers::wait_for_change(std::uint32_t seen, Deadline deadline) noexcept {
  state_->waiters.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wait(state_->changed, seen, deadline.earlier(Deadline::after(os::kSlice)));
  state_->waiters.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace tandem::detail
