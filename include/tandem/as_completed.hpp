/// \file
/// Several futures at once, wherever their calls run: in pools, in processes of their own.
///
///     std::vector<tandem::Future<Page>> pages;
///     for (const Url& url : urls) pages.push_back(executor.submit(fetch, url));
///     for (tandem::Future<Page>& page : tandem::as_completed(pages)) show(page.get());
///
/// As Python's `concurrent.futures`. Futures of one pool are waited for as fast as by `get`. Those of
/// several are left to the pools' background threads, which take up to a millisecond to notice: not
/// in a callback of one of these pools.
#pragma once

#include <cstddef>
#include <exception>
#include <iterator>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/detail/completions.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/error.hpp"
#include "tandem/future.hpp"

namespace tandem {

namespace detail {

template <class R>
[[nodiscard]] Future<R>* address_of(Future<R>& future) noexcept {
  return &future;
}
template <class R>
[[nodiscard]] Future<R>* address_of(Future<R>* future) noexcept {
  return future;
}

/// Futures that outlive the call: `Future<R>&` or `Future<R>*`.
template <class Range>
concept Futures = std::ranges::input_range<Range> && std::ranges::borrowed_range<Range> &&
    requires(std::ranges::range_reference_t<Range> element) {
  address_of(element);
};

template <Futures Range>
[[nodiscard]] auto addresses_of(Range&& futures) {
  std::vector<decltype(address_of(*std::ranges::begin(futures)))> addresses;
  for (auto&& future : futures) addresses.push_back(address_of(future));
  return addresses;
}

template <class R>
[[nodiscard]] std::vector<AnyFutureSource*> sources_of(const std::vector<Future<R>*>& futures) {
  std::vector<AnyFutureSource*> sources;
  sources.reserve(futures.size());
  for (Future<R>* future : futures) sources.push_back(&future->source());
  return sources;
}

}  // namespace detail

/// The futures of a list in the order in which they end. Made by `as_completed`; an input range of
/// `Future<R>&`, each once, to be walked through once and by one thread.
template <class R>
class CompletedFutures {
 public:
  /// An input iterator; all of a range are one.
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = Future<R>;
    using difference_type = std::ptrdiff_t;

    iterator() = default;
    /// The future that has ended.
    Future<R>& operator*() const { return *all_->current_; }
    /// The same.
    Future<R>* operator->() const { return all_->current_; }
    /// Waits for the next. \throws TimedOut when the time is up
    iterator& operator++() {
      all_->advance();
      return *this;
    }
    /// The same.
    void operator++(int) { ++*this; }
    /// Whether all were handed out.
    friend bool operator==(const iterator& it, std::default_sentinel_t) { return it.at_end(); }

   private:
    friend class CompletedFutures;
    explicit iterator(CompletedFutures* all) : all_(all) {}
    [[nodiscard]] bool at_end() const { return all_->current_ == nullptr; }
    CompletedFutures* all_ = nullptr;
  };

  /// Waits for the first that was not returned yet.
  [[nodiscard]] iterator begin() {
    advance();
    return iterator(this);
  }
  /// Reached when all were handed out.
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

  // For the library.
  CompletedFutures(std::vector<Future<R>*> futures, detail::Deadline deadline)
      : futures_(std::move(futures)), list_(detail::sources_of(futures_)), deadline_(deadline) {}

 private:
  void advance() {
    current_ = nullptr;
    if (list_.left() == 0) return;
    const std::optional<std::size_t> index = list_.next(deadline_);
    if (!index) {
      throw TimedOut("as_completed: " + std::to_string(list_.left()) + " of " +
                     std::to_string(futures_.size()) + " futures had not ended in time");
    }
    current_ = futures_[*index];
  }

  std::vector<Future<R>*> futures_;
  detail::FutureList list_;
  detail::Deadline deadline_;
  Future<R>* current_ = nullptr;
};

/// Hands out the futures as they end, with a result, an error or Cancelled; those that have ended
/// come first. They must stay where they are until the last was handed out or the range is gone.
/// \param futures a range of `Future<R>` or `Future<R>*`, not a temporary container
/// \param timeout for all of them together
/// \throws TimedOut from the loop, when the time is up and not all have ended; Error when one has
///   no call
template <detail::Futures Range>
[[nodiscard]] auto as_completed(Range&& futures, std::optional<duration> timeout = {}) {
  const detail::Deadline deadline =
      timeout ? detail::Deadline::after(*timeout) : detail::Deadline::never();
  return CompletedFutures(detail::addresses_of(futures), deadline);
}

/// What `wait` waits for.
enum class ReturnWhen {
  all_completed,
  first_completed,
  first_exception,  ///< one has ended with an error, Cancelled not counted, or all have ended
};

/// The futures of a list, in its order.
template <class R>
struct WaitResult {
  std::vector<Future<R>*> done;      ///< have ended, with a result, an error or Cancelled
  std::vector<Future<R>*> not_done;  ///< may be waited for again
};

/// Waits for a list of futures. Nothing is taken from them.
/// \param futures a range of `Future<R>` or `Future<R>*`, not a temporary container
/// \param timeout zero or negative: looks once
/// \throws Error when one has no call
template <detail::Futures Range>
auto wait(Range&& futures, ReturnWhen return_when = ReturnWhen::all_completed,
          std::optional<duration> timeout = {}) {
  const detail::Deadline deadline =
      timeout ? detail::Deadline::after(*timeout) : detail::Deadline::never();
  const auto all = detail::addresses_of(futures);
  detail::FutureList list(detail::sources_of(all));
  std::vector<bool> ended(all.size());
  // What has ended already is found without waiting, also when one is enough.
  bool enough = false;
  while (list.left() != 0) {
    const auto index = list.next(enough ? detail::Deadline::now() : deadline);
    if (!index) break;
    ended[*index] = true;
    if (return_when == ReturnWhen::first_completed) {
      enough = true;
    } else if (return_when == ReturnWhen::first_exception) {
      enough = enough || detail::is_failure(all[*index]->source().error());
    }
  }
  const auto result = [&]<class R>(const std::vector<Future<R>*>&) {
    WaitResult<R> both;
    for (std::size_t i = 0; i < all.size(); ++i) {
      (ended[i] ? both.done : both.not_done).push_back(all[i]);
    }
    return both;
  };
  return result(all);
}

}  // namespace tandem
