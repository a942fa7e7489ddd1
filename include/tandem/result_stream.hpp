/// \file
/// The results of a pool's call, one by one, while the input is still being read.
///
///     for (Thumbnail& t : pool.imap(shrink, paths)) show(t);
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "tandem/detail/deadline.hpp"
#include "tandem/detail/pool_feed.hpp"
#include "tandem/detail/pool_results.hpp"

namespace tandem {

namespace detail {
struct PoolCallsImpl;
}

/// One thread's at a time. Reads its input only inside `next` and `next_for`, and never holds more
/// than the window of elements whose results were not handed out.
///
/// Destruction gives up the rest: what was not sent is not run. After the pool's end the results
/// that had arrived are handed out, then, if the input had more, Closed or Cancelled is thrown.
template <class R>
class ResultStream {
 public:
  /// R, or std::monostate for void.
  using value_type = detail::Stored<R>;

  /// An input iterator over the results; all of a stream are one.
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = typename ResultStream::value_type;
    using difference_type = std::ptrdiff_t;

    iterator() = default;
    /// The result, which may be changed and moved from.
    value_type& operator*() const { return *stream_->current_; }
    /// Waits for the next result. \throws as `next`
    iterator& operator++() {
      stream_->current_ = stream_->next();
      return *this;
    }
    /// The same.
    void operator++(int) { ++*this; }
    /// Whether there is none.
    friend bool operator==(const iterator& it, std::default_sentinel_t) { return it.at_end(); }

   private:
    friend class ResultStream;
    [[nodiscard]] bool at_end() const { return !stream_->current_; }
    explicit iterator(ResultStream* stream) : stream_(stream) {}
    ResultStream* stream_ = nullptr;
  };

  ResultStream(const ResultStream&) = delete;
  ResultStream& operator=(const ResultStream&) = delete;
  ResultStream(ResultStream&&) noexcept = default;
  /// Gives up the rest of what it had.
  ResultStream& operator=(ResultStream&& other) noexcept {
    if (this != &other) {
      give_up();
      core_ = std::move(other.core_);
      batch_ = std::move(other.batch_);
      feed_ = std::move(other.feed_);
      current_ = std::move(other.current_);
      ended_ = other.ended_;
    }
    return *this;
  }
  ~ResultStream() { give_up(); }

  /// Waits for the next result. \returns nothing at the end
  /// \throws the error of the task whose turn it is; the stream goes on behind it. What the input
  ///   threw, when the results of all before are handed out, and then the stream has ended
  [[nodiscard]] std::optional<value_type> next() {
    std::optional<value_type> result;
    static_cast<void>(advance(result, detail::Deadline::never()));
    return result;
  }
  /// The same, also returns nothing when the time was up first; `ended` tells which. Reading the
  /// input takes as long as it takes.
  template <class Rep, class Period>
  [[nodiscard]] std::optional<value_type> next_for(std::chrono::duration<Rep, Period> d) {
    std::optional<value_type> result;
    static_cast<void>(advance(result, detail::Deadline::after(d)));
    return result;
  }
  /// Whether there will be no further result.
  [[nodiscard]] bool ended() const noexcept { return ended_; }

  /// Moves on to the first result not taken yet.
  [[nodiscard]] iterator begin() {
    current_ = next();
    return iterator(this);
  }
  /// Reached when there is no further result.
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend struct detail::PoolCallsImpl;
  ResultStream(std::shared_ptr<detail::PoolCore> core,
               std::shared_ptr<detail::StreamBatch<R>> batch, std::unique_ptr<detail::Feed> feed)
      : core_(std::move(core)), batch_(std::move(batch)), feed_(std::move(feed)) {}

  void advance(std::optional<value_type>& result, detail::Deadline deadline) {
    while (!ended_) {
      feed_->run(*core_, batch_);
      detail::PoolCore::Lock lock = core_->lock();
      const bool in_time = core_->wait(lock, batch_, !feed_->ended(), deadline);
      if (batch_->has_result()) {
        result.emplace(batch_->take());
        return;
      }
      if (!in_time) return;
      if (batch_->complete()) {
        ended_ = true;
        if (auto error = batch_->take_input_error()) std::rethrow_exception(error);
      }
    }
  }
  void give_up() noexcept {
    if (batch_) core_->abandon(batch_);
  }

  std::shared_ptr<detail::PoolCore> core_;
  std::shared_ptr<detail::StreamBatch<R>> batch_;
  std::unique_ptr<detail::Feed> feed_;
  std::optional<value_type> current_;
  bool ended_ = false;
};

}  // namespace tandem
