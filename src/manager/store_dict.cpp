// The steps of a dict. What can throw comes first, the change last.
#include "manager/store.hpp"
#include "manager/store_text.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

DictObject::Entry* DictObject::find(std::string_view key) {
  const auto at = entries_.find(key);
  return at == entries_.end() ? nullptr : &at->second;
}

std::pair<DictObject::Entry*, bool> DictObject::insert(std::string_view key) {
  if (Entry* const there = find(key)) return {there, false};
  const auto at = entries_.try_emplace(StoredBytes(key)).first;
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

namespace {

/// Erases what it was told of, unless the step goes through.
class NewEntries {
 public:
  explicit NewEntries(DictObject& dict) : dict_(&dict) {}
  NewEntries(const NewEntries&) = delete;
  NewEntries& operator=(const NewEntries&) = delete;
  ~NewEntries() {
    for (DictObject::Entry* const entry : made_) {
      if (entry != nullptr) static_cast<void>(dict_->erase(*entry));
    }
  }

  DictObject::Entry& make(std::string_view key) {
    made_.push_back(nullptr);
    const auto [entry, made] = dict_->insert(key);
    if (made) {
      made_.back() = entry;
    } else {
      made_.pop_back();
    }
    return *entry;
  }
  void commit() noexcept { made_.clear(); }

 private:
  DictObject* dict_;
  std::vector<DictObject::Entry*> made_;
};

}  // namespace

void Store::perform_dict(ManagerOp op, DictObject& dict, Caller& caller, Reader& from,
                         ReplyWriter& reply) {
  switch (op) {
    case ManagerOp::dict_size:
      from.expect_end();
      return reply.raw(std::uint64_t{dict.size()});
    case ManagerOp::dict_clear:
      from.expect_end();
      while (DictObject::Entry* const entry = dict.newest()) drop(dict.erase(*entry));
      return;
    case ManagerOp::dict_keys:
      from.expect_end();
      reply.raw(std::uint64_t{dict.size()});
      for (const auto& [key, entry] : dict.entries()) reply.bytes(as_span(key));
      return;
    case ManagerOp::dict_items:
      from.expect_end();
      reply.raw(std::uint64_t{dict.size()});
      for (const auto& [key, entry] : dict.entries()) {
        reply.bytes(as_span(key));
        reply.value(entry.value);
      }
      return;
    case ManagerOp::dict_pop_item: {
      from.expect_end();
      DictObject::Entry* const entry = dict.newest();
      if (entry == nullptr) return reply.missing();
      reply.bytes(as_span(*entry->key));
      reply.value(entry->value);
      return drop(dict.erase(*entry));
    }
    case ManagerOp::dict_update: {
      NewEntries entries(dict);
      std::vector<std::pair<DictObject::Entry*, StoredValue>> updates;
      while (from.left() > 0) {
        const auto key = as_text(from.bytes());
        StoredValue value = read_value(from);
        updates.emplace_back(&entries.make(key), std::move(value));
      }
      entries.commit();
      for (const auto& [entry, value] : updates) keep(value);
      // Only now: what is replaced may hold the last other reference to what comes.
      for (auto& [entry, value] : updates) {
        std::swap(entry->value, value);
        drop(value);
      }
      return;
    }
    default:
      break;
  }

  const auto key = as_text(from.bytes());
  DictObject::Entry* const entry = dict.find(key);
  switch (op) {
    case ManagerOp::dict_set:
    case ManagerOp::dict_insert:
    case ManagerOp::dict_set_default: {
      StoredValue value = read_value(from);
      from.expect_end();
      if (entry != nullptr) {
        if (op == ManagerOp::dict_insert) return reply.missing();
        if (op == ManagerOp::dict_set_default) return reply.value(entry->value);
        return replace(entry->value, std::move(value));
      }
      if (op == ManagerOp::dict_set_default) reply.value(value);
      DictObject::Entry& made = *dict.insert(key).first;
      return replace(made.value, std::move(value));
    }
    case ManagerOp::dict_get:
      from.expect_end();
      return entry != nullptr ? reply.value(entry->value) : reply.missing();
    case ManagerOp::dict_contains:
      from.expect_end();
      if (entry == nullptr) reply.missing();
      return;
    case ManagerOp::dict_erase:
      from.expect_end();
      return entry != nullptr ? drop(dict.erase(*entry)) : reply.missing();
    case ManagerOp::dict_pop:
      from.expect_end();
      if (entry == nullptr) return reply.missing();
      reply.value(entry->value);
      return drop(dict.erase(*entry));
    case ManagerOp::dict_fetch_add:
      if (entry == nullptr) return reply.missing();
      return replace(entry->value, add(entry->value, from, reply));
    case ManagerOp::dict_apply:
      if (entry == nullptr) return reply.missing();
      return prepare_apply(entry->value, caller, from);
    case ManagerOp::dict_compare_exchange: {
      if (entry == nullptr) return reply.missing();
      const bool equal = as_text(from.bytes()) == entry->value.bytes;
      StoredValue desired = read_value(from);
      from.expect_end();
      reply.raw(equal);
      if (equal) replace(entry->value, std::move(desired));
      return;
    }
    default:
      throw DecodeError("DictProxy: not an operation of a dict");
  }
}

}  // namespace tandem::detail
