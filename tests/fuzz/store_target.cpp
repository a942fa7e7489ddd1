// Requests of two clients, each with several connections, to the objects of a manager's server.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/target.hpp"
#include "manager/protocol.hpp"
#include "manager/store.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/buffer.hpp"
#include "tandem/detail/call.hpp"
#include "tandem/error.hpp"

namespace tandem::fuzz {
namespace {

using namespace detail;
using manager_protocol::PieceHeader;
using manager_protocol::ReplyHeader;
using manager_protocol::RequestHeader;

// A reply may be as large as all there is, and a request may put that into an object twice over.
constexpr std::size_t kMostRequests = 64;
constexpr std::size_t kMostInput = 4'096;

// User code, for requests whose bytes were not guessed: seeds have the thunks' keys.
void turn_round(Decoder&, const std::vector<std::span<const std::byte>>& values,
                std::vector<std::uint32_t>& order) {
  for (std::size_t i = values.size(); i > 0; --i) {
    order.push_back(static_cast<std::uint32_t>(i - 1));
  }
}
void copy_value(Decoder& call, std::span<const std::byte> value, Encoder& updated,
                Encoder& result) {
  updated.write(value.data(), value.size());
  result.write(value.data(), value.size());
  updated.note_reference(call.read_raw<std::uint64_t>());
}
class Echo final : public HeldObject {
 public:
  void call(FunctionPlace, Decoder& arguments, Encoder& result) override {
    result.note_reference(arguments.read_raw<std::uint64_t>());
  }
};
std::unique_ptr<HeldObject> make_echo(Decoder& arguments) {
  if (arguments.read_raw<std::uint64_t>() == 0) throw std::invalid_argument("nothing");
  return std::make_unique<Echo>();
}

constexpr std::size_t kClients = 2;
constexpr std::size_t kCallers = 5;

/// The store, and who asks: caller i is of client i % kClients.
class World {
 public:
  void act(Input& from) {
    const auto how = from.raw<std::uint8_t>();
    const std::size_t who = how % kCallers;
    switch (how / kCallers % 12) {
      case 0:
        return store_.greet(clients_[who % kClients], from.raw<std::uint8_t>());
      case 1:
        return end(who % kClients);
      case 2:
        return store_.expire();
      case 3:
        return run_one();
      case 4:
        return replace(who);
      default:
        return ask(who, from.take(from.raw<std::uint16_t>() % 512));
    }
  }
  void finish() {
    for (std::size_t client = 0; client < kClients; ++client) end(client);
    run_all();
  }

 private:
  void ask(std::size_t who, std::span<const std::byte> request) {
    Caller& caller = *callers_[who];
    if (caller.busy()) return;
    if (store_.perform(caller, request)) check(caller);
    collect();
  }
  void run_one() {
    if (Caller* const caller = store_.next_call()) {
      caller->run();
      static_cast<void>(store_.finish(*caller));
    }
    collect();
  }
  void run_all() {
    while (Caller* const caller = store_.next_call()) {
      caller->run();
      static_cast<void>(store_.finish(*caller));
    }
    collect();
  }
  void collect() {
    while (Caller* const caller = store_.next_answered()) check(*caller);
  }
  static void check(Caller& caller) {
    if (caller.busy() ||
        caller.reply.size() < sizeof(PieceHeader) + sizeof(ReplyHeader) + sizeof(std::uint32_t)) {
      throw std::logic_error("a reply that is none");
    }
    caller.request.clear();
  }
  void replace(std::size_t who) {
    if (!store_.abandon(*callers_[who])) throw std::logic_error("nothing runs");
    callers_[who] = std::make_unique<Caller>(&clients_[who % kClients]);
    collect();
  }
  void end(std::size_t client) {
    for (std::size_t who = client; who < kCallers; who += kClients) replace(who);
    store_.forget(clients_[client]);
    clients_[client] = {};
    collect();
  }

