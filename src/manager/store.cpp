#include "manager/store.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <variant>

#include "base/text.hpp"
#include "manager/store_text.hpp"
#include "os/check.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

using manager_protocol::kind_name;
using manager_protocol::RequestHeader;

namespace {

bool may_run_user_code(ManagerOp op) {
  return op == ManagerOp::dict_apply || op == ManagerOp::list_apply || op == ManagerOp::list_sort ||
         op == ManagerOp::object_call || op == ManagerOp::create || op == ManagerOp::batch;
}

/// Of those in a range of the list's operations, these leave its length alone.
bool keeps_length(ManagerOp op) {
  switch (op) {
    case ManagerOp::list_get:
    case ManagerOp::list_set:
    case ManagerOp::list_slice:
    case ManagerOp::list_size:
    case ManagerOp::list_apply:
    case ManagerOp::list_fetch_add:
    case ManagerOp::list_compare_exchange:
    case ManagerOp::list_exchange:
      return true;
    default:
      return false;
  }
}

}  // namespace

// --- steps ---

bool Store::perform(Caller& caller, std::span<const std::byte> request) {
  caller.notes_ = {};
  bool there = step(caller, request);
  if (!there && caller.wants_ != 0) {
    there = park(caller, request);
    if (!there && caller.timeout_ns_ == 0) expire();
  } else if (!there) {
    give_out(caller);
  }
  settle();
  return there;
}

/// \returns whether the reply is there; else the caller wants to wait or has user code to be run
bool Store::step(Caller& caller, std::span<const std::byte> request) {
  caller.wants_ = 0;
  ReplyWriter writer(*this, *caller.client, caller.reply);
  try {
    Reader from(request);
    if (may_run_user_code(static_cast<ManagerOp>(Reader(request).raw<RequestHeader>().op)) &&
        request.data() != caller.request.data()) {
      // The bytes have to stay, since user code may run for long.
      caller.request.clear();
      caller.request.append(request.data(), request.size());
      from = Reader(caller.request.bytes());
    }
    perform_one(caller, from, writer);
    if (caller.wants_ != 0 || caller.user_.kind != UserCall::Kind::none) return false;
  } catch (...) {  // all of it is the client's: it rethrows there
    caller.wants_ = 0;
    caller.user_.reset();
    caller.batch_.reset();
    writer.raise(std::current_exception(), where_);
  }
  writer.finish();
  return true;
}

void Store::perform_one(Caller& caller, Reader& from, ReplyWriter& reply) {
  const auto header = from.raw<RequestHeader>();
  const auto op = static_cast<ManagerOp>(header.op);
  if (header.object == 0) return perform_manager(op, caller, from, reply);
  perform_on(header.object, op, caller, from, reply);
}

void Store::perform_on(ObjectId id, ManagerOp op, Caller& caller, Reader& from,
                       ReplyWriter& reply) {
  Object& target = object(id);
  if (target.busy && !caller.batch_.active) {
    static_cast<void>(want(caller, id, 0, -1));
    return;
  }
  // The step itself refers to the object: what it erases may hold the last other reference.
  struct Hold {
    Store* store;
    ObjectId id;
    ~Hold() { store->unreference(id, 1); }
  };
  ++target.references;
  const Hold hold{this, id};
  caller.user_.object_id = id;
  switch (target.kind) {
    case ObjectKind::dict:
    case ObjectKind::namespace_:
      return perform_dict(op, std::get<DictObject>(target.content), caller, from, reply);
    case ObjectKind::value:
    case ObjectKind::array:
      if (!keeps_length(op)) {
        throw DecodeError(concat("Manager: not an operation of this ", kind_name(target.kind)));
      }
      [[fallthrough]];
    case ObjectKind::list:
      return perform_list(op, std::get<ListObject>(target.content), caller, from, reply);
    case ObjectKind::queue:
    case ObjectKind::joinable_queue:
      return perform_queue(op, id, target, caller, from, reply);
    case ObjectKind::lock:
    case ObjectKind::rlock:
      return perform_lock(op, id, target, caller, from, reply);
    case ObjectKind::semaphore:
    case ObjectKind::bounded_semaphore:
      return perform_semaphore(op, id, target, caller, from, reply);
    case ObjectKind::condition:
      return perform_condition(op, id, target, caller, from, reply);
    case ObjectKind::event:
      return perform_event(op, id, target, caller, from, reply);
    case ObjectKind::barrier:
      return perform_barrier(op, id, target, caller, from, reply);
    case ObjectKind::object:
      return perform_user_object(op, std::get<UserObject>(target.content), caller, from);
  }
}

