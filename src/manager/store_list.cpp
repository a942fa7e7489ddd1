// The steps of a list. What can throw comes first, the change last.
#include <algorithm>
#include <iterator>

#include "manager/store.hpp"
#include "manager/store_text.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {
void Store::perform_list(ManagerOp op, ListObject& list, Caller& caller, Reader& from,
                         ReplyWriter& reply) {
  const auto erase = [&](ListObject::iterator at) {
    const StoredValue value = std::move(*at);
    list.erase(at);
    drop(value.references);
  };
  switch (op) {
    case ManagerOp::list_size:
      from.expect_end();
      return reply.raw(std::uint64_t{list.size()});
    case ManagerOp::list_clear: {
      from.expect_end();
      const ListObject old = std::exchange(list, {});
      for (const StoredValue& value : old) drop(value.references);
      return;
    }
    case ManagerOp::list_reverse:
      from.expect_end();
      return std::reverse(list.begin(), list.end());
    case ManagerOp::list_sort:
      return prepare_sort(list, caller, from);
    case ManagerOp::list_extend: {
      if (from.left() == 0) return;
      StoredValue first(read_value(from));
      if (from.left() == 0) {  // push_back, without a vector for one
        list.push_back(std::move(first));
        return keep(list.back().references);
      }
      ListObject more;
      more.push_back(std::move(first));
      while (from.left() > 0) more.emplace_back(read_value(from));
      if (list.capacity() - list.size() < more.size()) {
        list.reserve(std::max(list.size() + more.size(), 2 * list.capacity()));
      }
      for (StoredValue& value : more) {
        keep(value.references);
        list.push_back(std::move(value));
      }
      return;
    }
    case ManagerOp::list_pop_back:
      from.expect_end();
      if (list.empty()) return reply.missing();
      reply.value(list.back());
      return erase(std::prev(list.end()));
    case ManagerOp::list_slice: {
      const auto size = std::uint64_t{list.size()};
      const auto first = std::min(from.raw<std::uint64_t>(), size);
      const auto last = std::clamp(from.raw<std::uint64_t>(), first, size);
      from.expect_end();
      reply.raw(last - first);
      for (auto i = first; i < last; ++i) reply.value(list[i]);
      return;
    }
    case ManagerOp::list_remove:
    case ManagerOp::list_index:
    case ManagerOp::list_count: {
      const auto wanted = as_text(from.bytes());
      from.expect_end();
      const auto equal = [&](const StoredValue& value) { return value.bytes == wanted; };
      if (op == ManagerOp::list_count) {
        return reply.raw(
            static_cast<std::uint64_t>(std::count_if(list.begin(), list.end(), equal)));
      }
      const auto at = std::find_if(list.begin(), list.end(), equal);
      if (at == list.end()) return reply.missing();
      if (op == ManagerOp::list_remove) return erase(at);
      return reply.raw(static_cast<std::uint64_t>(at - list.begin()));
    }
    default:
      break;
  }

  const auto index = from.raw<std::uint64_t>();
  if (op == ManagerOp::list_insert) {
    StoredValue value(read_value(from));
    from.expect_end();
    if (index > list.size()) return reply.missing();
    const auto at = list.begin() + static_cast<std::ptrdiff_t>(index);
    keep(list.insert(at, std::move(value))->references);
    return;
  }
  if (index >= list.size()) return reply.missing();
  StoredValue& element = list[index];
  switch (op) {
    case ManagerOp::list_get:
      from.expect_end();
      return reply.value(element);
    case ManagerOp::list_set: {
      StoredValue value(read_value(from));
      from.expect_end();
      return replace(element, std::move(value));
    }
    case ManagerOp::list_exchange: {
      StoredValue value(read_value(from));
      from.expect_end();
      reply.value(element);
      return replace(element, std::move(value));
    }
    case ManagerOp::list_erase:
    case ManagerOp::list_pop:
      from.expect_end();
      if (op == ManagerOp::list_pop) reply.value(element);
      return erase(list.begin() + static_cast<std::ptrdiff_t>(index));
    case ManagerOp::list_fetch_add:
      return replace(element, add(element.bytes, from, reply));
    case ManagerOp::list_apply:
      prepare_apply(element.span(), caller, from);
      caller.user_.target = &element;
      return;
    case ManagerOp::list_compare_exchange: {
      const bool equal = as_text(from.bytes()) == element.bytes;
      StoredValue desired(read_value(from));
      from.expect_end();
      reply.raw(equal);
      if (equal) replace(element, std::move(desired));
      return;
    }
    default:
      throw DecodeError("ListProxy: not an operation of a list");
  }
}

}  // namespace tandem::detail
