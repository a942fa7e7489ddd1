// What a manager's server holds. Plain data; the steps on it are in store_*.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "manager/caller.hpp"
#include "manager/dict_object.hpp"

namespace tandem::detail {

/// Lists; arrays, whose length never changes; values, which are one element.
using ListObject = std::vector<StoredValue>;

struct QueueObject {
  static constexpr unsigned kGetters = 0;
  static constexpr unsigned kPutters = 1;
  static constexpr unsigned kJoiners = 2;

  std::deque<StoredValue> items;
  std::uint64_t maxsize = 0;
  bool shut_down = false;
  // Of a joinable one: items put and not finished, of them taken by each client that lives, and
  // what is to be said of clients that died with some.
  std::uint64_t unfinished = 0;
  std::unordered_map<const ClientReferences*, std::uint64_t> taken;
  std::deque<std::string> losses;
};

struct LockObject {
  const ClientReferences* owner = nullptr;
  std::uint64_t thread = 0;  // of the owner, as the owner numbers them
  std::uint64_t times = 0;
  bool died = false;  // the last owner did, and nobody has recovered
  int died_pid = 0;
};

struct SemaphoreObject {
  std::uint64_t permits = 0;
  std::uint64_t limit = 0;
};

struct ConditionObject {};

struct EventObject {
  bool set = false;
  std::uint64_t sets = 0;
};

struct BarrierObject {
  std::uint64_t parties = 0;
  std::uint64_t round = 0;
  std::uint64_t broken_round = ~std::uint64_t{0};  // the last that ended without all
  bool broken = false;
  const char* why = "";
};

/// An instance of a class of the program; null until its constructor has run.
using UserObject = std::unique_ptr<HeldObject>;

struct StoredObject {
  static constexpr unsigned kQueues = 3;

  ObjectKind kind = ObjectKind::dict;
  bool busy = false;     // user code runs on it: whoever comes waits in the first queue
  bool changed = false;  // those who wait are to be tried again
  std::uint32_t type = 0;
  std::uint64_t references = 0;
  ObjectId next_dead = 0;
  ObjectId next_changed = 0;
  std::variant<DictObject, ListObject, QueueObject, LockObject, SemaphoreObject, ConditionObject,
               EventObject, BarrierObject, UserObject>
      content;
  std::array<CallerQueue, kQueues> waiting;

  [[nodiscard]] bool awaited() const noexcept {
    return !waiting[0].empty() || !waiting[1].empty() || !waiting[2].empty();
  }
};

}  // namespace tandem::detail