void Store::perform_manager(ManagerOp op, Caller& caller, Reader& from, ReplyWriter& reply) {
  ClientReferences& client = *caller.client;
  switch (op) {
    case ManagerOp::create:
      return create(caller, from, reply);
    case ManagerOp::attach: {
      const auto id = from.raw<ObjectId>();
      const auto token = from.raw<std::uint64_t>();
      from.expect_end();
      if (!objects_.contains(id)) return reply.missing();
      reply.grant(id);
      const auto pin = pins_.find(token);
      if (pin == pins_.end()) return;
      const auto at = pin->second->pins.find(token);
      if (at->second != id) return;
      pin->second->pins.erase(at);
      pins_.erase(pin);
      return unreference(id, 1);
    }
    case ManagerOp::pin: {
      const auto id = from.raw<ObjectId>();
      from.expect_end();
      Object& pinned = object(id);
      const std::uint64_t token = last_token_ + 1;
      reply.raw(token);
      client.pins.emplace(token, id);
      try {
        pins_.emplace(token, &client);
      } catch (...) {
        client.pins.erase(token);
        throw;
      }
      last_token_ = token;
      ++pinned.references;
      return;
    }
    case ManagerOp::release:
      while (from.left() > 0) {
        const auto id = from.raw<ObjectId>();
        release(client, id, from.raw<std::uint64_t>());
      }
      return;
    case ManagerOp::introduce:
      client.pid = from.raw<std::int32_t>();
      return from.expect_end();
    case ManagerOp::batch:
      return begin_batch(caller, from, reply);
    case ManagerOp::shutdown:
      shutting_down_ = true;
      return;
    case ManagerOp::statistics:
      reply.raw(std::uint64_t{objects_.size()});
      reply.raw(std::uint64_t{connections_});
      return;
    default:
      throw DecodeError("Manager: an operation this server does not know");
  }
}

void Store::create(Caller& caller, Reader& from, ReplyWriter& reply) {
  const auto kind = from.raw<ObjectKind>();
  const auto type = from.raw<std::uint32_t>();
  const std::string name(from.text());
  if (kind < ObjectKind::dict || kind > ObjectKind::object) {
    throw DecodeError("Manager: a kind of object this server does not know");
  }
  if (!name.empty()) {
    if (const auto there = names_.find(name); there != names_.end()) {
      const Object& named = object(there->second);
      if (named.kind != kind || named.type != type) {
        throw Error(concat("Manager: the name ", name, " belongs to an object of another type"));
      }
      if (kind == ObjectKind::object && std::get<UserObject>(named.content) == nullptr) {
        // Its constructor runs. If that fails, this request is the next to try.
        static_cast<void>(want(caller, there->second, 0, -1));
        return;
      }
      reply.raw(there->second);
      return reply.grant(there->second);
    }
  }
  const ObjectId id = last_id_ + 1;
  Object& created = objects_.try_emplace(id).first->second;
  created.kind = kind;
  created.type = type;
  created.references = 1;  // this step's own, until it has succeeded
  last_id_ = id;
  try {
    fill(created, caller, from);
    if (kind != ObjectKind::object) {  // whose reply is made when it has been constructed
      reply.raw(id);
      reply.grant(id);
    }
    if (!name.empty()) {
      names_.emplace(name, id);
      ++created.references;
    }
  } catch (...) {
    caller.user_.reset();
    unreference(id, 1);
    throw;
  }
  caller.user_.object_id = id;
  if (kind == ObjectKind::object) return;  // the reference is the constructor's now
  unreference(id, 1);
}

