/// \file
/// A queue that lives in a Manager's server and is used from any process, and from other machines.
///
///     auto jobs = manager.queue<std::string>();
///     tandem::Process worker([](tandem::QueueProxy<std::string> q) { work(q.get()); }, jobs);
///     jobs.put("first");
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/detail/fingerprint.hpp"
#include "tandem/detail/manager_proxy.hpp"
#include "tandem/detail/queue_iterator.hpp"
#include "tandem/error.hpp"
#include "tandem/sendable.hpp"

namespace tandem {

namespace detail {

/// What QueueProxy and JoinableQueueProxy share.
template <class T, class Proxy>
class BasicQueueProxy : public ManagerProxy<Proxy> {
  static_assert(Sendable<T>, "a queue's items travel: they must be Sendable");
  using Op = ManagerOp;

 public:
  using value_type = T;

  /// Adds an item; waits for room where the queue is bounded.
  /// \throws ShutDown; what encoding `value` throws, and then nothing was put
  void put(const T& value) const { (void)put_before(value, Deadline::never(), "QueueProxy::put"); }
  /// \returns whether there was room at once
  [[nodiscard]] bool try_put(const T& value) const {
    return put_before(value, Deadline::now(), "QueueProxy::try_put");
  }
  /// \returns false when there was no room until then
  template <class Rep, class Period>
  [[nodiscard]] bool put_for(const T& value, std::chrono::duration<Rep, Period> timeout) const {
    return put_before(value, Deadline::after(timeout), "QueueProxy::put_for");
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] bool put_until(const T& value,
                               std::chrono::time_point<Deadline::Clock, Duration> when) const {
    return put_before(value, Deadline::at(when), "QueueProxy::put_until");
  }
  /// Puts the elements of a range in order, many in one trip; waits for room as it goes.
  template <class Range>
  void put_many(const Range& values) const {
    auto at = std::begin(values);
    const auto end = std::end(values);
    while (at != end) {
      ManagerRequest request(this->object_, Op::queue_put, "QueueProxy::put_many");
      request.timeout(Deadline::never());
      for (std::size_t n = 0; n < kMostAtOnce && at != end; ++n, ++at) {
        request.value(static_cast<const T&>(*at));
      }
      request.run();
    }
  }

  /// Takes the oldest item; waits for one.
  /// \throws ShutDown once the queue was shut down and is empty
  [[nodiscard]] T get() const { return *get_before(Deadline::never(), "QueueProxy::get"); }
  /// \returns nothing when the queue is empty
  [[nodiscard]] std::optional<T> try_get() const {
    return get_before(Deadline::now(), "QueueProxy::try_get");
  }
  /// \returns nothing when no item came until then
  template <class Rep, class Period>
  [[nodiscard]] std::optional<T> get_for(std::chrono::duration<Rep, Period> timeout) const {
    return get_before(Deadline::after(timeout), "QueueProxy::get_for");
  }
  /// As the above, until a point of the steady clock.
  template <class Duration>
  [[nodiscard]] std::optional<T> get_until(
      std::chrono::time_point<Deadline::Clock, Duration> when) const {
    return get_before(Deadline::at(when), "QueueProxy::get_until");
  }
  /// Takes up to `at_most` items that are there, at least one: waits for it. \throws what `get`
  /// throws; std::invalid_argument for 0
  [[nodiscard]] std::vector<T> get_many(std::size_t at_most) const {
    if (at_most == 0) {
      throw std::invalid_argument("QueueProxy::get_many: at_most is 0; ask for 1 or more");
    }
    return take(Deadline::never(), at_most, "QueueProxy::get_many").template values<T>();
  }

  /// Items that wait.
  [[nodiscard]] std::size_t size() const { return state("QueueProxy::size").first; }
  /// Whether no item waits. A snapshot.
  [[nodiscard]] bool empty() const { return size() == 0; }
  /// Whether maxsize items wait; never of an unbounded queue.
  [[nodiscard]] bool full() const {
    const auto [size, most] = state("QueueProxy::full");
    return most != 0 && size >= most;
  }
  /// Ends the queue for everybody: put throws ShutDown at once, get takes what is there and then
  /// throws ShutDown. \param immediate what is in the queue is lost
  void shutdown(bool immediate = false) const {
    ManagerRequest(this->object_, Op::queue_shutdown, "QueueProxy::shutdown")
        .raw(static_cast<std::uint8_t>(immediate))
        .run();
  }

