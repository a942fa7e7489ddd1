#include "tandem/detail/completions.hpp"

#include <chrono>
#include <utility>

#include "os/event_fd.hpp"
#include "tandem/error.hpp"
#include "tandem/wait.hpp"

namespace tandem::detail {
namespace {

struct Arrival {
  WaitSource* source;
  [[nodiscard]] WaitSource& wait_source() const noexcept { return *source; }
};

}  // namespace

void Completions::add(std::size_t index) noexcept {
  const std::lock_guard lock(mutex_);
  ended_.push_back(index);
  added_.notify_one();
  if (waker_) waker_();
  if (bell_) os::ring_bell(bell_);
}

bool Completions::any() const {
  const std::lock_guard lock(mutex_);
  return taken_ != ended_.size();
}

void Completions::set_waker(std::function<void()> waker) {
  const std::lock_guard lock(mutex_);
  waker_ = std::move(waker);
}

std::optional<std::size_t> Completions::take(Deadline deadline) {
  std::unique_lock lock(mutex_);
  const auto has_one = [this] { return taken_ != ended_.size(); };
  if (deadline.is_never()) {
    added_.wait(lock, has_one);
  } else if (!deadline.is_now()) {
    added_.wait_until(lock, std::chrono::steady_clock::time_point(duration(deadline.ns())),
                      has_one);
  }
  if (!has_one()) return std::nullopt;
  return ended_[taken_++];
}

/// \returns false when the time was up first
bool Completions::wait_for_arrival(std::span<AnyFutureSource* const> sources, Deadline deadline) {
  {
    const std::lock_guard lock(mutex_);
    if (!bell_) bell_ = os::make_event_fd();
    if (taken_ != ended_.size()) return true;
  }
  std::vector<AnyFutureSource*> waited_for;
  for (AnyFutureSource* source : sources) {
    if (source != nullptr && source->arrival() != nullptr) waited_for.push_back(source);
  }
  std::vector<Waitable> things{Waitable(bell_.get())};
  for (AnyFutureSource* source : waited_for) things.emplace_back(Arrival{source->arrival()});
  std::optional<duration> timeout;
  if (!deadline.is_never()) timeout = deadline.left();
  const std::vector<std::size_t> ready = wait_any(things, timeout);
  for (const std::size_t i : ready) {
    if (i == 0) {
      os::silence_bell(bell_);
    } else {
      static_cast<void>(waited_for[i - 1]->wait(Deadline::now()));  // reports here
    }
  }
  return !ready.empty();
}

std::optional<std::size_t> Completions::fetch(std::span<AnyFutureSource* const> sources,
                                              Deadline deadline) {
  for (;;) {
    if (auto index = take(Deadline::now())) return index;
    if (!wait_for_arrival(sources, deadline)) return take(Deadline::now());
  }
}

FutureList::FutureList(std::vector<AnyFutureSource*> sources)
    : sources_(std::move(sources)),
      completions_(std::make_shared<Completions>(sources_.size())),
      left_(sources_.size()) {
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    AnyFutureSource& source = *sources_[i];
    source.report_to(completions_, i);
    if (source.arrival() != nullptr) fetches_ = true;
    const void* const driver = source.driver();
    if (driver == nullptr || driver != sources_[0]->driver()) driven_ = sources_.size();
  }
}

FutureList::~FutureList() {
  for (AnyFutureSource* source : sources_) {
    if (source != nullptr) source->forget(*completions_);
  }
}

std::optional<std::size_t> FutureList::next(Deadline deadline) {
  while (driven_ < sources_.size() && sources_[driven_] == nullptr) ++driven_;
  std::optional<std::size_t> index;
  if (fetches_) {
    index = completions_->fetch(sources_, deadline);
  } else if (driven_ < sources_.size()) {
    if (!completions_->any()) sources_[driven_]->drive(*completions_, deadline);
    index = completions_->take(Deadline::now());
  } else {
    index = completions_->take(deadline);
  }
  if (index) {
    sources_[*index] = nullptr;
    --left_;
  }
  return index;
}

bool is_failure(const std::exception_ptr& error) {
  if (error == nullptr) return false;
  try {
    std::rethrow_exception(error);
  } catch (const Cancelled&) {
    return false;
  } catch (...) {
    return true;
  }
}

}  // namespace tandem::detail
