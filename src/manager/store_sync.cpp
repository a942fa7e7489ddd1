// The steps of locks, semaphores, conditions, events and barriers.
#include <cerrno>

#include "manager/store.hpp"
#include "manager/store_text.hpp"
#include "os/check.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {
namespace {

[[noreturn]] void throw_died(std::string_view call, const LockObject& lock, ObjectKind kind,
                             ObjectId id) {
  throw OwnerDied(concat(place_of(call, kind, id), process_text(lock.died_pid),
                         " ended while holding it; recover() takes it over"));
}

}  // namespace

// --- locks ---

void Store::perform_lock(ManagerOp op, ObjectId id, Object& object, Caller& caller, Reader& from,
                         ReplyWriter& reply) {
  auto& lock = std::get<LockObject>(object.content);
  const bool recursive = object.kind == ObjectKind::rlock;
  const char* const type = recursive ? "RLockProxy" : "LockProxy";
  const auto timeout = op == ManagerOp::lock_acquire ? from.raw<std::int64_t>() : 0;
  const auto thread = from.raw<std::uint64_t>();
  from.expect_end();
  const bool mine = lock.owner == caller.client && lock.thread == thread;
  const auto take = [&] {
    engage(*caller.client, id);
    lock.owner = caller.client;
    lock.thread = thread;
    lock.times = 1;
  };
  switch (op) {
    case ManagerOp::lock_acquire:
      if (lock.died) throw_died(concat(type, "::lock"), lock, object.kind, id);
      if (lock.owner == nullptr) return take();
      if (mine && recursive) {
        ++lock.times;
        return;
      }
      if (mine && timeout != 0) {
        os::throw_error(EDEADLK, concat(place_of(concat(type, "::lock"), object.kind, id),
                                        "the caller holds it already"));
      }
      if (!want(caller, id, 0, timeout)) reply.missing();
      return;
    case ManagerOp::lock_release:
      if (!mine) {
        os::throw_error(EPERM, concat(place_of(concat(type, "::unlock"), object.kind, id),
                                      "the caller does not hold it"));
      }
      if (--lock.times > 0) return;
      lock.owner = nullptr;
      return change(id, object);
    case ManagerOp::lock_recover:
      if (!lock.died) return reply.missing();
      take();
      lock.died = false;
      return;
    default:
      throw DecodeError("LockProxy: not an operation of a lock");
  }
}

LockObject& Store::lock_of(ObjectId id) {
  auto* const lock = std::get_if<LockObject>(&object(id).content);
  if (lock == nullptr) throw DecodeError("ConditionProxy::wait: not with a lock");
  return *lock;
}

// --- conditions ---

// A waiter lets go of the lock and waits at the condition (phase waiting). Notified, or at its
// deadline, it goes on to wait for the lock (phase locking), as one who locks.
void Store::perform_condition(ManagerOp op, ObjectId id, Object& object, Caller& caller,
                              Reader& from, ReplyWriter& reply) {
  constexpr const char* kCall = "ConditionProxy::wait";
  if (op == ManagerOp::condition_notify) {
    const auto n = from.raw<std::uint64_t>();
    from.expect_end();
    return notify(object, n);
  }
  if (op != ManagerOp::condition_wait) {
    throw DecodeError("ConditionProxy: not an operation of a condition");
  }
  const auto timeout = from.raw<std::int64_t>();
  const auto thread = from.raw<std::uint64_t>();
  const auto lock_id = from.raw<ObjectId>();
  from.expect_end();
  Caller::Notes& notes = caller.notes_;
  LockObject& lock = lock_of(lock_id);
  Object& lock_object = this->object(lock_id);
  if (notes.phase == Caller::Notes::Phase::first) {
    if (lock.owner != caller.client || lock.thread != thread) {
      os::throw_error(EPERM,
                      concat(place_of(kCall, object.kind, id), "the caller does not hold the ",
                             name_of(lock_object.kind, lock_id)));
    }
    notes.phase = Caller::Notes::Phase::waiting;
    notes.lock = lock_id;
    notes.round = lock.times;
    lock.owner = nullptr;
    change(lock_id, lock_object);
    caller.wants_ = id;
    caller.wants_queue_ = 0;
    caller.timeout_ns_ = timeout;
    return;
  }
  if (lock.died) throw_died(kCall, lock, lock_object.kind, lock_id);
  if (notes.phase == Caller::Notes::Phase::locking && lock.owner == nullptr) {
    engage(*caller.client, lock_id);
    lock.owner = caller.client;
    lock.thread = thread;
    lock.times = notes.round;
    if (!notes.notified) reply.missing();
    return;
  }
  caller.wants_ = caller.queued_at_;
}

void Store::notify(Object& condition, std::uint64_t n) noexcept {
  CallerQueue& waiting = condition.waiting[0];
  const bool one_by_one = n < waiting.size();
  for (; n > 0 && !waiting.empty(); --n) {
    Caller& caller = *waiting.front();
    caller.notes_.notified = true;
    caller.notes_.passed_on = one_by_one;
    drop_timer(caller);
    lock_again(caller);
  }
}

