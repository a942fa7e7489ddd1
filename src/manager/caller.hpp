// Who asks a manager's store, and what becomes of a request that is not answered at once.
//
// 1. A connection asks one thing at a time, so one Caller holds all that a request needs while it
//    waits: its bytes, its place in a queue, its deadline. Waiting needs no memory but that.
// 2. A caller is in exactly one state. Only the store changes it, but for `run`.
// 3. `run` is the one thing that is done without the store: it touches `user`, and nothing else of
//    anybody.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "manager/stored_bytes.hpp"
#include "tandem/detail/buffer.hpp"
#include "tandem/detail/call.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/manager_protocol.hpp"

namespace tandem::detail {

using ObjectId = std::uint64_t;

/// The objects a value refers to. Null: none, as most have.
using References = std::unique_ptr<const std::vector<ObjectId>>;

/// An encoded value whose bytes are still in the message that brought them.
struct ArrivingValue {
  std::span<const std::byte> bytes;
  References references;
};

/// An encoded value and the objects it refers to.
struct StoredValue {
  StoredValue() = default;
  explicit StoredValue(ArrivingValue value)
      : bytes({reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size()}),
        references(std::move(value.references)) {}

  StoredBytes bytes;
  References references;

  [[nodiscard]] std::span<const std::byte> span() const {
    return std::as_bytes(std::span(bytes.data(), bytes.size()));
  }
};

/// What one client process refers to. Belongs to the store's bookkeeping: end it with
/// Store::forget.
struct ClientReferences {
  std::unordered_map<ObjectId, std::uint64_t> held;
  std::unordered_map<std::uint64_t, ObjectId> pins;  // by token
  std::unordered_set<ObjectId> engaged;              // locks it may hold, queues it may owe
  std::size_t prune_engaged_at = 64;
  int pid = 0;  // as it says itself; 0: it does not
};

class DictEntry;

/// A call of the user's code: its inputs, which nobody changes while it runs, and its outputs.
struct UserCall {
  enum class Kind { none, apply, sort, make, call };

  void run() noexcept;
  void reset() noexcept;

  Kind kind = Kind::none;
  // In.
  ApplyThunk* apply = nullptr;
  SortThunk* sort = nullptr;
  MakeThunk* make = nullptr;
  HeldObject* object = nullptr;
  FunctionPlace method = {};
  std::span<const std::byte> call;
  std::span<const std::byte> value;
  std::vector<std::span<const std::byte>> values;
  // Out.
  std::exception_ptr error;
  Buffer updated;
  Buffer result;
  std::vector<ObjectId> updated_references;
  std::vector<ObjectId> result_references;
  std::vector<std::uint32_t> order;
  std::unique_ptr<HeldObject> made;
  // For the store, when it has run.
  StoredValue* target = nullptr;     // what it is applied to, in a list
  DictEntry* dict_target = nullptr;  // or in a dict
  ObjectId object_id = 0;
};

class Caller;

/// Callers one behind the other; one is in at most one queue.
class CallerQueue {
 public:
  CallerQueue() = default;
  CallerQueue(const CallerQueue&) = delete;
  CallerQueue& operator=(const CallerQueue&) = delete;

  void push_back(Caller& caller) noexcept;
  void remove(Caller& caller) noexcept;
  /// Takes the first one out; null when there is none.
  Caller* pop_front() noexcept;
  [[nodiscard]] Caller* front() const noexcept { return first_; }
  [[nodiscard]] static Caller* after(const Caller& caller) noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

 private:
  Caller* first_ = nullptr;
  Caller* last_ = nullptr;
  std::size_t size_ = 0;
};

class Caller {
 public:
  explicit Caller(ClientReferences* of = nullptr) : client(of) {}
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  /// Runs the user's code that Store::next_call asked for; Store::finish comes after it.
  void run() noexcept { user_.run(); }
  /// Whether an answer is still to come.
  [[nodiscard]] bool busy() const noexcept { return state_ != State::idle; }

  ClientReferences* client;
  Buffer request;  // while it waits; whoever collects a request in pieces may do so here
  Buffer reply;    // once it is answered

 private:
  friend class Store;
  friend class CallerQueue;

  enum class State {
    idle,
    parked,    // in a queue of an object
    to_run,    // its user code is the next, or one of the next, to run
    running,   // next_call has given it out
    orphaned,  // the same, and nobody waits for the answer
    answered   // next_answered will give it out
  };
  using Timers = std::multimap<long long, Caller*>;

  /// Several requests that are one, with nothing in between.
  struct Batch {
    bool active = false;
    std::size_t next = 0;  // offset in `request`
    Buffer replies;
    std::vector<ObjectId> objects;
    bool keeps_them = false;  // busy, and referred to

    void reset() noexcept {
      active = false;
      replies.clear();
      objects.clear();
      keeps_them = false;
    }
  };
  /// What a step notes for the time when it is tried again.
  struct Notes {
    enum class Phase : std::uint8_t { first, waiting, locking } phase = Phase::first;
    bool notified = false;
    bool passed_on = false;   // one notification, which another may have when this one dies
    std::uint64_t round = 0;  // of a barrier or event; how often a lock was taken
    std::uint64_t index = 0;  // in a barrier; values that a put has put
    ObjectId lock = 0;        // that a condition's waiter will take, referred to
  };

  State state_ = State::idle;
  // Set by a step that would have to wait.
  ObjectId wants_ = 0;
  unsigned wants_queue_ = 0;
  std::int64_t timeout_ns_ = -1;
  // Where it is parked.
  ObjectId object_ = 0;  // referred to
  ObjectId queued_at_ = 0;
  CallerQueue* queue_ = nullptr;
  Caller* previous_ = nullptr;
  Caller* next_ = nullptr;
  std::optional<Timers::iterator> timer_;
  Notes notes_;
  UserCall user_;
  Batch batch_;
};

}  // namespace tandem::detail
