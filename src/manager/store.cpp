#include "manager/store.hpp"

#include <cstring>
#include <tuple>
#include <utility>

#include "base/text.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/call.hpp"
#include "tandem/detail/exception.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

using manager_protocol::ReplyStatus;
using manager_protocol::RequestHeader;

// --- ReplyWriter ---

ReplyWriter::ReplyWriter(Store& store, ClientReferences& client, Buffer& to)
    : store_(&store), client_(&client), to_(&to) {
  begin();
}

void ReplyWriter::begin() {
  to_->clear();
  raw(manager_protocol::PieceHeader());
  raw(header_);
}

void ReplyWriter::bytes(std::span<const std::byte> b) {
  raw(std::uint64_t{b.size()});
  to_->append(b.data(), b.size());
}

void ReplyWriter::value(const StoredValue& v) {
  bytes(v.span());
  if (v.references == nullptr) return;
  for (const ObjectId id : *v.references) grant(id);
}

void ReplyWriter::grant(ObjectId id) {
  granted_.push_back(id);
  try {
    store_->hold(*client_, id);
  } catch (...) {
    granted_.pop_back();
    throw;
  }
}

void ReplyWriter::raise(const std::exception_ptr& error, std::string_view where) {
  for (const ObjectId id : granted_) store_->release(*client_, id, 1);
  granted_.clear();
  header_.status = ReplyStatus::raised;
  begin();
  Encoder encoder(*to_, Route::manager, nullptr);
  encode_exception(encoder, error, where);
}

void ReplyWriter::finish() {
  to_->append(granted_.data(), granted_.size() * sizeof(ObjectId));
  raw(static_cast<std::uint32_t>(granted_.size()));
  std::memcpy(to_->data() + sizeof(manager_protocol::PieceHeader), &header_, sizeof header_);
}

// --- DictObject ---

DictObject::Entry* DictObject::find(std::string_view key) {
  const auto at = entries_.find(key);
  return at == entries_.end() ? nullptr : &at->second;
}

std::pair<DictObject::Entry*, bool> DictObject::insert(std::string_view key) {
  if (Entry* const there = find(key)) return {there, false};
  const auto at =
      entries_
          .emplace(std::piecewise_construct, std::forward_as_tuple(key), std::forward_as_tuple())
          .first;
  Entry& entry = at->second;
  entry.key = &at->first;
  entry.older = newest_;
  if (newest_ != nullptr) newest_->newer = &entry;
  newest_ = &entry;
  return {&entry, true};
}

StoredValue DictObject::erase(Entry& entry) noexcept {
  if (entry.older != nullptr) entry.older->newer = entry.newer;
  (entry.newer != nullptr ? entry.newer->older : newest_) = entry.older;
  StoredValue value = std::move(entry.value);
  entries_.erase(entries_.find(*entry.key));
  return value;
}

// --- Store: steps ---

void Store::perform(ClientReferences& client, std::span<const std::byte> request, Buffer& reply) {
  ReplyWriter writer(*this, client, reply);
  try {
    Reader from(request);
    perform_one(client, from, writer);
  } catch (...) {  // all of it is the client's: it rethrows there
    writer.raise(std::current_exception(), where_);
  }
  writer.finish();
}

void Store::perform_one(ClientReferences& client, Reader& from, ReplyWriter& reply) {
  const auto header = from.raw<RequestHeader>();
  const auto op = static_cast<ManagerOp>(header.op);
  if (header.object == 0) return perform_manager(op, client, from, reply);
  Object& target = object(header.object);
  // The step itself refers to the object: what it erases may hold the last other reference.
  struct Hold {
    Store* store;
    ObjectId id;
    ~Hold() { store->unreference(id, 1); }
  };
  ++target.references;
  const Hold hold{this, header.object};
  if (auto* const dict = std::get_if<DictObject>(&target.content)) {
    perform_dict(op, *dict, from, reply);
  } else {
    perform_list(op, std::get<ListObject>(target.content), from, reply);
  }
}

