#include "pool/slot.hpp"

#include "os/signals.hpp"
#include "tandem/detail/deadline.hpp"

namespace tandem::detail {

void prepare(Slot& slot) noexcept {
  if (!os::heavy_fence()) slot.fences_needed.store(1, std::memory_order_relaxed);
  slot.magic.store(Slot::kMagic, std::memory_order_relaxed);
}

bool claim(Slot& slot, Activity activity, ClaimKind kind) noexcept {
  // What was claimed of this very task before still holds if this comes too late.
  const Claim before = slot.claim.load(std::memory_order_relaxed);
  slot.asking.store(1, std::memory_order_relaxed);
  slot.claim.store(Claim(ClaimKind::asking, activity.task()), std::memory_order_release);
  bool fenced = os::heavy_fence();
  if (!fenced) {
    os::full_fence();
    // What the kernel refused from the start the worker does itself; what it refuses now, from the
    // next time on.
    fenced = slot.fences_needed.exchange(1, std::memory_order_relaxed) != 0;
  }
  // acquire: pairs with the worker's stores in begin and leave
  const bool first = fenced && slot.activity.load(std::memory_order_acquire) == activity;
  // release: pairs with the acquire in leave and obey
  slot.claim.store(first ? Claim(kind, activity.task()) : before, std::memory_order_release);
  slot.asking.store(0, std::memory_order_release);
  os::futex_wake_all(slot.asking);
  return first;
}

bool obey(const Slot& slot, Activity from) noexcept {
  for (;;) {
    const Claim claim = slot.claim.load(std::memory_order_acquire);
    if (claim.kind() == ClaimKind::none || claim.task() != from.task()) return false;
    switch (claim.kind()) {
      case ClaimKind::asking:
        os::futex_wait_slice(slot.asking, 1, Deadline::never());
        break;
      case ClaimKind::kill:
        for (;;) os::wait_for_signal();
      default:
        return true;
    }
  }
}

}  // namespace tandem::detail
