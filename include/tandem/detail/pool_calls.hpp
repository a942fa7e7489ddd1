/// \file
/// The calls of a Pool: encode, submit, wait, hand over.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <ranges>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tandem/async_result.hpp"
#include "tandem/detail/pool_core.hpp"
#include "tandem/detail/pool_feed.hpp"
#include "tandem/detail/pool_results.hpp"
#include "tandem/detail/pool_task.hpp"
#include "tandem/result_stream.hpp"

namespace tandem::detail {

/// \tparam Task one of those in pool_task.hpp, whose Function is called
struct PoolCallsImpl {
  using Core = std::shared_ptr<PoolCore>;

  template <class Task, class F, class... A>
  static std::shared_ptr<ValueBatch<typename Task::Result>> start(const Core& core,
                                                                  std::string_view name,
                                                                  TaskOptions options, const F& f,
                                                                  bool in_background,
                                                                  const A&... args) {
    auto batch = std::make_shared<ValueBatch<typename Task::Result>>(name, make_task_call<Task>(f),
                                                                     std::move(options), 1);
    auto chunk = std::make_unique<Chunk>(batch->call(), 0);
    chunk->add([&]([[maybe_unused]] Encoder& to) { (encode_argument<Argument<A>>(to, args), ...); },
               !in_background);
    core->open(batch, in_background);
    core->submit(batch, std::move(chunk));
    core->end_input(batch, nullptr);
    return batch;
  }

  template <class Task, class F, class... A>
  static typename Task::Result apply(const Core& core, TaskOptions options, const F& f,
                                     const A&... args) {
    const auto batch = start<Task>(core, "Pool::apply", std::move(options), f, false, args...);
    const Abandon abandon{*core, batch};
    PoolCore::Lock lock = core->lock();
    static_cast<void>(core->wait(lock, batch, false, Deadline::never()));
    return batch->take();
  }

  template <class Task, class F, class... A>
  static AsyncResult<typename Task::Result> apply_async(const Core& core, TaskOptions options,
                                                        const F& f, const A&... args) {
    return {core, start<Task>(core, "Pool::apply_async", std::move(options), f, true, args...)};
  }

  template <class Task, class F, class Range>
  static MapResult<typename Task::Result> map(const Core& core, std::string_view name,
                                              TaskOptions options, const F& f, Range&& range) {
    const auto batch = std::make_shared<VectorBatch<typename Task::Result>>(
        name, make_task_call<Task>(f), std::move(options), length(range));
    core->open(batch, false);
    const Abandon abandon{*core, batch};
    RangeFeed<Range&> feed(range, true);
    for (;;) {
      feed.run(*core, batch);
      PoolCore::Lock lock = core->lock();
      static_cast<void>(core->wait(lock, batch, !feed.ended(), Deadline::never()));
      if (batch->complete()) return batch->take();
    }
  }

  template <class Task, class F, class Range>
  static AsyncResult<MapResult<typename Task::Result>> map_async(const Core& core,
                                                                 std::string_view name,
                                                                 TaskOptions options, const F& f,
                                                                 Range&& range) {
    using Element = std::ranges::range_value_t<Range>;
    const auto total = length(range);
    const auto batch = std::make_shared<WholeBatch<typename Task::Result>>(
        name, make_task_call<Task>(f), std::move(options), total);
    for (auto&& item : range) {
      const Element& element = item;
      batch->add([&](Encoder& to) { encode(to, element); });
    }
    core->open(batch, true);
    core->submit_whole(batch, batch->tasks());
    core->end_input(batch, nullptr);
    return {core, batch};
  }

  template <class Task, class F, class Range>
  static ResultStream<typename Task::Result> stream(const Core& core, std::string_view name,
                                                    TaskOptions options, const F& f, Range&& range,
                                                    bool ordered) {
    auto batch = std::make_shared<StreamBatch<typename Task::Result>>(
        name, make_task_call<Task>(f), std::move(options), length(range), ordered);
    auto feed = std::make_unique<RangeFeed<Range>>(std::forward<Range>(range), false);
    core->open(batch, true);
    return {core, std::move(batch), std::move(feed)};
  }

 private:
  /// A call that is left by an exception takes its tasks with it.
  struct Abandon {
    PoolCore& core;
    const std::shared_ptr<PoolBatch> batch;
    ~Abandon() { core.abandon(batch); }
  };

  template <class Range>
  static std::optional<std::size_t> length(Range& range) {
    if constexpr (std::ranges::sized_range<Range>) {
      return static_cast<std::size_t>(std::ranges::size(range));
    } else {
      return std::nullopt;
    }
  }
};

}  // namespace tandem::detail