void Store::fill(Object& created, Caller& caller, Reader& from) {
  Buffer unused;
  ReplyWriter nothing(*this, *caller.client, unused);
  const auto number = [&](std::uint64_t least, std::uint64_t most) {
    const auto n = from.raw<std::uint64_t>();
    from.expect_end();
    if (n < least || n > most) {
      os::throw_error(EINVAL, concat("Manager: a ", kind_name(created.kind),
                                     " cannot be made with ", std::to_string(n)));
    }
    return n;
  };
  constexpr std::uint64_t kMostPermits = (std::uint64_t{1} << 31) - 1;
  switch (created.kind) {
    case ObjectKind::dict:
    case ObjectKind::namespace_:
      return perform_dict(ManagerOp::dict_update, created.content.emplace<DictObject>(), caller,
                          from, nothing);
    case ObjectKind::list:
    case ObjectKind::value:
    case ObjectKind::array: {
      auto& list = created.content.emplace<ListObject>();
      perform_list(ManagerOp::list_extend, list, caller, from, nothing);
      if (created.kind == ObjectKind::value && list.size() != 1) {
        throw DecodeError("Manager: a value is one value");
      }
      return;
    }
    case ObjectKind::queue:
    case ObjectKind::joinable_queue:
      created.content.emplace<QueueObject>().maxsize = number(0, ~std::uint64_t{0});
      return;
    case ObjectKind::lock:
    case ObjectKind::rlock:
      from.expect_end();
      created.content.emplace<LockObject>();
      return;
    case ObjectKind::semaphore:
    case ObjectKind::bounded_semaphore: {
      auto& semaphore = created.content.emplace<SemaphoreObject>();
      semaphore.permits = number(0, kMostPermits);
      semaphore.limit = created.kind == ObjectKind::semaphore ? kMostPermits : semaphore.permits;
      return;
    }
    case ObjectKind::condition:
      from.expect_end();
      created.content.emplace<ConditionObject>();
      return;
    case ObjectKind::event:
      from.expect_end();
      created.content.emplace<EventObject>();
      return;
    case ObjectKind::barrier:
      created.content.emplace<BarrierObject>().parties = number(1, 65536);
      return;
    case ObjectKind::object:
      created.content.emplace<UserObject>();
      return prepare_make(caller, from);
  }
}

// --- values ---

ArrivingValue Store::read_value(Reader& from) {
  const auto bytes = from.bytes();
  const auto n = from.raw<std::uint32_t>();
  if (n > from.left() / sizeof(ObjectId)) {
    throw DecodeError("manager message: shorter than it says");
  }
  std::vector<ObjectId> references(n);
  for (ObjectId& id : references) id = from.raw<ObjectId>();
  return {bytes, check(std::move(references))};
}

References Store::check(std::vector<ObjectId> references) {
  if (references.empty()) return nullptr;
  for (const ObjectId id : references) static_cast<void>(object(id));
  return std::make_unique<const std::vector<ObjectId>>(std::move(references));
}

namespace {

template <class T>
void add_number(std::string_view value, manager_protocol::Reader& from, StoredValue& sum,
                ReplyWriter& reply) {
  const T n = from.raw<T>();
  from.expect_end();
  if (value.size() != sizeof(T)) throw DecodeError("fetch_add: the value is no such number");
  T before;
  std::memcpy(&before, value.data(), sizeof before);
  T after;
  if constexpr (std::is_floating_point_v<T>) {
    after = before + n;
  } else {
    using Unsigned = std::make_unsigned_t<T>;
    after = static_cast<T>(
        static_cast<Unsigned>(static_cast<Unsigned>(before) + static_cast<Unsigned>(n)));
  }
  sum.bytes = StoredBytes({reinterpret_cast<const char*>(&after), sizeof after});
  reply.raw(before);
}

}  // namespace

