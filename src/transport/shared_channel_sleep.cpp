// How an end sleeps until its peer rings, and how its descriptor becomes readable.
#include <algorithm>
#include <chrono>
#include <utility>

#include "os/epoll.hpp"
#include "os/event_fd.hpp"
#include "os/fence.hpp"
#include "os/poll.hpp"
#include "transport/shared_channel.hpp"

namespace tandem::transport {

using detail::Deadline;
using shm::Cursor;

namespace {

// A bell that is on its way arrives within microseconds, unless its ringer was stopped in between.
constexpr auto kBellOnItsWay = std::chrono::milliseconds(1);

}  // namespace

void SharedChannel::arm_reader() noexcept {
  disarm_reader();
  in_.state().reader_parked.store(Parked::until(in_.head().position()), std::memory_order_relaxed);
  covered_ = true;
}

void SharedChannel::disarm_reader() noexcept {
  if (!covered_) return;
  covered_ = false;
  if (in_.state().reader_parked.exchange(0, std::memory_order_relaxed) == 0) ++bells_due_;
}

// A heavy fence interrupts the other CPUs, which costs a virtual machine more than a short sleep. Where
// such sleeps follow each other the writer is asked to fence for itself. The first time the heavy
// fence is what makes it see that; afterwards this side's own fence is enough.
bool SharedChannel::fence_reader() noexcept {
  if (writer_fences_) {
    os::full_fence();
    return true;
  }
  const bool ask = naps_ == kManyNaps;
  if (ask) in_.state().fences_needed.store(1, std::memory_order_relaxed);
  const bool fenced = os::heavy_fence();
  writer_fences_ = ask && fenced;
  return fenced;
}

void SharedChannel::arm_writer(std::size_t bytes) noexcept {
  const auto beyond = static_cast<std::uint32_t>((out_.capacity() - bytes) / Cursor::kUnit);
  out_.state().writer_parked.store(Parked::until(out_.tail().position() - beyond),
                                   std::memory_order_relaxed);
}

void SharedChannel::disarm_writer() noexcept {
  if (out_.state().writer_parked.exchange(0, std::memory_order_relaxed) == 0) ++bells_due_;
}

unsigned SharedChannel::sleep(Deadline deadline, bool fenced) {
  if (fenced && deadline.is_never()) return bell_.await();  // one system call instead of three
  sleep_in_poll(deadline, fenced, POLLIN);
  return bell_.drain();
}

void SharedChannel::sleep_in_poll(Deadline deadline, bool fenced, short events) const {
  pollfd one{bell_.socket().get(), events, 0};
  if (!fenced) deadline = deadline.earlier(Deadline::after(os::kSlice));
  os::poll_until({&one, 1}, deadline);
}

void SharedChannel::hear() {
  try {
    heard(bell_.drain());
  } catch (...) {  // there may have been a bell before what is wrong
    disarm_reader();
    throw;
  }
}

void SharedChannel::heard(unsigned bells) noexcept {
  if (bells == 0) return;
  disarm_reader();
  bells_due_ -= std::min(bells_due_, bells);
}

bool SharedChannel::ready() { return something_waits() || peer_closed() || closed_; }

void SharedChannel::arm() {
  if (!covered_) arm_reader();
}

void SharedChannel::disarm() {
  if (!epoll_) disarm_reader();
}

int SharedChannel::fd() {
  require_open("fd");
  if (!epoll_) {
    own_bell_ = os::make_event_fd();
    epoll_ = os::make_epoll({bell_.socket().get(), own_bell_.get()});
    settle();
  }
  return epoll_.get();
}

void SharedChannel::settle() {
  // A peer that has closed rang for what it had sent; its end of file may be in the ring alone.
  if (something_waits() || (peer_closed() && !bell_.hung_up())) {
    if ((!covered_ || !stash_.empty()) && !std::exchange(own_bell_rung_, true)) {
      os::ring_bell(own_bell_);
    }
    return;
  }
  hear();
  // A bell that came later would make the descriptor readable for a message that has been taken.
  for (const Deadline deadline = Deadline::after(kBellOnItsWay);
       bells_due_ != 0 && !bell_.hung_up() && os::wait_readable(doorbell(), deadline);) {
    hear();
  }
  bells_due_ = 0;
  if (std::exchange(own_bell_rung_, false)) os::silence_bell(own_bell_);
  if (covered_ || bell_.hung_up()) return;
  arm_reader();
  if (!os::heavy_fence()) in_.state().fences_needed.store(1, std::memory_order_relaxed);
  if ((!in_.empty() || peer_closed()) && !std::exchange(own_bell_rung_, true)) {
    os::ring_bell(own_bell_);
  }
}

}  // namespace tandem::transport
