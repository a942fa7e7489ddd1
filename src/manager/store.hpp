// The objects of a manager's server, without any input or output: containers of encoded bytes,
// things to wait for, and who refers to what.
//
// 1. An object lives while its count is above zero. The count is the sum of what clients hold, what
//    containers hold, pins, requests that wait for it, and one for a name.
// 2. A step either happens whole or throws and has changed nothing: it checks, decodes and
//    allocates first and then commits with operations that do not throw.
// 3. Bytes of values are never looked into here, but for numbers (fetch_add) and by user code.
// 4. A step that would have to wait changes nothing but its caller's notes. Its request is parked
//    in a queue of the object and tried again, in the order of arrival, whenever the object has
//    changed, until it is done or its deadline passes. So one function says when a step can be
//    done, and nothing is handed to somebody who has given up.
// 5. User code is not run here: next_call gives it out, run() runs it, finish() commits. Meanwhile
//    the object is busy and all other requests for it wait; so its bytes stay as they are.
// 6. A batch with user code in it keeps all its objects busy until it is done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "manager/caller.hpp"
#include "manager/objects.hpp"
#include "manager/protocol.hpp"
#include "manager/reply_writer.hpp"
#include "tandem/detail/buffer.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/manager_protocol.hpp"

namespace tandem::detail {

class Store {
 public:
  /// \param where said in the exceptions that leave a step: process and pid
  explicit Store(std::string where) : where_(std::move(where)) {}
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// Carries out one request (RequestHeader and body) of a caller that is not busy. What it throws
  /// inside is the reply.
  /// \returns whether the reply is there; else it comes by next_answered
  [[nodiscard]] bool perform(Caller& caller, std::span<const std::byte> request);
  /// Who is to `run` and then to `finish`; null when there is none.
  [[nodiscard]] Caller* next_call() noexcept;
  [[nodiscard]] bool has_call() const noexcept { return !to_run_.empty(); }
  /// \returns false when nobody waits for the answer any more: the caller is then at the end
  bool finish(Caller& caller) noexcept;
  /// Whose reply has come; null when there is none.
  [[nodiscard]] Caller* next_answered() noexcept;
  /// The caller goes: what it waits for is not for it any more.
  /// \returns false when its user code runs: it has to stay until `finish`
  [[nodiscard]] bool abandon(Caller& caller) noexcept;

  /// When somebody has waited long enough.
  [[nodiscard]] Deadline next_deadline() const noexcept { return next_deadline_; }
  void expire() noexcept;

  /// The client attached to what it refers to already; ids that do not live are passed over.
  void greet(ClientReferences& client, ObjectId id);
  /// Takes n references back, at most as many as the client holds.
  void release(ClientReferences& client, ObjectId id, std::uint64_t n) noexcept;
  /// The client has ended: drops all that it held. Its callers were abandoned.
  void forget(ClientReferences& client) noexcept;

  [[nodiscard]] std::size_t object_count() const { return objects_.size(); }
  [[nodiscard]] bool shutting_down() const { return shutting_down_; }
  void count_connections(std::size_t n) { connections_ = n; }

  void hold(ClientReferences& client, ObjectId id);

 private:
  using Object = StoredObject;
  using Reader = manager_protocol::Reader;

  // Steps. Each leaves a wish to wait in caller.wants_, or user code to be run in caller.user_.
  [[nodiscard]] bool step(Caller& caller, std::span<const std::byte> request);
  void perform_one(Caller& caller, Reader& from, ReplyWriter& reply);
  void perform_manager(ManagerOp op, Caller& caller, Reader& from, ReplyWriter& reply);
  void perform_on(ObjectId id, ManagerOp op, Caller& caller, Reader& from, ReplyWriter& reply);
  void perform_dict(ManagerOp op, DictObject& dict, Caller& caller, Reader& from,
                    ReplyWriter& reply);
  void perform_list(ManagerOp op, ListObject& list, Caller& caller, Reader& from,
                    ReplyWriter& reply);
  void perform_queue(ManagerOp op, ObjectId id, Object& object, Caller& caller, Reader& from,
                     ReplyWriter& reply);
  void perform_lock(ManagerOp op, ObjectId id, Object& object, Caller& caller, Reader& from,
                    ReplyWriter& reply);
  void perform_semaphore(ManagerOp op, ObjectId id, Object& object, Caller& caller, Reader& from,
                         ReplyWriter& reply);
  void perform_condition(ManagerOp op, ObjectId id, Object& object, Caller& caller, Reader& from,
                         ReplyWriter& reply);
  void perform_event(ManagerOp op, ObjectId id, Object& object, Caller& caller, Reader& from,
                     ReplyWriter& reply);
  void perform_barrier(ManagerOp op, ObjectId id, Object& object, Caller& caller, Reader& from,
                       ReplyWriter& reply);
  void perform_user_object(ManagerOp op, UserObject& object, Caller& caller, Reader& from);
  void create(Caller& caller, Reader& from, ReplyWriter& reply);
  void fill(Object& object, Caller& caller, Reader& from);
  void begin_batch(Caller& caller, Reader& from, ReplyWriter& reply);
  /// \returns whether it is done, not when user code is to be run first
  [[nodiscard]] bool go_on(Caller& caller);