StoredValue Store::add(std::string_view value, Reader& from, ReplyWriter& reply) {
  StoredValue sum;
  switch (from.raw<NumberType>()) {
    case NumberType::i8:
      add_number<std::int8_t>(value, from, sum, reply);
      return sum;
    case NumberType::u8:
      add_number<std::uint8_t>(value, from, sum, reply);
      return sum;
    case NumberType::i16:
      add_number<std::int16_t>(value, from, sum, reply);
      return sum;
    case NumberType::u16:
      add_number<std::uint16_t>(value, from, sum, reply);
      return sum;
    case NumberType::i32:
      add_number<std::int32_t>(value, from, sum, reply);
      return sum;
    case NumberType::u32:
      add_number<std::uint32_t>(value, from, sum, reply);
      return sum;
    case NumberType::i64:
      add_number<std::int64_t>(value, from, sum, reply);
      return sum;
    case NumberType::u64:
      add_number<std::uint64_t>(value, from, sum, reply);
      return sum;
    case NumberType::f32:
      add_number<float>(value, from, sum, reply);
      return sum;
    case NumberType::f64:
      add_number<double>(value, from, sum, reply);
      return sum;
  }
  throw DecodeError("fetch_add: a type of number this server does not know");
}

// --- references ---

Store::Object& Store::object(ObjectId id) {
  const auto at = objects_.find(id);
  if (at == objects_.end()) {
    throw Error(
        concat("object ", std::to_string(id), " is no longer there: nobody referred to it"));
  }
  return at->second;
}

void Store::hold(ClientReferences& client, ObjectId id) {
  Object& held = object(id);
  ++client.held[id];
  ++held.references;
}

void Store::greet(ClientReferences& client, ObjectId id) {
  if (objects_.contains(id)) hold(client, id);
}

void Store::release(ClientReferences& client, ObjectId id, std::uint64_t n) noexcept {
  const auto at = client.held.find(id);
  if (at == client.held.end()) return;
  const std::uint64_t taken = std::min(n, at->second);
  at->second -= taken;
  if (at->second == 0) client.held.erase(at);
  unreference(id, taken);
}

void Store::forget(ClientReferences& client) noexcept {
  disengage(client);
  for (const auto& [token, id] : client.pins) {
    pins_.erase(token);
    unreference(id, 1);
  }
  client.pins.clear();
  for (const auto& [id, n] : client.held) unreference(id, n);
  client.held.clear();
  settle();
}

void Store::keep(const References& references) noexcept {
  if (references == nullptr) return;
  for (const ObjectId id : *references) ++objects_.find(id)->second.references;
}

void Store::drop(const References& references) noexcept {
  if (references == nullptr) return;
  for (const ObjectId id : *references) unreference(id, 1);
}

void Store::replace(StoredValue& old, StoredValue with) noexcept {
  keep(with.references);
  std::swap(old, with);
  drop(with.references);
}

void Store::replace(DictObject& dict, DictEntry& old, ArrivingValue with) {
  if (old.has_room_for(with.bytes.size())) {
    keep(with.references);
    return drop(old.exchange(std::move(with)));
  }
  auto fresh = DictObject::make(memory_, old.key(), std::move(with));
  keep(fresh->references());
  drop(dict.put(std::move(fresh)));
}

void Store::unreference(ObjectId id, std::uint64_t n) noexcept {
  Object& target = objects_.find(id)->second;
  target.references -= n;
  if (target.references > 0) return;
  // Chained through the objects themselves, so that this needs no memory and containers that nest
  // without limit need no stack.
  target.next_dead = first_dead_;
  first_dead_ = id;
  if (burying_) return;
  burying_ = true;
  while (first_dead_ != 0) {
    const auto at = objects_.find(first_dead_);
    first_dead_ = at->second.next_dead;
    auto& content = at->second.content;
    if (const auto* const dict = std::get_if<DictObject>(&content)) {
      for (const DictEntry* entry = dict->oldest(); entry != nullptr; entry = entry->newer()) {
        drop(entry->references());
      }
    } else if (const auto* const list = std::get_if<ListObject>(&content)) {
      for (const StoredValue& value : *list) drop(value.references);
    } else if (const auto* const queue = std::get_if<QueueObject>(&content)) {
      for (const StoredValue& value : queue->items) drop(value.references);
    }
    objects_.erase(at);
  }
  burying_ = false;
}

}  // namespace tandem::detail
