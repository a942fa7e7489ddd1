// The steps of a dict. What can throw comes first, the change last.
#include "manager/store.hpp"
#include "manager/store_text.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

namespace {

void value_of(const DictEntry& entry, ReplyWriter& reply) {
  reply.value(as_span(entry.value()), entry.references());
}

}  // namespace

void Store::perform_dict(ManagerOp op, DictObject& dict, Caller& caller, Reader& from,
                         ReplyWriter& reply) {
  switch (op) {
    case ManagerOp::dict_size:
      from.expect_end();
      return reply.raw(std::uint64_t{dict.size()});
    case ManagerOp::dict_clear:
      from.expect_end();
      while (DictEntry* const entry = dict.newest()) drop(dict.take(*entry)->references());
      return;
    case ManagerOp::dict_keys:
    case ManagerOp::dict_items:
      from.expect_end();
      reply.raw(std::uint64_t{dict.size()});
      for (const DictEntry* entry = dict.oldest(); entry != nullptr; entry = entry->newer()) {
        reply.bytes(as_span(entry->key()));
        if (op == ManagerOp::dict_items) value_of(*entry, reply);
      }
      return;
    case ManagerOp::dict_pop_item: {
      from.expect_end();
      DictEntry* const entry = dict.newest();
      if (entry == nullptr) return reply.missing();
      reply.bytes(as_span(entry->key()));
      value_of(*entry, reply);
      return drop(dict.take(*entry)->references());
    }
    case ManagerOp::dict_update: {
      std::vector<DictObject::Block> updates;
      while (from.left() > 0) {
        const auto key = as_text(from.bytes());
        updates.push_back(DictObject::make(memory_, key, read_value(from)));
      }
      dict.reserve(updates.size());
      for (const auto& block : updates) keep(block->references());
      // Only now: what is replaced may hold the last other reference to what comes.
      for (auto& block : updates) drop(dict.put(std::move(block)));
      return;
    }
    default:
      break;
  }

  const auto key = as_text(from.bytes());
  DictEntry* const entry = dict.find(key);
  switch (op) {
    case ManagerOp::dict_set:
    case ManagerOp::dict_insert:
    case ManagerOp::dict_set_default: {
      ArrivingValue value = read_value(from);
      from.expect_end();
      if (entry != nullptr) {
        if (op == ManagerOp::dict_insert) return reply.missing();
        if (op == ManagerOp::dict_set_default) return value_of(*entry, reply);
        return replace(dict, *entry, std::move(value));
      }
      if (op == ManagerOp::dict_set_default) reply.value(value.bytes, value.references);
      auto made = DictObject::make(memory_, key, std::move(value));
      dict.reserve(1);
      keep(made->references());
      return drop(dict.put(std::move(made)));
    }
    case ManagerOp::dict_get:
      from.expect_end();
      return entry != nullptr ? value_of(*entry, reply) : reply.missing();
    case ManagerOp::dict_contains:
      from.expect_end();
      if (entry == nullptr) reply.missing();
      return;
    case ManagerOp::dict_erase:
      from.expect_end();
      return entry != nullptr ? drop(dict.take(*entry)->references()) : reply.missing();
    case ManagerOp::dict_pop:
      from.expect_end();
      if (entry == nullptr) return reply.missing();
      value_of(*entry, reply);
      return drop(dict.take(*entry)->references());
    case ManagerOp::dict_fetch_add: {
      if (entry == nullptr) return reply.missing();
      const StoredValue sum = add(entry->value(), from, reply);
      return replace(dict, *entry, {sum.span(), nullptr});
    }
    case ManagerOp::dict_apply:
      if (entry == nullptr) return reply.missing();
      prepare_apply(as_span(entry->value()), caller, from);
      caller.user_.dict_target = entry;
      return;
    case ManagerOp::dict_compare_exchange: {
      if (entry == nullptr) return reply.missing();
      const bool equal = as_text(from.bytes()) == entry->value();
      ArrivingValue desired = read_value(from);
      from.expect_end();
      reply.raw(equal);
      if (equal) replace(dict, *entry, std::move(desired));
      return;
    }
    default:
      throw DecodeError("DictProxy: not an operation of a dict");
  }
}

}  // namespace tandem::detail