  // store_user.cpp: steps of user code.
  void prepare_apply(std::span<const std::byte> value, Caller& caller, Reader& from);
  void prepare_sort(ListObject& list, Caller& caller, Reader& from);
  void prepare_make(Caller& caller, Reader& from);
  void give_out(Caller& caller) noexcept;
  void commit(UserCall& user, ReplyWriter& reply);
  void end_user_call(Caller& caller, bool failed) noexcept;
  void finish_batch(Caller& caller, bool orphan) noexcept;
  void let_go_of_batch(Caller& caller) noexcept;

  // store_wait.cpp: who waits.
  /// \returns false when the caller does not want to wait at all
  [[nodiscard]] bool want(Caller& caller, ObjectId id, unsigned queue, std::int64_t timeout_ns);
  [[nodiscard]] bool park(Caller& caller, std::span<const std::byte> request);
  void unpark(Caller& caller) noexcept;
  void answered(Caller& caller) noexcept;
  /// Those who wait for it are tried again at the end of the step.
  void change(ObjectId id, Object& object) noexcept;
  void settle() noexcept;
  void try_again(const Object& at, CallerQueue& queue) noexcept;
  void move(Caller& caller, ObjectId id, unsigned queue) noexcept;
  void drop_timer(Caller& caller) noexcept;
  void find_next_deadline() noexcept;
  void engage(ClientReferences& client, ObjectId id);
  void disengage(ClientReferences& client) noexcept;
  void lose_taken(ObjectId id, Object& object, QueueObject& queue,
                  const ClientReferences& client) noexcept;

  // Locks and those who wait at a condition.
  [[nodiscard]] LockObject& lock_of(ObjectId id);
  void lock_again(Caller& caller) noexcept;
  void notify(Object& condition, std::uint64_t n) noexcept;
  void break_barrier(ObjectId id, Object& object, const char* why) noexcept;

  [[nodiscard]] Object& object(ObjectId id);
  /// Reads a value, its references checked but not yet counted.
  [[nodiscard]] ArrivingValue read_value(Reader& from);
  static void skip_value(Reader& from);
  [[nodiscard]] References check(std::vector<ObjectId> references);
  [[nodiscard]] StoredValue add(std::string_view number, Reader& from, ReplyWriter& reply);

  void keep(const References& references) noexcept;  // a container now holds them
  void drop(const References& references) noexcept;  // a container held them
  void replace(StoredValue& old, StoredValue with) noexcept;
  void replace(DictObject& dict, DictEntry& old, ArrivingValue with);
  void unreference(ObjectId id, std::uint64_t n) noexcept;

  std::string where_;
  Slabs memory_;  // of the entries of dicts
  std::unordered_map<ObjectId, Object> objects_;
  std::map<std::string, ObjectId, std::less<>> names_;
  std::unordered_map<std::uint64_t, ClientReferences*> pins_;
  ObjectId first_dead_ = 0;
  bool burying_ = false;
  ObjectId first_changed_ = 0;
  bool settling_ = false;
  CallerQueue to_run_;
  CallerQueue answered_;
  Caller::Timers timers_;
  Deadline next_deadline_ = Deadline::never();
  ObjectId last_id_ = 0;
  std::uint64_t last_token_ = 0;
  std::size_t connections_ = 0;
  bool shutting_down_ = false;
};

}  // namespace tandem::detail
