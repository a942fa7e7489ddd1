// The objects of a manager's server, without any input or output: containers of encoded bytes, and
// who refers to what.
//
// 1. An object lives while its count is above zero. The count is the sum of what clients hold, what
//    containers hold, pins, and one for a name.
// 2. A step either happens whole or throws and has changed nothing: it checks, decodes and
//    allocates first and then commits with operations that do not throw.
// 3. Bytes of values are never looked into here, but for numbers (fetch_add) and by thunks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "manager/protocol.hpp"
#include "tandem/detail/buffer.hpp"
#include "tandem/detail/manager_protocol.hpp"

namespace tandem::detail {

using ObjectId = std::uint64_t;

/// An encoded value and the objects it refers to.
struct StoredValue {
  std::string bytes;
  std::unique_ptr<const std::vector<ObjectId>> references;  // null: none, as most have

  [[nodiscard]] std::span<const std::byte> span() const {
    return std::as_bytes(std::span(bytes.data(), bytes.size()));
  }
};

/// What one client refers to. Belongs to the store's bookkeeping: end it with Store::forget.
struct ClientReferences {
  std::unordered_map<ObjectId, std::uint64_t> held;
  std::unordered_map<std::uint64_t, ObjectId> pins;  // by token
};

class Store;

/// What a step answers, from the first piece's header on. References that go to the client with it
/// are counted at once, and given back if the step throws after all.
class ReplyWriter {
 public:
  ReplyWriter(Store& store, ClientReferences& client, Buffer& to);

  void missing() { header_.status = manager_protocol::ReplyStatus::missing; }
  template <class Raw>
  void raw(const Raw& number) {
    manager_protocol::put(*to_, number);
  }
  void bytes(std::span<const std::byte> b);
  void value(const StoredValue& v);
  /// The client is given a reference to the object.
  void grant(ObjectId id);

  /// Throws away what was written, for an exception in its place.
  void raise(const std::exception_ptr& error, std::string_view where);
  void finish();

 private:
  void begin();

  Store* store_;
  ClientReferences* client_;
  Buffer* to_;
  manager_protocol::ReplyHeader header_;
  std::vector<ObjectId> granted_;
};

/// The bytes of a key, which never change. A dict of many small entries is mostly what is around the
/// bytes, so here are half as many of those as a std::string has.
class StoredKey {
 public:
  explicit StoredKey(std::string_view bytes) : size_(bytes.size()) {
    std::copy_n(bytes.data(), size_, fits() ? inline_ : heap_ = new char[size_]);
  }
  StoredKey(const StoredKey&) = delete;
  StoredKey& operator=(const StoredKey&) = delete;
  ~StoredKey() {
    if (!fits()) delete[] heap_;
  }
  operator std::string_view() const noexcept {  // NOLINT(google-explicit-constructor)
    return {fits() ? inline_ : heap_, size_};
  }

 private:
  [[nodiscard]] bool fits() const noexcept { return size_ <= sizeof inline_; }

  std::size_t size_;
  union {
    char* heap_;
    char inline_[sizeof(char*)];
  };
};

class DictObject {
 public:
  struct Entry {
    StoredValue value;
    const StoredKey* key = nullptr;
    Entry* older = nullptr;
    Entry* newer = nullptr;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const noexcept {
      return std::hash<std::string_view>()(s);
    }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const noexcept { return a == b; }
  };
  using Map = std::unordered_map<StoredKey, Entry, Hash, Equal>;

  DictObject() = default;
  DictObject(const DictObject&) = delete;
  DictObject& operator=(const DictObject&) = delete;

  [[nodiscard]] Entry* find(std::string_view key);
  /// \returns the entry, with an empty value when it is new
  std::pair<Entry*, bool> insert(std::string_view key);
  /// \returns its value
  StoredValue erase(Entry& entry) noexcept;
  [[nodiscard]] Entry* newest() const { return newest_; }
  [[nodiscard]] const Map& entries() const { return entries_; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  Map entries_;
  Entry* newest_ = nullptr;  // entries are chained in the order in which their keys came
};

using ListObject = std::vector<StoredValue>;

class Store {
 public:
  /// \param where said in the exceptions that leave a step: process and pid
  explicit Store(std::string where) : where_(std::move(where)) {}
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// Carries out one request (RequestHeader and body) of a client. What it throws inside is the
  /// reply.
  void perform(ClientReferences& client, std::span<const std::byte> request, Buffer& reply);
  /// The client attached to what it refers to already; ids that do not live are passed over.
  void greet(ClientReferences& client, ObjectId id);
  /// Takes n references back, at most as many as the client holds.
  void release(ClientReferences& client, ObjectId id, std::uint64_t n) noexcept;
  /// Drops all that a client held.
  void forget(ClientReferences& client) noexcept;

  [[nodiscard]] std::size_t object_count() const { return objects_.size(); }
  [[nodiscard]] bool shutting_down() const { return shutting_down_; }
  void count_connections(std::size_t n) { connections_ = n; }

  void hold(ClientReferences& client, ObjectId id);

 private:
  struct Object {
    ObjectKind kind = ObjectKind::dict;
    std::uint32_t type = 0;
    std::uint64_t references = 0;
    ObjectId next_dead = 0;
    std::variant<DictObject, ListObject> content;
  };
  using Reader = manager_protocol::Reader;

  void perform_one(ClientReferences& client, Reader& from, ReplyWriter& reply);
  void perform_manager(ManagerOp op, ClientReferences& client, Reader& from, ReplyWriter& reply);
  void perform_dict(ManagerOp op, DictObject& dict, Reader& from, ReplyWriter& reply);
  void perform_list(ManagerOp op, ListObject& list, Reader& from, ReplyWriter& reply);
  void create(ClientReferences& client, Reader& from, ReplyWriter& reply);

  [[nodiscard]] Object& object(ObjectId id);
  /// Reads a value, its references checked but not yet counted.
  [[nodiscard]] StoredValue read_value(Reader& from);
  [[nodiscard]] StoredValue make_value(std::span<const std::byte> bytes,
                                       std::vector<ObjectId> references);
  [[nodiscard]] StoredValue add(const StoredValue& value, Reader& from, ReplyWriter& reply);
  [[nodiscard]] StoredValue apply(const StoredValue& value, Reader& from, ReplyWriter& reply);
  void sort(ListObject& list, Reader& from);

  void keep(const StoredValue& value) noexcept;  // a container now holds it
  void drop(const StoredValue& value) noexcept;  // a container held it
  void replace(StoredValue& old, StoredValue with) noexcept;
  void unreference(ObjectId id, std::uint64_t n) noexcept;

  std::string where_;
  std::unordered_map<ObjectId, Object> objects_;
  std::map<std::string, ObjectId, std::less<>> names_;
  std::unordered_map<std::uint64_t, ClientReferences*> pins_;
  ObjectId first_dead_ = 0;
  bool burying_ = false;
  ObjectId last_id_ = 0;
  std::uint64_t last_token_ = 0;
  std::size_t connections_ = 0;
  bool shutting_down_ = false;
};

}  // namespace tandem::detail
