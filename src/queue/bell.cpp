#include "queue/bell.hpp"

#include <optional>

#include "os/poll.hpp"

namespace tandem::detail {

void Bell::watch() noexcept {
  std::uint32_t seen = word_->load(std::memory_order_relaxed);
  std::uint32_t wanted = 0;
  do {
    wanted = seen + kWatcher;
    if (seen == 0) {
      ring();  // before it says so
      wanted += kRung;
    }
  } while (!word_->compare_exchange_weak(seen, wanted, std::memory_order_acq_rel));
}

void Bell::unwatch() noexcept {
  std::uint32_t seen = word_->load(std::memory_order_relaxed);
  std::uint32_t wanted = 0;
  do {
    wanted = seen < 2 * kWatcher ? 0 : seen - kWatcher;
  } while (!word_->compare_exchange_weak(seen, wanted, std::memory_order_acq_rel));
}

bool Bell::at_rest() const {
  return state_of(word_->load(std::memory_order_acquire)) == kArmed &&
         !os::wait_readable(descriptor_.get(), Deadline::now());
}

void Bell::ring_first() {
  std::optional<Grip> grip;
  if (!shares_put_lock_) grip.emplace(*this);
  // Even without the grip: who has it and was stopped there sees that the state has changed.
  ring();
  set_state(kRung);
}

std::uint32_t Bell::seize() noexcept { return set_state(kSeized); }

void Bell::restore(std::uint32_t state) noexcept {
  if (state != 0) set_state(state);  // else nobody watched, and nothing was seized
}

void Bell::silence() noexcept {
  (void)seize();  // first: rung must imply readable
  os::silence_bell(descriptor_);
  std::uint32_t seen = word_->load(std::memory_order_relaxed);
  while (state_of(seen) == kSeized &&
         !word_->compare_exchange_weak(seen, seen - kSeized + kArmed, std::memory_order_acq_rel)) {
  }
  if (state_of(seen) == kRung) ring();  // by one who lost patience; what it rang was taken here
}

// \returns the state before; 0 when the last watcher has left, and that stays so
std::uint32_t Bell::set_state(std::uint32_t state) noexcept {
  std::uint32_t seen = word_->load(std::memory_order_relaxed);
  while (seen != 0 && !word_->compare_exchange_weak(seen, seen - state_of(seen) + state,
                                                    std::memory_order_acq_rel)) {
  }
  return state_of(seen);
}

}  // namespace tandem::detail
