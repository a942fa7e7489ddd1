#include "tandem/wait.hpp"

#include <string>

#include "base/text.hpp"
#include "os/check.hpp"
#include "os/fence.hpp"
#include "os/futex.hpp"
#include "os/poll.hpp"
#include "os/spin.hpp"
#include "tandem/error.hpp"

namespace tandem {
namespace {

using detail::Deadline;
using detail::WaitSource;

class Waiter {
 public:
  explicit Waiter(std::span<const Waitable> things) : things_(things), polls_(things.size()) {
    for (std::size_t i = 0; i < things.size(); ++i) {
      WaitSource* const source = things[i].source();
      polls_[i] = {source != nullptr ? source->doorbell() : things[i].descriptor(), POLLIN, 0};
      if (polls_[i].fd < 0) refuse(i);
      if (source != nullptr) sources_.push_back(source);
    }
  }

  std::vector<std::size_t> wait(Deadline deadline) {
    // One thread's waits are of a kind more often than not.
    thread_local os::SpinBudget spin;
    if (!sources_.empty() && !deadline.is_now())
      (void)spin.spin([this] { return some_ready(); }, deadline);
    long long slept_from = 0;
    for (;;) {
      const bool passed = deadline.passed();
      if (passed || some_ready()) {
        os::poll_until(polls_, Deadline::now());
      } else {
        if (slept_from == 0) slept_from = os::SpinBudget::now_ns();
        sleep(deadline);
      }
      std::vector<std::size_t> ready = collect();
      if (!ready.empty() || passed) {
        if (slept_from != 0) spin.slept(os::SpinBudget::now_ns() - slept_from);
        return ready;
      }
    }
  }

 private:
  [[nodiscard]] bool some_ready() const {
    for (WaitSource* source : sources_) {
      if (source->ready()) return true;
    }
    return false;
  }

  /// All sources, while they are armed.
  class Armed {
   public:
    explicit Armed(const std::vector<WaitSource*>& sources) : sources_(sources) {
      for (WaitSource* source : sources_) source->arm();
    }
    Armed(const Armed&) = delete;
    Armed& operator=(const Armed&) = delete;
    ~Armed() {
      for (WaitSource* source : sources_) source->disarm();
    }

   private:
    const std::vector<WaitSource*>& sources_;
  };

  void sleep(Deadline deadline) {
    const Armed armed(sources_);
    if (!sources_.empty() && !os::heavy_fence()) {
      deadline = deadline.earlier(Deadline::after(os::kSlice));
    }
    os::poll_until(polls_, some_ready() ? Deadline::now() : deadline);
  }

  [[nodiscard]] std::vector<std::size_t> collect() const {
    std::vector<std::size_t> ready;
    for (std::size_t i = 0; i < things_.size(); ++i) {
      WaitSource* const source = things_[i].source();
      const short seen = polls_[i].revents;
      if (source == nullptr) {
        if ((seen & POLLNVAL) != 0) refuse(i);
        if (seen != 0) ready.push_back(i);
      } else if (seen != 0 ? source->ready_after_doorbell() : source->ready()) {
        ready.push_back(i);
      }
    }
    return ready;
  }

  [[noreturn]] void refuse(std::size_t i) const {
    os::throw_error(EBADF, detail::concat("wait_any on descriptor ", std::to_string(polls_[i].fd)));
  }

  std::span<const Waitable> things_;
  std::vector<pollfd> polls_;
  std::vector<WaitSource*> sources_;
};

}  // namespace

std::vector<std::size_t> wait_any(std::span<const Waitable> things,
                                  std::optional<duration> timeout) {
  if (things.empty()) return {};
  return Waiter(things).wait(timeout ? Deadline::after(*timeout) : Deadline::never());
}

}  // namespace tandem