void Store::perform_manager(ManagerOp op, ClientReferences& client, Reader& from,
                            ReplyWriter& reply) {
  switch (op) {
    case ManagerOp::create:
      return create(client, from, reply);
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
    case ManagerOp::batch:
      // Complete replies, one after another. A batch in a batch would be a way to use up the stack.
      while (from.left() > 0) {
        const auto request = from.bytes();
        if (Reader(request).raw<RequestHeader>().object == 0) {
          throw DecodeError("Manager: a batch is of steps on objects");
        }
        Buffer one;
        perform(client, request, one);
        reply.bytes(one.bytes());
      }
      return;
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

void Store::create(ClientReferences& client, Reader& from, ReplyWriter& reply) {
  const auto kind = from.raw<ObjectKind>();
  const auto type = from.raw<std::uint32_t>();
  const std::string name(from.text());
  if (kind != ObjectKind::dict && kind != ObjectKind::list) {
    throw DecodeError("Manager: a kind of object this server does not know");
  }
  if (!name.empty()) {
    if (const auto there = names_.find(name); there != names_.end()) {
      const Object& named = object(there->second);
      if (named.kind != kind || named.type != type) {
        throw Error(concat("Manager: the name ", name, " belongs to an object of another type"));
      }
      reply.raw(there->second);
      return reply.grant(there->second);
    }
  }
  const ObjectId id = last_id_ + 1;
  auto [at, made] = objects_.try_emplace(id);
  Object& created = at->second;
  created.kind = kind;
  created.type = type;
  created.references = 1;  // this step's own, until it has succeeded
  last_id_ = id;
  try {
    Buffer unused;
    ReplyWriter nothing(*this, client, unused);
    if (kind == ObjectKind::dict) {
      perform_dict(ManagerOp::dict_update, created.content.emplace<DictObject>(), from, nothing);
    } else {
      perform_list(ManagerOp::list_extend, created.content.emplace<ListObject>(), from, nothing);
    }
    reply.raw(id);
    reply.grant(id);
    if (!name.empty()) {
      names_.emplace(name, id);
      ++created.references;
    }
  } catch (...) {
    unreference(id, 1);
    throw;
  }
  unreference(id, 1);
}

StoredValue Store::read_value(Reader& from) {
  const auto bytes = from.bytes();
  const auto n = from.raw<std::uint32_t>();
  if (n > from.left() / sizeof(ObjectId)) {
    throw DecodeError("manager message: shorter than it says");
  }
  std::vector<ObjectId> references(n);
  for (ObjectId& id : references) id = from.raw<ObjectId>();
  return make_value(bytes, std::move(references));
}

StoredValue Store::make_value(std::span<const std::byte> bytes, std::vector<ObjectId> references) {
  StoredValue value;
  value.bytes.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (references.empty()) return value;
  for (const ObjectId id : references) static_cast<void>(object(id));
  value.references = std::make_unique<const std::vector<ObjectId>>(std::move(references));
  return value;
}

namespace {

template <class T>
void add_number(const StoredValue& value, manager_protocol::Reader& from, StoredValue& sum,
                ReplyWriter& reply) {
  const T n = from.raw<T>();
  from.expect_end();
  if (value.bytes.size() != sizeof(T)) throw DecodeError("fetch_add: the value is no such number");
  T before;
  std::memcpy(&before, value.bytes.data(), sizeof before);
  T after;
  if constexpr (std::is_floating_point_v<T>) {
    after = before + n;
  } else {
    using Unsigned = std::make_unsigned_t<T>;
    after = static_cast<T>(
        static_cast<Unsigned>(static_cast<Unsigned>(before) + static_cast<Unsigned>(n)));
  }
  sum.bytes.assign(reinterpret_cast<const char*>(&after), sizeof after);
  reply.raw(before);
}

}  // namespace

StoredValue Store::add(const StoredValue& value, Reader& from, ReplyWriter& reply) {
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

StoredValue Store::apply(const StoredValue& value, Reader& from, ReplyWriter& reply) {
  ApplyThunk* const thunk = resolve(from.raw<ThunkKey<ApplyThunk>>());
  const auto call = from.bytes();
  from.expect_end();
  Decoder arguments(call, Route::manager);
  Buffer updated_bytes;
  Buffer result_bytes;
  std::vector<ObjectId> updated_references;
  std::vector<ObjectId> result_references;
  Encoder updated(updated_bytes, Route::manager, nullptr);
  Encoder result(result_bytes, Route::manager, nullptr);
  updated.set_reference_log(&updated_references);
  result.set_reference_log(&result_references);
  thunk(arguments, value.span(), updated, result);
  StoredValue made = make_value(updated_bytes.bytes(), std::move(updated_references));
  reply.bytes(result_bytes.bytes());
  for (const ObjectId id : result_references) reply.grant(id);
  return made;
}

void Store::sort(ListObject& list, Reader& from) {
  SortThunk* const thunk = resolve(from.raw<ThunkKey<SortThunk>>());
  const auto call = from.bytes();
  from.expect_end();
  Decoder less(call, Route::manager);
  std::vector<std::span<const std::byte>> values;
  values.reserve(list.size());
  for (const StoredValue& value : list) values.push_back(value.span());
  std::vector<std::uint32_t> order;
  thunk(less, values, order);
  ListObject sorted(list.size());
  for (std::size_t i = 0; i < order.size(); ++i) sorted[i] = std::move(list[order[i]]);
  list.swap(sorted);
}

// --- Store: references ---

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
  for (const auto& [token, id] : client.pins) {
    pins_.erase(token);
    unreference(id, 1);
  }
  client.pins.clear();
  for (const auto& [id, n] : client.held) unreference(id, n);
  client.held.clear();
}

void Store::keep(const StoredValue& value) noexcept {
  if (value.references == nullptr) return;
  for (const ObjectId id : *value.references) ++objects_.find(id)->second.references;
}

void Store::drop(const StoredValue& value) noexcept {
  if (value.references == nullptr) return;
  for (const ObjectId id : *value.references) unreference(id, 1);
}

void Store::replace(StoredValue& old, StoredValue with) noexcept {
  keep(with);
  std::swap(old, with);
  drop(with);
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
    if (const auto* const dict = std::get_if<DictObject>(&at->second.content)) {
      for (const auto& [key, entry] : dict->entries()) drop(entry.value);
    } else {
      for (const StoredValue& value : std::get<ListObject>(at->second.content)) drop(value);
    }
    objects_.erase(at);
  }
  burying_ = false;
}

}  // namespace tandem::detail