void Store::lock_again(Caller& caller) noexcept {
  caller.notes_.phase = Caller::Notes::Phase::locking;
  const ObjectId lock = caller.notes_.lock;
  Object& target = objects_.find(lock)->second;
  caller.queue_->remove(caller);
  caller.queued_at_ = lock;
  target.waiting[0].push_back(caller);
  change(lock, target);
}

// --- semaphores ---

void Store::perform_semaphore(ManagerOp op, ObjectId id, Object& object, Caller& caller,
                              Reader& from, ReplyWriter& reply) {
  auto& semaphore = std::get<SemaphoreObject>(object.content);
  switch (op) {
    case ManagerOp::semaphore_acquire: {
      const auto timeout = from.raw<std::int64_t>();
      from.expect_end();
      if (semaphore.permits > 0) {
        --semaphore.permits;
      } else if (!want(caller, id, 0, timeout)) {
        reply.missing();
      }
      return;
    }
    case ManagerOp::semaphore_release: {
      const auto n = from.raw<std::uint64_t>();
      from.expect_end();
      if (n > semaphore.limit - semaphore.permits) {
        os::throw_error(EOVERFLOW,
                        concat(place_of("SemaphoreProxy::release", object.kind, id),
                               std::to_string(n), " more than ", std::to_string(semaphore.permits),
                               ", at most ", std::to_string(semaphore.limit)));
      }
      semaphore.permits += n;
      return change(id, object);
    }
    case ManagerOp::semaphore_value:
      from.expect_end();
      return reply.raw(semaphore.permits);
    default:
      throw DecodeError("SemaphoreProxy: not an operation of a semaphore");
  }
}

// --- events ---

void Store::perform_event(ManagerOp op, ObjectId id, Object& object, Caller& caller, Reader& from,
                          ReplyWriter& reply) {
  auto& event = std::get<EventObject>(object.content);
  switch (op) {
    case ManagerOp::event_set:
      from.expect_end();
      if (event.set) return;
      event.set = true;
      ++event.sets;
      return change(id, object);
    case ManagerOp::event_clear:
      from.expect_end();
      event.set = false;
      return;
    case ManagerOp::event_is_set:
      from.expect_end();
      if (!event.set) reply.missing();
      return;
    case ManagerOp::event_wait: {
      const auto timeout = from.raw<std::int64_t>();
      from.expect_end();
      const bool parked = caller.state_ == Caller::State::parked;
      if (event.set || (parked && caller.notes_.round != event.sets)) return;
      if (!parked) caller.notes_.round = event.sets;
      if (!want(caller, id, 0, timeout)) reply.missing();
      return;
    }
    default:
      throw DecodeError("EventProxy: not an operation of an event");
  }
}

// --- barriers ---

void Store::perform_barrier(ManagerOp op, ObjectId id, Object& object, Caller& caller, Reader& from,
                            ReplyWriter& reply) {
  auto& barrier = std::get<BarrierObject>(object.content);
  const std::uint64_t waiting = object.waiting[0].size();
  switch (op) {
    case ManagerOp::barrier_wait: {
      const auto timeout = from.raw<std::int64_t>();
      from.expect_end();
      Caller::Notes& notes = caller.notes_;
      const bool parked = caller.state_ == Caller::State::parked;
      if (parked ? barrier.broken_round == notes.round : barrier.broken) {
        throw BrokenBarrier(concat(place_of("BarrierProxy::wait", object.kind, id), barrier.why));
      }
      if (!parked) {
        notes.round = barrier.round;
        notes.index = waiting;
        if (waiting + 1 == barrier.parties) {
          ++barrier.round;
          change(id, object);
        }
      }
      if (notes.round != barrier.round) return reply.raw(notes.index);
      // Not `want`: one who does not wait at all breaks it as one whose time is up.
      caller.wants_ = id;
      caller.wants_queue_ = 0;
      caller.timeout_ns_ = timeout;
      return;
    }
    case ManagerOp::barrier_abort:
      from.expect_end();
      return break_barrier(id, object, "it was aborted");
    case ManagerOp::barrier_reset:
      from.expect_end();
      if (waiting > 0) break_barrier(id, object, "it was reset");
      barrier.broken = false;
      return;
    case ManagerOp::barrier_state:
      from.expect_end();
      reply.raw(barrier.parties);
      reply.raw(waiting);
      return reply.raw(static_cast<std::uint8_t>(barrier.broken));
    default:
      throw DecodeError("BarrierProxy: not an operation of a barrier");
  }
}

void Store::break_barrier(ObjectId id, Object& object, const char* why) noexcept {
  auto& barrier = std::get<BarrierObject>(object.content);
  barrier.why = why;
  barrier.broken = true;
  barrier.broken_round = barrier.round++;
  change(id, object);
}

}  // namespace tandem::detail
