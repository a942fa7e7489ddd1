/// \file
/// Waiting for any of several futures.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/fd.hpp"
#include "tandem/future.hpp"

namespace tandem::detail {

/// The futures of a list that have an outcome, by index, in the order in which they ended.
///
/// What a pool runs is reported by who dispatches for that pool, under the pool's lock; the one who
/// waits here helps if they are all of one pool. The outcome of a process of its own is fetched by
/// who waits here.
class TANDEM_EXPORT Completions {
 public:
  /// \param most how many there may be
  explicit Completions(std::size_t most) { ended_.reserve(most); }
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;

  /// Any thread.
  void add(std::size_t index) noexcept;
  [[nodiscard]] bool any() const;

  /// Called by each `add` from now on, in its thread. One that waits in another place than here.
  void set_waker(std::function<void()> waker);

  // One thread.
  /// \returns nothing when the time was up first
  [[nodiscard]] std::optional<std::size_t> take(Deadline deadline);
  /// The same, and fetches the outcomes that nobody else does.
  /// \param sources null where the outcome is known
  [[nodiscard]] std::optional<std::size_t> fetch(std::span<AnyFutureSource* const> sources,
                                                 Deadline deadline);

 private:
  [[nodiscard]] bool wait_for_arrival(std::span<AnyFutureSource* const> sources, Deadline deadline);

  mutable std::mutex mutex_;
  std::condition_variable added_;
  std::function<void()> waker_;
  std::vector<std::size_t> ended_;
  std::size_t taken_ = 0;
  Fd bell_;  // if the one who waits, waits for descriptors
};

/// Who wants to know of one completion. Guarded by the lock of whose completion it is.
class Reports {
 public:
  void add(std::shared_ptr<Completions> to, std::size_t index, bool complete) {
    if (complete) {
      to->add(index);
    } else {
      wanted_.emplace_back(std::move(to), index);
    }
  }
  void forget(const Completions& to) noexcept {
    std::erase_if(wanted_, [&](const auto& wanted) { return wanted.first.get() == &to; });
  }
  void make() noexcept {
    for (const auto& [to, index] : wanted_) to->add(index);
    wanted_.clear();
  }

 private:
  std::vector<std::pair<std::shared_ptr<Completions>, std::size_t>> wanted_;
};

/// A list of futures while it is waited for. They must stay where they are.
class TANDEM_EXPORT FutureList {
 public:
  explicit FutureList(std::vector<AnyFutureSource*> sources);
  FutureList(const FutureList&) = delete;
  FutureList& operator=(const FutureList&) = delete;
  FutureList(FutureList&&) noexcept = default;
  FutureList& operator=(FutureList&&) = delete;
  ~FutureList();

  /// How many have not been returned by `next`.
  [[nodiscard]] std::size_t left() const noexcept { return left_; }
  /// The next to have ended. There is one left. \returns nothing when the time was up first
  [[nodiscard]] std::optional<std::size_t> next(Deadline deadline);

 private:
  std::vector<AnyFutureSource*> sources_;
  std::shared_ptr<Completions> completions_;
  std::size_t left_;
  bool fetches_ = false;
  std::size_t driven_ = 0;  // some source, if all have the same driver; else past the end
};

/// Whether a future failed: with an error that is not Cancelled.
[[nodiscard]] TANDEM_EXPORT bool is_failure(const std::exception_ptr& error);

}  // namespace tandem::detail