  Store store_{"fuzz"};
  ClientReferences clients_[kClients];
  std::unique_ptr<Caller> callers_[kCallers] = {
      std::make_unique<Caller>(&clients_[0]), std::make_unique<Caller>(&clients_[1]),
      std::make_unique<Caller>(&clients_[0]), std::make_unique<Caller>(&clients_[1]),
      std::make_unique<Caller>(&clients_[0])};
};

void run(std::span<const std::byte> input) {
  if (input.size() > kMostInput) return;
  Input from(input);
  World world;
  for (std::size_t i = 0; i < kMostRequests && !from.empty(); ++i) world.act(from);
  world.finish();
}

class Requests {
 public:
  Requests& add(ManagerOp op, std::uint64_t object, const Seed& body, int client = 0) {
    Seed request;
    request.raw(RequestHeader{.op = static_cast<std::uint16_t>(op), .object = object});
    request.text(body.done());
    seed_.raw(static_cast<std::uint8_t>(5 * kCallers + static_cast<std::size_t>(client)));
    seed_.raw(static_cast<std::uint16_t>(request.done().size())).text(request.done());
    return *this;
  }
  /// 1: a client ends, 2: deadlines pass, 3: user code is run, 4: a caller goes.
  Requests& act(std::size_t what, std::size_t who = 0) {
    seed_.raw(static_cast<std::uint8_t>(what * kCallers + who));
    return *this;
  }
  [[nodiscard]] const std::string& done() const { return seed_.done(); }

