/// \file
/// Where the results of a call are collected: one value, a vector, or a stream.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "tandem/detail/codec.hpp"
#include "tandem/detail/completions.hpp"
#include "tandem/detail/pool_core.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

/// void has no objects; its results are monostates.
template <class R>
using Stored = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

template <class R>
[[nodiscard]] Stored<R> decode_result(Decoder& from) {
  if constexpr (std::is_void_v<R>) {
    from.expect_end();
    return {};
  } else {
    R value = decode<R>(from);
    from.expect_end();
    return value;
  }
}

/// A batch that ends in one outcome: a value or the error with the lowest index; of one that fails
/// fast, the first error.
template <class V>
class OutcomeBatch : public PoolBatch {
 public:
  using PoolBatch::PoolBatch;

  // All of these under the core's lock.
  [[nodiscard]] bool succeeded() const noexcept { return error_ == nullptr; }
  [[nodiscard]] bool taken() const noexcept { return taken_; }
  [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }
  /// Complete, and no callback is still to be run; they may change the value.
  [[nodiscard]] bool settled(bool on_background) const noexcept {
    return complete() && (callbacks_to_run_ == 0 || on_background);
  }
  [[nodiscard]] V take() {
    rethrow_error();
    check_not_taken();
    taken_ = true;
    if constexpr (!std::is_void_v<V>) return std::move(value());
  }
  [[nodiscard]] V copy() {
    rethrow_error();
    check_not_taken();
    if constexpr (!std::is_void_v<V>) return value();
  }
  void check_not_taken() const {
    if (taken_) throw Error("AsyncResult::get: the result was moved out by an earlier get");
  }

  void on_result(std::function<void(Stored<V>&)> f) {
    callbacks_.push_back([this, f = std::move(f)] {
      if (succeeded()) f(value());
    });
    ++callbacks_to_run_;
  }
  void on_error(std::function<void(std::exception_ptr)> f) {
    callbacks_.push_back([this, f = std::move(f)] {
      if (!succeeded()) f(error_);
    });
    ++callbacks_to_run_;
  }

 protected:
  /// The whole value, once complete and without error.
  [[nodiscard]] virtual Stored<V>& value() = 0;

  void fail(std::size_t index, std::exception_ptr error) override {
    if (error_ != nullptr && (fails_fast() || error_index_ < index)) return;
    error_ = std::move(error);
    error_index_ = index;
  }
  void input_failed(std::exception_ptr error) override { fail(added_, std::move(error)); }
  [[nodiscard]] bool satisfied(bool on_background) const override { return settled(on_background); }
  [[nodiscard]] bool has_callbacks() const noexcept override { return !callbacks_.empty(); }
  [[nodiscard]] std::vector<std::function<void()>> take_callbacks() override {
    taken_callbacks_ = callbacks_.size();
    return std::exchange(callbacks_, {});
  }
  void callbacks_ran() noexcept override {
    callbacks_to_run_ -= std::exchange(taken_callbacks_, 0);
  }

 private:
  void rethrow_error() const {
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

  std::exception_ptr error_;
  std::size_t error_index_ = 0;
  std::vector<std::function<void()>> callbacks_;
  std::size_t callbacks_to_run_ = 0;
  std::size_t taken_callbacks_ = 0;
  bool taken_ = false;
};

/// Of one task.
template <class R>
class ValueBatch final : public OutcomeBatch<R> {
 public:
  using OutcomeBatch<R>::OutcomeBatch;

  /// Where its completion is made known. Under the core's lock.
  [[nodiscard]] Reports& reports() noexcept { return reports_; }

 protected:
  void receive(Decoder& from) override { value_.emplace(decode_result<R>(from)); }
  void keep(std::size_t) override { reports_.make(); }
  void fail(std::size_t index, std::exception_ptr error) override {
    OutcomeBatch<R>::fail(index, std::move(error));
    reports_.make();
  }
  void make_room(std::size_t) override {}
  [[nodiscard]] Stored<R>& value() override { return *value_; }

 private:
  std::optional<Stored<R>> value_;
  Reports reports_;
};

/// Results that can be made before they arrive need no optional around them.
template <class R>
inline constexpr bool kPlainResult =
    std::is_trivially_default_constructible_v<R>&& std::is_trivially_copyable_v<R> &&
    !std::is_same_v<R, bool>;

/// Of many, in the order of the tasks.
template <class R>
class VectorBatch : public OutcomeBatch<std::vector<R>> {
 public:
  VectorBatch(std::string_view name, TaskCall call, TaskOptions options,
              std::optional<std::size_t> total)
      : OutcomeBatch<std::vector<R>>(name, std::move(call), std::move(options), total) {
    if (total) slots_.reserve(*total);
  }

 protected:
  void receive(Decoder& from) override { received_.emplace(decode_result<R>(from)); }
  void keep(std::size_t index) override {
    slots_[index] = std::move(*received_);
    received_.reset();
  }
  void make_room(std::size_t added) override { slots_.resize(added); }
  [[nodiscard]] std::vector<R>& value() override {
    if constexpr (kPlainResult<R>) {
      return slots_;
    } else {
      if (!slots_.empty()) {
        value_.reserve(slots_.size());
        for (std::optional<R>& slot : slots_) value_.push_back(std::move(*slot));
        slots_.clear();
      }
      return value_;
    }
  }

 private:
  struct Nothing {};
  using Slot = std::conditional_t<kPlainResult<R>, R, std::optional<R>>;

  std::optional<R> received_;
  std::vector<Slot> slots_;
  [[no_unique_address]] std::conditional_t<kPlainResult<R>, Nothing, std::vector<R>> value_;
};

template <>
class VectorBatch<void> : public OutcomeBatch<void> {
 public:
  using OutcomeBatch<void>::OutcomeBatch;

