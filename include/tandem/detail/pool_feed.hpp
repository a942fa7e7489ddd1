/// \file
/// Reading a call's input into chunks.
#pragma once

#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>

#include "tandem/detail/codec.hpp"
#include "tandem/detail/pool_core.hpp"

namespace tandem::detail {

class Feed {
 public:
  Feed() = default;
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;
  virtual ~Feed() = default;

  /// Reads while the batch has room. Only in the thread that asks for results: what iterates may be
  /// the user's code.
  void run(PoolCore& core, const std::shared_ptr<PoolBatch>& batch) {
    while (!ended_) {
      const std::size_t n = core.room(batch);
      if (n == 0) return;
      read(core, batch, n);
    }
  }
  [[nodiscard]] bool ended() const noexcept { return ended_; }

 protected:
  virtual void read(PoolCore& core, const std::shared_ptr<PoolBatch>& batch, std::size_t n) = 0;
  bool ended_ = false;
};

/// \tparam Range a reference for an input that its owner keeps, else a type that is kept here
template <class Range>
class RangeFeed final : public Feed {
 public:
  using Element = std::ranges::range_value_t<Range>;

  /// \param lasting the elements stay where and what they are until the call has ended
  explicit RangeFeed(Range&& range, bool lasting)
      : range_(std::forward<Range>(range)), lasting_(lasting && kElementsLast) {}

 protected:
  void read(PoolCore& core, const std::shared_ptr<PoolBatch>& batch, std::size_t n) override {
    auto chunk = std::make_unique<Chunk>(batch->call(), index_);
    std::exception_ptr encode_error;
    std::exception_ptr input_error;
    bool handles = false;  // end a chunk: a message has room for a few hundred only
    // The first element always fits, however large the callable is.
    while (chunk->count() < n && (chunk->count() == 0 || chunk->size_bytes() < kChunkBytes) &&
           encode_error == nullptr && !handles) {
      try {
        if (!advance()) break;
        const Element& element = **position_;
        // What is thrown from here on is the element's own.
        try {
          chunk->add(
              [&](Encoder& to) {
                const std::size_t before = to.descriptors()->size();
                encode(to, element);
                handles = to.descriptors()->size() != before;
              },
              lasting_);
        } catch (...) {
          encode_error = std::current_exception();
        }
        ++index_;
      } catch (...) {
        input_error = std::current_exception();
        ended_ = true;
        break;
      }
    }
    if (chunk->count() != 0) core.submit(batch, std::move(chunk));
    if (encode_error != nullptr) core.submit_failure(batch, std::move(encode_error));
    if (ended_) core.end_input(batch, std::move(input_error));
  }

 private:
  // Not those that are made, or overwritten, as the range is gone through.
  using Reference = std::ranges::range_reference_t<Range>;
  static constexpr bool kElementsLast =
      (std::ranges::contiguous_range<Range> ||
       (std::ranges::forward_range<Range> && !std::ranges::view<std::remove_cvref_t<Range>>)) &&
      std::is_lvalue_reference_v<Reference> &&
      std::is_same_v<std::remove_cvref_t<Reference>, Element>;

  /// Goes to the next element. \returns false at the end
  bool advance() {
    if (!position_) {
      position_.emplace(std::ranges::begin(range_));
    } else {
      ++*position_;
    }
    ended_ = *position_ == std::ranges::end(range_);
    return !ended_;
  }

  Range range_;
  const bool lasting_;
  std::optional<std::ranges::iterator_t<Range>> position_;
  std::size_t index_ = 0;
};

}  // namespace tandem::detail