 private:
  Seed seed_;
};

Seed text(std::string_view s) { return Seed().raw(std::uint64_t{s.size()}).text(s); }
Seed value(std::string_view s, const std::vector<std::uint64_t>& references = {}) {
  Seed seed = text(s);
  seed.raw(static_cast<std::uint32_t>(references.size()));
  for (const std::uint64_t id : references) seed.raw(id);
  return seed;
}
Seed pair(std::string_view key, const Seed& v) { return text(key).text(v.done()); }
Seed creation(ObjectKind kind, std::string_view name, const Seed& content) {
  return Seed().raw(kind).raw(std::uint32_t{1}).text(text(name).done()).text(content.done());
}

/// Requests that wait, and what ends it. The object under test is the first.
void add_waiting(std::vector<std::string>& all) {
  using enum ManagerOp;
  const Seed nothing;
  const auto number = [](auto n) { return Seed().raw(n); };
  constexpr std::int64_t kForEver = -1;
  constexpr std::int64_t kShort = 1;
  constexpr std::uint64_t kOne = 1;
  const auto start = [](ObjectKind kind, const Seed& content) {
    Requests requests;
    requests.add(ManagerOp::create, 0, creation(kind, "", content));
    return requests.act(0, 1).done() + std::string(1, '\1');  // the other client greets with it
  };
  for (const ObjectKind kind : {ObjectKind::queue, ObjectKind::joinable_queue}) {
    const std::string begin = start(kind, number(kOne));
    const Seed get = Seed().raw(kForEver).raw(kOne);
    const Seed put = Seed().raw(kForEver).text(value("item").done()).text(value("more").done());
    for (const std::size_t end : {1u, 2u, 4u}) {
      all.push_back(begin + Requests()
                                .add(queue_get, 1, get)
                                .add(queue_get, 1, Seed().raw(kShort).raw(kOne), 1)
                                .act(end, 1)
                                .add(queue_put, 1, put, 2)
                                .add(queue_state, 1, nothing, 1)
                                .act(end, 0)
                                .done());
    }
    all.push_back(begin + Requests()
                              .add(queue_put, 1, put)
                              .add(queue_join, 1, number(kForEver), 2)
                              .add(queue_get, 1, get, 1)
                              .add(queue_task_done, 1, nothing, 1)
                              .add(queue_get, 1, get, 1)
                              .act(1, 1)
                              .done());
    all.push_back(begin + Requests()
                              .add(queue_get, 1, get)
                              .add(queue_shutdown, 1, number(std::uint8_t{1}), 1)
                              .add(queue_put, 1, put, 1)
                              .done());
  }
  for (const ObjectKind kind : {ObjectKind::lock, ObjectKind::rlock}) {
    const std::string begin = start(kind, nothing);
    const Seed lock = Seed().raw(kForEver).raw(kOne);
    for (const std::size_t end : {1u, 2u, 4u}) {
      all.push_back(begin + Requests()
                                .add(lock_acquire, 1, lock)
                                .add(lock_acquire, 1, lock, 2)
                                .add(lock_acquire, 1, Seed().raw(kShort).raw(kOne), 1)
                                .act(end, 0)
                                .add(lock_recover, 1, number(kOne), 3)
                                .add(lock_release, 1, number(kOne), 3)
                                .done());
    }
    const Seed wait = Seed().raw(kForEver).raw(kOne).raw(std::uint64_t{1});
    const Seed wait_shortly = Seed().raw(kShort).raw(kOne).raw(std::uint64_t{1});
    for (const std::size_t end : {1u, 2u, 4u}) {
      all.push_back(begin + Requests()
                                .add(create, 0, creation(ObjectKind::condition, "", nothing))
                                .add(lock_acquire, 1, lock)
                                .add(condition_wait, 2, wait)
                                .add(lock_acquire, 1, lock, 1)
                                .add(condition_wait, 2, wait_shortly, 1)
                                .add(lock_acquire, 1, lock, 3)
                                .add(condition_notify, 2, number(kOne), 3)
                                .act(end, 0)
                                .add(lock_release, 1, number(kOne), 3)
                                .act(end, 1)
                                .done());
    }
  }
  for (const ObjectKind kind : {ObjectKind::semaphore, ObjectKind::bounded_semaphore}) {
    all.push_back(start(kind, number(kOne)) + Requests()
                                                  .add(semaphore_acquire, 1, number(kForEver))
                                                  .add(semaphore_acquire, 1, number(kForEver), 2)
                                                  .add(semaphore_acquire, 1, number(kShort), 1)
                                                  .act(2)
                                                  .add(semaphore_release, 1, number(kOne), 1)
                                                  .add(semaphore_value, 1, nothing, 1)
                                                  .done());
  }
  all.push_back(start(ObjectKind::event, nothing) + Requests()
                                                        .add(event_wait, 1, number(kForEver))
                                                        .add(event_wait, 1, number(kShort), 1)
                                                        .act(2)
                                                        .add(event_set, 1, nothing, 1)
                                                        .add(event_is_set, 1, nothing, 1)
                                                        .add(event_clear, 1, nothing, 1)
                                                        .done());
  for (const ManagerOp end : {barrier_wait, barrier_abort, barrier_reset, barrier_state}) {
    all.push_back(start(ObjectKind::barrier, number(std::uint64_t{2})) +
                  Requests()
                      .add(barrier_wait, 1, number(kForEver))
                      .add(end, 1, end == barrier_wait ? number(kForEver) : nothing, 1)
                      .add(barrier_wait, 1, number(kShort), 1)
                      .act(2)
                      .act(4, 0)
                      .done());
  }
}

void add_user_code(std::vector<std::string>& all) {
  using enum ManagerOp;
  const std::uint64_t first = 0;
  const Seed argument = text(Seed().raw(std::uint64_t{1}).done());
  Requests requests;
  requests.add(ManagerOp::create, 0, creation(ObjectKind::list, "", value("12345678")));
  const Seed apply =
      Seed().raw(first).raw(thunk_key<ApplyThunk, copy_value>()).text(argument.done());
  const Seed sort = Seed().raw(thunk_key<SortThunk, turn_round>()).text(text("").done());
  const Seed make = Seed().raw(thunk_key<MakeThunk, make_echo>()).text(argument.done());
  const Seed call = Seed().raw(std::uint64_t{0}).raw(std::uint64_t{0}).text(argument.done());
  for (const std::size_t end : {1u, 3u, 4u}) {
    all.push_back(Requests(requests)
                      .add(list_apply, 1, apply)
                      .add(list_size, 1, Seed(), 2)
                      .add(list_sort, 1, sort, 4)
                      .act(end, 0)
                      .act(3)
                      .act(3)
                      .done());
    all.push_back(Requests()
                      .add(create, 0, creation(ObjectKind::object, "name", make))
                      .add(create, 0, creation(ObjectKind::object, "name", make), 1)
                      .act(end, 0)
                      .act(3)
                      .add(object_call, 1, call, 1)
                      .act(3)
                      .done());
    Seed batch;
    for (const auto& [op, body] : {std::pair{list_apply, &apply}, std::pair{list_sort, &sort}}) {
      Seed one;
      one.raw(RequestHeader{.op = static_cast<std::uint16_t>(op), .object = 1}).text(body->done());
      batch.text(text(one.done()).done());
    }
    all.push_back(Requests(requests)
                      .add(ManagerOp::batch, 0, batch)
                      .add(ManagerOp::batch, 0, batch, 2)
                      .act(3)
                      .act(end, 0)
                      .act(3)
                      .act(3)
                      .done());
  }
}

std::vector<std::string> seeds() {
  using enum ManagerOp;
  std::vector<std::string> all;
  const auto start = [] {
    Requests requests;
    requests.add(ManagerOp::create, 0,
                 creation(ObjectKind::dict, "name", pair("key", value("one"))));
    requests.add(ManagerOp::create, 0, creation(ObjectKind::list, "", value("12345678")), 1);
    return requests;
  };
  const std::string number = "12345678";
  const std::uint64_t first = 0;
  for (const ManagerOp op :
       {dict_get, dict_set, dict_insert, dict_erase, dict_pop, dict_pop_item, dict_set_default,
        dict_update, dict_contains, dict_clear, dict_keys, dict_items, dict_fetch_add,
        dict_compare_exchange, dict_apply, dict_size}) {
    all.push_back(start().add(op, 1, Seed()).add(op, 1, text("key")).done());
    all.push_back(
        start().add(op, 1, pair("key", value("two", {2}))).add(dict_items, 1, Seed()).done());
    all.push_back(start().add(op, 1, text("key").raw(NumberType::u64).text(number)).done());
  }
  for (const ManagerOp op :
       {list_get, list_set, list_extend, list_insert, list_erase, list_pop, list_pop_back,
        list_remove, list_slice, list_clear, list_index, list_count, list_sort, list_reverse,
        list_apply, list_fetch_add, list_compare_exchange, list_size, list_exchange}) {
    all.push_back(start().add(op, 2, Seed()).add(op, 2, Seed().raw(first)).done());
    all.push_back(start()
                      .add(op, 2, Seed().raw(first).text(value("two", {1, 2}).done()))
                      .add(op, 2, value("two", {2}))
                      .done());
    all.push_back(start().add(op, 2, Seed().raw(first).raw(~first)).done());
    all.push_back(start().add(op, 2, Seed().raw(first).raw(NumberType::u64).text(number)).done());
  }
  for (const ManagerOp op :
       {attach, pin, ManagerOp::release, batch, statistics, shutdown, introduce}) {
    all.push_back(start().add(op, 0, Seed()).add(op, 0, Seed().raw(std::uint64_t{1})).done());
    all.push_back(start()
                      .add(pin, 0, Seed().raw(std::uint64_t{1}))
                      .add(op, 0, Seed().raw(std::uint64_t{1}).raw(std::uint64_t{1}), 1)
                      .add(op, 0, Seed().raw(std::uint64_t{1}).raw(std::uint64_t{1}), 1)
                      .done());
  }
  add_waiting(all);
  add_user_code(all);
  Seed inner;
  inner.raw(RequestHeader{.op = static_cast<std::uint16_t>(dict_keys), .object = 1});
  all.push_back(start().add(batch, 0, text(inner.done()).text(text(inner.done()).done())).done());
  return all;
}

}  // namespace

const Target kStore{"store", run, seeds};

}  // namespace tandem::fuzz
