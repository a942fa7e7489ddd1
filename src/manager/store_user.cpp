// Steps that run the user's code, and batches, which may have such steps in them.
#include <algorithm>

#include "manager/store.hpp"
#include "manager/store_text.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

using manager_protocol::RequestHeader;

// --- user code to be run ---

void Store::prepare_apply(std::span<const std::byte> value, Caller& caller, Reader& from) {
  UserCall& user = caller.user_;
  user.apply = resolve(from.raw<ThunkKey<ApplyThunk>>());
  user.call = from.bytes();
  from.expect_end();
  user.value = value;
  user.kind = UserCall::Kind::apply;
  ++object(user.object_id).references;
}

void Store::prepare_sort(ListObject& list, Caller& caller, Reader& from) {
  UserCall& user = caller.user_;
  user.sort = resolve(from.raw<ThunkKey<SortThunk>>());
  user.call = from.bytes();
  from.expect_end();
  user.values.reserve(list.size());
  for (const StoredValue& value : list) user.values.push_back(value.span());
  user.kind = UserCall::Kind::sort;
  ++object(user.object_id).references;
}

void Store::prepare_make(Caller& caller, Reader& from) {
  UserCall& user = caller.user_;
  user.make = resolve(from.raw<ThunkKey<MakeThunk>>());
  user.call = from.bytes();
  from.expect_end();
  user.kind = UserCall::Kind::make;
}

void Store::perform_user_object(ManagerOp op, UserObject& object_here, Caller& caller,
                                Reader& from) {
  if (op != ManagerOp::object_call) throw DecodeError("ObjectProxy: not an operation of an object");
  if (object_here == nullptr) {
    throw Error("ObjectProxy: the object does not exist: its constructor has failed");
  }
  UserCall& user = caller.user_;
  user.method = from.raw<FunctionPlace>();
  user.call = from.bytes();
  from.expect_end();
  user.object = object_here.get();
  user.kind = UserCall::Kind::call;
  ++object(user.object_id).references;
}

void Store::give_out(Caller& caller) noexcept {
  if (!caller.batch_.active) {
    objects_.find(caller.user_.object_id)->second.busy = true;
  } else if (!caller.batch_.keeps_them) {
    caller.batch_.keeps_them = true;
    for (const ObjectId id : caller.batch_.objects) {
      Object& kept = objects_.find(id)->second;
      kept.busy = true;
      ++kept.references;
    }
  }
  caller.state_ = Caller::State::to_run;
  to_run_.push_back(caller);
}

Caller* Store::next_call() noexcept {
  Caller* const caller = to_run_.pop_front();
  if (caller != nullptr) caller->state_ = Caller::State::running;
  return caller;
}

// --- what it has made ---

bool Store::finish(Caller& caller) noexcept {
  const bool orphan = caller.state_ == Caller::State::orphaned;
  ClientReferences nobody;
  if (orphan) caller.client = &nobody;
  caller.state_ = Caller::State::idle;
  if (caller.batch_.active) {
    finish_batch(caller, orphan);
  } else {
    bool failed = false;
    try {
      ReplyWriter writer(*this, *caller.client, caller.reply);
      try {
        commit(caller.user_, writer);
      } catch (...) {
        failed = true;
        writer.raise(std::current_exception(), where_);
      }
      writer.finish();
    } catch (...) {
      caller.reply.clear();  // no memory for an answer, which ends the connection
    }
    end_user_call(caller, failed);
    answered(caller);
  }
  settle();
  if (!orphan) return true;
  static_cast<void>(abandon(caller));
  forget(nobody);
  return false;
}

void Store::commit(UserCall& user, ReplyWriter& reply) {
  if (user.error) std::rethrow_exception(user.error);
  Object& target = object(user.object_id);
  switch (user.kind) {
    case UserCall::Kind::apply: {
      ArrivingValue made{user.updated.bytes(), check(std::move(user.updated_references))};
      reply.bytes(user.result.bytes());
      for (const ObjectId id : user.result_references) reply.grant(id);
      if (user.dict_target == nullptr) return replace(*user.target, StoredValue(std::move(made)));
      return replace(std::get<DictObject>(target.content), *user.dict_target, std::move(made));
    }
    case UserCall::Kind::sort: {
      auto& list = std::get<ListObject>(target.content);
      ListObject sorted(list.size());
      for (std::size_t i = 0; i < user.order.size(); ++i) {
        sorted[i] = std::move(list[user.order[i]]);
      }
      list.swap(sorted);
      return;
    }
    case UserCall::Kind::make:
      reply.raw(user.object_id);
      reply.grant(user.object_id);
      std::get<UserObject>(target.content) = std::move(user.made);
      return;
    case UserCall::Kind::call:
      reply.bytes(user.result.bytes());
      for (const ObjectId id : user.result_references) reply.grant(id);
      return;
    case UserCall::Kind::none:
      return;
  }
}

