/// \file
/// A Future of a call that a pool runs.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "tandem/detail/completions.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/pool_core.hpp"
#include "tandem/detail/pool_results.hpp"
#include "tandem/error.hpp"
#include "tandem/future.hpp"

namespace tandem::detail {

/// Stands for a list of futures where the core waits for a batch.
class CompletionsBatch final : public PoolBatch {
 public:
  explicit CompletionsBatch(const Completions& completions)
      : PoolBatch("as_completed", {}, {}, std::nullopt), completions_(completions) {}

 protected:
  void receive(Decoder&) override {}
  void keep(std::size_t) override {}
  void fail(std::size_t, std::exception_ptr) override {}
  void make_room(std::size_t) override {}
  void input_failed(std::exception_ptr) override {}
  [[nodiscard]] bool satisfied(bool) const override { return completions_.any(); }

 private:
  const Completions& completions_;
};

template <class R>
class PoolFuture final : public FutureSource<R> {
 public:
  PoolFuture(std::shared_ptr<PoolCore> core, std::shared_ptr<ValueBatch<R>> batch)
      : core_(std::move(core)), batch_(std::move(batch)) {}

  [[nodiscard]] bool wait(Deadline deadline) override {
    PoolCore::Lock lock = core_->lock();
    return core_->wait(lock, batch_, false, deadline);
  }
  R get(bool take) override {
    PoolCore::Lock lock = core_->lock();
    static_cast<void>(core_->wait(lock, batch_, false, Deadline::never()));
    if (batch_->taken()) throw Error("Future::get: an earlier get moved the result out");
    if constexpr (std::is_void_v<R>) {
      batch_->copy();
    } else {
      if constexpr (std::is_copy_constructible_v<R>) {
        if (!take) return batch_->copy();
      }
      return batch_->take();
    }
  }
  bool cancel() override { return core_->cancel(batch_); }

  [[nodiscard]] std::exception_ptr error() override {
    const PoolCore::Lock lock = core_->lock();
    return batch_->error();
  }
  void report_to(std::shared_ptr<Completions> to, std::size_t index) override {
    const PoolCore::Lock lock = core_->lock();
    batch_->reports().add(std::move(to), index, batch_->complete());
  }
  void forget(const Completions& to) noexcept override {
    const PoolCore::Lock lock = core_->lock();
    batch_->reports().forget(to);
  }
  [[nodiscard]] const void* driver() const noexcept override { return core_.get(); }
  void drive(Completions& to, Deadline deadline) override {
    const auto batch = std::make_shared<CompletionsBatch>(to);
    PoolCore::Lock lock = core_->lock();
    struct Waker {
      Waker(Completions& completions, std::function<void()> wake) : to(completions) {
        to.set_waker(std::move(wake));
      }
      Waker(const Waker&) = delete;
      Waker& operator=(const Waker&) = delete;
      ~Waker() { to.set_waker({}); }
      Completions& to;
    };
    const Waker waker(to, [&] { core_->wake(*batch); });
    static_cast<void>(core_->wait(lock, batch, false, deadline));
  }

 private:
  std::shared_ptr<PoolCore> core_;
  std::shared_ptr<ValueBatch<R>> batch_;
};

}  // namespace tandem::detail
