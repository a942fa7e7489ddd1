/// \file
/// A Future of a call that a pool runs.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "tandem/detail/completions.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/pool_core.hpp"
#include "tandem/detail/pool_results.hpp"
#include "tandem/error.hpp"
#include "tandem/future.hpp"

namespace tandem::detail {

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

 private:
  std::shared_ptr<PoolCore> core_;
  std::shared_ptr<ValueBatch<R>> batch_;
};

}  // namespace tandem::detail