  /// Takes items one after another; the end is reached when the queue was shut down and is empty.
  using Iterator = QueueIterator<const BasicQueueProxy, T>;
  /// Waits for the first item.
  [[nodiscard]] Iterator begin() const { return Iterator(this); }
  /// Reached when the queue was shut down and is empty.
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }

  // For the library.
  static constexpr std::uint32_t type() { return fingerprint<T>(); }

 protected:
  BasicQueueProxy() = default;
  explicit BasicQueueProxy(ManagerObject object) noexcept
      : ManagerProxy<Proxy>(std::move(object)) {}

 private:
  static constexpr std::size_t kMostAtOnce = 1024;

  [[nodiscard]] bool put_before(const T& value, Deadline deadline, std::string_view call) const {
    ManagerRequest request(this->object_, Op::queue_put, call);
    return request.timeout(deadline).value(value).send().found();
  }
  [[nodiscard]] ManagerReply take(Deadline deadline, std::size_t at_most,
                                  std::string_view call) const {
    ManagerRequest request(this->object_, Op::queue_get, call);
    return request.timeout(deadline).raw(std::uint64_t{at_most}).send();
  }
  [[nodiscard]] std::optional<T> get_before(Deadline deadline, std::string_view call) const {
    ManagerReply reply = take(deadline, 1, call);
    if (!reply.found()) return std::nullopt;
    static_cast<void>(reply.template raw<std::uint64_t>());
    return reply.template value<T>();
  }
  [[nodiscard]] std::pair<std::size_t, std::size_t> state(std::string_view call) const {
    ManagerReply reply = this->ask(Op::queue_state, call);
    const auto size = static_cast<std::size_t>(reply.template raw<std::uint64_t>());
    return {size, static_cast<std::size_t>(reply.template raw<std::uint64_t>())};
  }
};

}  // namespace detail

/// Names a queue of a manager. What DictProxy says about copies, lifetime, threads and errors holds
/// here too. Multi-producer, multi-consumer, first in first out, each item to exactly one consumer.
/// Those who wait are served in the order in which they came; who gives up or dies gets nothing, so
/// no item is lost but what a killed consumer had been given.
///
/// Slower than a Queue, since each call is a trip to the server; but it can be a value in a dict,
/// and reaches other machines.
template <class T>
class QueueProxy : public detail::BasicQueueProxy<T, QueueProxy<T>> {
 public:
  /// Names nothing.
  QueueProxy() = default;

  // For the library.
  static constexpr detail::ObjectKind kKind = detail::ObjectKind::queue;
  explicit QueueProxy(detail::ManagerObject object) noexcept
      : detail::BasicQueueProxy<T, QueueProxy>(std::move(object)) {}
};

/// A QueueProxy that knows when everything put into it has been dealt with.
///
/// Every item that is taken must be finished with `task_done` by the process that took it. `join`
/// waits until nothing waits and nothing is unfinished.
template <class T>
class JoinableQueueProxy : public detail::BasicQueueProxy<T, JoinableQueueProxy<T>> {
 public:
  /// Names nothing.
  JoinableQueueProxy() = default;

  /// One item that this process took is dealt with. \throws Error when called more often than it
  /// took
  void task_done() const {
    static_cast<void>(
        this->ask(detail::ManagerOp::queue_task_done, "JoinableQueueProxy::task_done"));
  }
  /// Waits until everything is dealt with.
  /// \throws OwnerDied naming a process that ended with items it had taken and not finished: those
  ///   count as finished from then on, so that one caller is told once and a further join can
  ///   succeed
  void join() const { (void)join_before(detail::Deadline::never(), "JoinableQueueProxy::join"); }
  /// \returns false when something was unfinished
  template <class Rep, class Period>
  [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> timeout) const {
    return join_before(detail::Deadline::after(timeout), "JoinableQueueProxy::join_for");
  }

  // For the library.
  static constexpr detail::ObjectKind kKind = detail::ObjectKind::joinable_queue;
  explicit JoinableQueueProxy(detail::ManagerObject object) noexcept
      : detail::BasicQueueProxy<T, JoinableQueueProxy>(std::move(object)) {}

 private:
  [[nodiscard]] bool join_before(detail::Deadline deadline, std::string_view call) const {
    return this->wait_in_server(detail::ManagerOp::queue_join, call, deadline);
  }
};

}  // namespace tandem