/// Lets others at the object again. Of one whose constructor failed nothing stays.
void Store::end_user_call(Caller& caller, bool failed) noexcept {
  const ObjectId id = caller.user_.object_id;
  Object& target = objects_.find(id)->second;
  if (failed && caller.user_.kind == UserCall::Kind::make) {
    const auto named = std::find_if(names_.begin(), names_.end(),
                                    [id](const auto& name) { return name.second == id; });
    if (named != names_.end()) {
      names_.erase(named);
      --target.references;
    }
  }
  caller.user_.reset();
  if (!caller.batch_.active) {
    target.busy = false;
    change(id, target);
  }
  unreference(id, 1);
}

// --- batches ---

void Store::begin_batch(Caller& caller, Reader& from, ReplyWriter& reply) {
  const std::size_t start = caller.request.size() - from.left();
  std::vector<ObjectId>& objects = caller.batch_.objects;
  objects.clear();
  while (from.left() > 0) {
    // A batch in a batch would be a way to use up the stack.
    const auto header = Reader(from.bytes()).raw<RequestHeader>();
    const bool of_container = header.op >= static_cast<std::uint16_t>(ManagerOp::dict_get) &&
                              header.op <= static_cast<std::uint16_t>(ManagerOp::list_exchange);
    if (header.object == 0 || !of_container) {
      throw DecodeError("Manager: a batch is of steps on containers");
    }
    if (objects.empty() || objects.back() != header.object) objects.push_back(header.object);
  }
  std::sort(objects.begin(), objects.end());
  objects.erase(std::unique(objects.begin(), objects.end()), objects.end());
  std::erase_if(objects, [this](ObjectId id) { return !objects_.contains(id); });
  for (const ObjectId id : objects) {
    if (objects_.find(id)->second.busy) {
      static_cast<void>(want(caller, id, 0, -1));
      return;
    }
  }
  caller.batch_.active = true;
  caller.batch_.next = start;
  caller.batch_.replies.clear();
  if (!go_on(caller)) return;
  reply.append(caller.batch_.replies.bytes());
  caller.batch_.reset();
}

/// Does its steps, complete replies one after another.
/// \returns false when user code is to be run first
bool Store::go_on(Caller& caller) {
  Caller::Batch& batch = caller.batch_;
  Reader from(caller.request.bytes().subspan(batch.next));
  while (from.left() > 0) {
    Reader one(from.bytes());
    batch.next = caller.request.size() - from.left();
    Buffer reply;
    ReplyWriter writer(*this, *caller.client, reply);
    try {
      const auto header = one.raw<RequestHeader>();
      perform_on(header.object, static_cast<ManagerOp>(header.op), caller, one, writer);
      if (caller.user_.kind != UserCall::Kind::none) return false;
    } catch (...) {
      caller.user_.reset();
      writer.raise(std::current_exception(), where_);
    }
    writer.finish();
    manager_protocol::put_bytes(batch.replies, reply.bytes());
  }
  return true;
}

void Store::finish_batch(Caller& caller, bool orphan) noexcept {
  Caller::Batch& batch = caller.batch_;
  try {
    Buffer reply;
    ReplyWriter one(*this, *caller.client, reply);
    try {
      commit(caller.user_, one);
    } catch (...) {
      one.raise(std::current_exception(), where_);
    }
    end_user_call(caller, false);
    one.finish();
    manager_protocol::put_bytes(batch.replies, reply.bytes());
    if (!orphan && !go_on(caller)) return give_out(caller);
    ReplyWriter whole(*this, *caller.client, caller.reply);
    whole.append(batch.replies.bytes());
    whole.finish();
  } catch (...) {
    caller.reply.clear();  // no memory for an answer, which ends the connection
    if (caller.user_.kind != UserCall::Kind::none) end_user_call(caller, false);
  }
  let_go_of_batch(caller);
  answered(caller);
}

void Store::let_go_of_batch(Caller& caller) noexcept {
  if (!caller.batch_.keeps_them) return caller.batch_.reset();
  for (const ObjectId id : caller.batch_.objects) {
    Object& kept = objects_.find(id)->second;
    kept.busy = false;
    change(id, kept);
    unreference(id, 1);
  }
  caller.batch_.reset();
}

}  // namespace tandem::detail
