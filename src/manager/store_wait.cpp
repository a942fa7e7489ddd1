// Requests that wait: where they wait, and what ends it.
#include <algorithm>
#include <chrono>

#include "manager/store.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

bool Store::want(Caller& caller, ObjectId id, unsigned queue, std::int64_t timeout_ns) {
  if (timeout_ns == 0 && caller.state_ != Caller::State::parked) return false;
  caller.wants_ = id;
  caller.wants_queue_ = queue;
  caller.timeout_ns_ = timeout_ns;
  return true;
}

/// \returns true when there was no memory for it, which is then the reply
bool Store::park(Caller& caller, std::span<const std::byte> request) {
  Object& target = objects_.find(caller.wants_)->second;
  try {
    if (request.data() != caller.request.data()) {
      caller.request.clear();
      caller.request.append(request.data(), request.size());
    }
    if (caller.timeout_ns_ >= 0) {
      const Deadline deadline = Deadline::after(std::chrono::nanoseconds(caller.timeout_ns_));
      caller.timer_ = timers_.emplace(deadline.ns(), &caller);
      find_next_deadline();
    }
  } catch (...) {
    ReplyWriter writer(*this, *caller.client, caller.reply);
    writer.raise(std::current_exception(), where_);
    writer.finish();
    return true;
  }
  ++target.references;
  caller.object_ = caller.wants_;
  caller.queued_at_ = caller.wants_;
  if (caller.notes_.lock != 0) ++objects_.find(caller.notes_.lock)->second.references;
  target.waiting[caller.wants_queue_].push_back(caller);
  caller.state_ = Caller::State::parked;
  return false;
}

void Store::unpark(Caller& caller) noexcept {
  caller.queue_->remove(caller);
  drop_timer(caller);
  caller.state_ = Caller::State::idle;
  if (caller.notes_.lock != 0) unreference(caller.notes_.lock, 1);
  unreference(caller.object_, 1);
}

void Store::drop_timer(Caller& caller) noexcept {
  if (!caller.timer_) return;
  timers_.erase(*caller.timer_);
  caller.timer_.reset();
  find_next_deadline();
}

void Store::find_next_deadline() noexcept {
  next_deadline_ = Deadline::never();
  if (timers_.empty()) return;
  using TimePoint = std::chrono::time_point<Deadline::Clock, std::chrono::nanoseconds>;
  next_deadline_ = Deadline::at(TimePoint(std::chrono::nanoseconds(timers_.begin()->first)));
}

void Store::answered(Caller& caller) noexcept {
  caller.state_ = Caller::State::answered;
  answered_.push_back(caller);
}

Caller* Store::next_answered() noexcept {
  Caller* const caller = answered_.pop_front();
  if (caller != nullptr) caller->state_ = Caller::State::idle;
  return caller;
}

// --- objects that have changed ---

void Store::change(ObjectId id, Object& target) noexcept {
  if (target.changed || !target.awaited()) return;
  target.changed = true;
  ++target.references;
  target.next_changed = first_changed_;
  first_changed_ = id;
}

void Store::settle() noexcept {
  if (settling_) return;
  settling_ = true;
  while (first_changed_ != 0) {
    const ObjectId id = first_changed_;
    Object& target = objects_.find(id)->second;
    first_changed_ = target.next_changed;
    target.changed = false;
    for (CallerQueue& queue : target.waiting) try_again(target, queue);
    unreference(id, 1);
  }
  settling_ = false;
}

void Store::try_again(const Object& at, CallerQueue& queue) noexcept {
  Caller* next = queue.front();
  while (Caller* const caller = next) {
    next = CallerQueue::after(*caller);
    bool done = true;
    try {
      done = step(*caller, caller->request.bytes());
    } catch (...) {
      caller->reply.clear();  // no memory for an answer, which ends the connection
    }
    if (!done && caller->wants_ != 0) {
      // Who waits for something else by now, as a batch may, goes there; the others keep their
      // order. At a condition everybody waits for something of his own.
      if (caller->wants_ == caller->queued_at_) {
        if (at.kind == ObjectKind::condition) continue;
        return;
      }
      move(*caller, caller->wants_, caller->wants_queue_);
      continue;
    }
    unpark(*caller);
    done ? answered(*caller) : give_out(*caller);
  }
}

/// To the end of another queue; the first object and the deadline stay what they are.
void Store::move(Caller& caller, ObjectId id, unsigned queue) noexcept {
  Object& target = objects_.find(id)->second;
  caller.queue_->remove(caller);
  if (caller.object_ == caller.queued_at_) {
    ++target.references;
    unreference(std::exchange(caller.object_, id), 1);
  }
  caller.queued_at_ = id;
  target.waiting[queue].push_back(caller);
}

// --- who gives up, who is gone ---

void Store::expire() noexcept {
  while (next_deadline_.passed()) {
    Caller& caller = *timers_.begin()->second;
    drop_timer(caller);
    if (caller.notes_.phase == Caller::Notes::Phase::waiting) {
      lock_again(caller);
      continue;
    }
    const ObjectId id = caller.object_;
    Object& target = objects_.find(id)->second;
    if (target.kind == ObjectKind::barrier) {
      break_barrier(id, target, "a party has waited for too long");
      continue;
    }
    unpark(caller);
    ReplyWriter writer(*this, *caller.client, caller.reply);
    writer.missing();
    writer.finish();
    answered(caller);
  }
  settle();
}

bool Store::abandon(Caller& caller) noexcept {
  switch (caller.state_) {
    case Caller::State::idle:
      break;
    case Caller::State::running:
    case Caller::State::orphaned:
      caller.state_ = Caller::State::orphaned;
      return false;
    case Caller::State::answered:
      answered_.remove(caller);
      break;
    case Caller::State::to_run:
      to_run_.remove(caller);
      end_user_call(caller, true);
      let_go_of_batch(caller);
      break;
    case Caller::State::parked: {
      const ObjectId id = caller.object_;
      Object& target = objects_.find(id)->second;
      if (caller.notes_.phase == Caller::Notes::Phase::locking && caller.notes_.passed_on) {
        notify(target, 1);  // another may have the notification
      }
      if (target.kind == ObjectKind::barrier) break_barrier(id, target, "a party has died");
      unpark(caller);
      break;
    }
  }
  caller.state_ = Caller::State::idle;
  settle();
  return true;
}

// --- what a client owes ---

void Store::engage(ClientReferences& client, ObjectId id) {
  if (client.engaged.size() >= client.prune_engaged_at) {
    std::erase_if(client.engaged, [this](ObjectId old) { return !objects_.contains(old); });
    client.prune_engaged_at = 2 * client.engaged.size() + 64;
  }
  client.engaged.insert(id);
}

void Store::disengage(ClientReferences& client) noexcept {
  for (const ObjectId id : client.engaged) {
    const auto at = objects_.find(id);
    if (at == objects_.end()) continue;
    if (auto* const queue = std::get_if<QueueObject>(&at->second.content)) {
      lose_taken(id, at->second, *queue, client);
    } else if (auto* const lock = std::get_if<LockObject>(&at->second.content);
               lock != nullptr && lock->owner == &client) {
      lock->owner = nullptr;
      lock->died = true;
      lock->died_pid = client.pid;
      change(id, at->second);
      // Those who wait for a condition with this lock are to be told.
      for (auto& [other, object] : objects_) {
        if (object.kind == ObjectKind::condition) change(other, object);
      }
    }
  }
  client.engaged.clear();
}

}  // namespace tandem::detail
