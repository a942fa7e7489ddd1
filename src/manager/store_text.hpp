// Views and messages the steps have in common.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/text.hpp"
#include "manager/caller.hpp"
#include "manager/protocol.hpp"

namespace tandem::detail {

[[nodiscard]] inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
[[nodiscard]] inline std::span<const std::byte> as_span(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
/// "lock 3"
[[nodiscard]] inline std::string name_of(ObjectKind kind, ObjectId id) {
  return concat(manager_protocol::kind_name(kind), " ", std::to_string(id));
}
/// "LockProxy::unlock on lock 3: "
[[nodiscard]] inline std::string place_of(std::string_view call, ObjectKind kind, ObjectId id) {
  return concat(call, " on ", name_of(kind, id), ": ");
}
/// "process 77", if it has told
[[nodiscard]] inline std::string process_text(int pid) {
  return pid > 0 ? concat("process ", std::to_string(pid)) : std::string("a process");
}

}  // namespace tandem::detail