 protected:
  void receive(Decoder& from) override { from.expect_end(); }
  void keep(std::size_t) override {}
  void make_room(std::size_t) override {}
  [[nodiscard]] std::monostate& value() override { return nothing_; }

 private:
  std::monostate nothing_;
};

/// What map returns for a function that returns R.
template <class R>
struct MapResultOf {
  using type = std::vector<R>;
};
template <>
struct MapResultOf<void> {
  using type = void;
};
template <class R>
using MapResult = typename MapResultOf<R>::type;

/// A vector of results whose tasks were encoded as a whole before the first was sent.
template <class R>
class WholeBatch final : public VectorBatch<R> {
 public:
  using VectorBatch<R>::VectorBatch;

  /// Before it is opened. \throws what `write` throws
  template <class Write>
  void add(Write write) {
    const std::size_t start = encoded_.size();
    // The callable's descriptors come first in every chunk, so an element's are numbered from
    // there.
    std::vector<Fd> descriptors(this->call().descriptors.size());
    bool gives_away = false;
    try {
      Encoder encoder(encoded_, Route::process, &descriptors);
      write(encoder);
      gives_away = encoder.shipped();
    } catch (...) {
      encoded_.truncate(start);
      throw;
    }
    descriptors.erase(
        descriptors.begin(),
        descriptors.begin() + static_cast<std::ptrdiff_t>(this->call().descriptors.size()));
    if (!descriptors.empty()) {
      handles_.emplace(ends_.size(), Handles{std::move(descriptors), gives_away});
    }
    ends_.push_back(encoded_.size());
  }
  [[nodiscard]] std::size_t tasks() const noexcept { return ends_.size(); }

 protected:
  [[nodiscard]] std::size_t to_carve() const noexcept override { return ends_.size() - carved_; }
  [[nodiscard]] std::unique_ptr<Chunk> carve(std::size_t at_most) override {
    auto chunk = std::make_unique<Chunk>(this->call(), carved_);
    const std::size_t end = carved_ + std::min(at_most, to_carve());
    while (carved_ < end && (chunk->count() == 0 || chunk->size_bytes() < kChunkBytes)) {
      const auto handles = handles_.find(carved_);
      // An element with descriptors travels alone: its numbers fit no other place.
      if (handles != handles_.end() && chunk->count() != 0) break;
      const std::size_t start = carved_ == 0 ? 0 : ends_[carved_ - 1];
      const auto element = encoded_.bytes().subspan(start, ends_[carved_] - start);
      ++carved_;
      if (handles == handles_.end()) {
        chunk->add_encoded(element, {}, false);
      } else {
        Handles& its = handles->second;
        chunk->add_encoded(element, std::move(its.descriptors), its.gives_away);
        handles_.erase(handles);
        break;
      }
    }
    if (to_carve() == 0) encoded_ = Buffer();
    return chunk;
  }
  std::size_t drop_rest() override {
    const std::size_t first = std::exchange(carved_, ends_.size());
    encoded_ = Buffer();
    handles_.clear();
    return first;
  }

 private:
  Buffer encoded_;
  std::vector<std::size_t> ends_;
  struct Handles {
    std::vector<Fd> descriptors;
    bool gives_away;
  };
  std::map<std::size_t, Handles> handles_;  // of the elements that have any
  std::size_t carved_ = 0;
};

/// Results that are handed out one by one.
template <class R>
class StreamBatch final : public PoolBatch {
 public:
  StreamBatch(std::string_view name, TaskCall call, TaskOptions options,
              std::optional<std::size_t> total, bool ordered)
      : PoolBatch(name, std::move(call), std::move(options), total), ordered_(ordered) {}

  // All of these under the core's lock.
  [[nodiscard]] bool has_result() const noexcept {
    return !slots_.empty() && (slots_.front().value || slots_.front().error != nullptr);
  }
  /// \throws the task's error. There is a result.
  [[nodiscard]] Stored<R> take() {
    Slot slot = std::move(slots_.front());
    slots_.pop_front();
    ++handed_out_;
    if (slot.error != nullptr) std::rethrow_exception(slot.error);
    return std::move(*slot.value);
  }
  /// What the input threw, once.
  [[nodiscard]] std::exception_ptr take_input_error() noexcept {
    return std::exchange(input_error_, nullptr);
  }

 protected:
  void receive(Decoder& from) override { received_.emplace(decode_result<R>(from)); }
  void keep(std::size_t index) override {
    slot_for(index).value.emplace(std::move(*received_));
    received_.reset();
  }
  void fail(std::size_t index, std::exception_ptr error) override {
    slot_for(index).error = std::move(error);
  }
  void make_room(std::size_t added) override {
    if (ordered_) slots_.resize(added - handed_out_);
  }
  void input_failed(std::exception_ptr error) override { input_error_ = std::move(error); }
  [[nodiscard]] bool satisfied(bool) const override { return has_result() || complete(); }
  [[nodiscard]] std::size_t outstanding() const noexcept override { return added_ - handed_out_; }
  [[nodiscard]] bool windowed() const noexcept override { return true; }

 private:
  struct Slot {
    std::optional<Stored<R>> value;
    std::exception_ptr error;
  };
  [[nodiscard]] Slot& slot_for(std::size_t index) {
    if (ordered_) return slots_[index - handed_out_];
    return slots_.emplace_back();
  }

  const bool ordered_;
  std::optional<Stored<R>> received_;
  std::deque<Slot> slots_;  // ordered: of every task not handed out; else those that arrived
  std::size_t handed_out_ = 0;
  std::exception_ptr input_error_;
};

}  // namespace tandem::detail
