// The steps of a queue.
#include <algorithm>

#include "manager/store.hpp"
#include "manager/store_text.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {
namespace {

[[noreturn]] void throw_shut_down(std::string_view call, const StoredObject& object, ObjectId id) {
  throw ShutDown(concat(place_of(call, object.kind, id), "the queue was shut down"));
}

}  // namespace

void Store::perform_queue(ManagerOp op, ObjectId id, Object& object, Caller& caller, Reader& from,
                          ReplyWriter& reply) {
  auto& queue = std::get<QueueObject>(object.content);
  const bool joinable = object.kind == ObjectKind::joinable_queue;
  switch (op) {
    case ManagerOp::queue_put: {
      const auto timeout = from.raw<std::int64_t>();
      if (queue.shut_down) throw_shut_down("QueueProxy::put", object, id);
      // As many as there is room for; those that an earlier try has put are passed over.
      for (std::uint64_t i = 0; from.left() > 0; ++i) {
        if (i < caller.notes_.index) {
          skip_value(from);
          continue;
        }
        if (queue.maxsize != 0 && queue.items.size() >= queue.maxsize) {
          if (!want(caller, id, QueueObject::kPutters, timeout)) reply.missing();
          return;
        }
        queue.items.emplace_back(read_value(from));
        keep(queue.items.back().references);
        ++caller.notes_.index;
        if (joinable) ++queue.unfinished;
        change(id, object);
      }
      return;
    }
    case ManagerOp::queue_get: {
      const auto timeout = from.raw<std::int64_t>();
      const auto at_most = from.raw<std::uint64_t>();
      from.expect_end();
      if (at_most == 0) throw DecodeError("QueueProxy::get: no items at all");
      if (queue.items.empty()) {
        if (queue.shut_down) throw_shut_down("QueueProxy::get", object, id);
        if (!want(caller, id, QueueObject::kGetters, timeout)) reply.missing();
        return;
      }
      const std::uint64_t n = std::min(at_most, std::uint64_t{queue.items.size()});
      if (joinable) {
        engage(*caller.client, id);
        queue.taken.try_emplace(caller.client, 0);
      }
      reply.raw(n);
      for (std::uint64_t i = 0; i < n; ++i) reply.value(queue.items[i]);
      if (joinable) queue.taken.find(caller.client)->second += n;
      for (std::uint64_t i = 0; i < n; ++i) {
        drop(queue.items.front().references);
        queue.items.pop_front();
      }
      return change(id, object);
    }
    case ManagerOp::queue_state:
      from.expect_end();
      reply.raw(std::uint64_t{queue.items.size()});
      reply.raw(queue.maxsize);
      return;
    case ManagerOp::queue_shutdown: {
      const bool immediate = from.raw<std::uint8_t>() != 0;
      from.expect_end();
      queue.shut_down = true;
      if (immediate) {
        const std::deque<StoredValue> lost = std::exchange(queue.items, {});
        if (joinable) queue.unfinished -= lost.size();
        for (const StoredValue& value : lost) drop(value.references);
      }
      return change(id, object);
    }
    default:
      break;
  }
  if (!joinable) throw DecodeError("QueueProxy: not an operation of a queue");
  switch (op) {
    case ManagerOp::queue_task_done: {
      from.expect_end();
      const auto taken = queue.taken.find(caller.client);
      if (taken == queue.taken.end() || taken->second == 0) {
        throw Error(concat(place_of("JoinableQueueProxy::task_done", object.kind, id),
                           "called more often than this process took items"));
      }
      --taken->second;
      if (--queue.unfinished == 0) change(id, object);
      return;
    }
    case ManagerOp::queue_join: {
      const auto timeout = from.raw<std::int64_t>();
      from.expect_end();
      if (!queue.losses.empty()) {
        const std::string text = std::move(queue.losses.front());
        queue.losses.pop_front();
        throw OwnerDied(concat(place_of("JoinableQueueProxy::join", object.kind, id), text));
      }
      if (queue.unfinished > 0 && !want(caller, id, QueueObject::kJoiners, timeout)) {
        reply.missing();
      }
      return;
    }
    default:
      throw DecodeError("JoinableQueueProxy: not an operation of a queue");
  }
}

void Store::skip_value(Reader& from) {
  static_cast<void>(from.bytes());
  const auto n = from.raw<std::uint32_t>();
  static_cast<void>(from.take(std::uint64_t{n} * sizeof(ObjectId)));
}

/// What a client that died had taken and not finished counts as finished; one who joins is told.
void Store::lose_taken(ObjectId id, Object& object, QueueObject& queue,
                       const ClientReferences& client) noexcept {
  const auto taken = queue.taken.find(&client);
  if (taken == queue.taken.end()) return;
  const std::uint64_t n = taken->second;
  queue.taken.erase(taken);
  if (n == 0) return;
  queue.unfinished -= n;
  try {
    queue.losses.push_back(
        concat(process_text(client.pid), " ended with ", std::to_string(n), " unfinished items"));
  } catch (const std::bad_alloc&) {
    // Then nobody is told.
  }
  change(id, object);
}

}  // namespace tandem::detail
