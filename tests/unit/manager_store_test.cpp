// The objects of a manager's server, without a server: references, atomic steps, hostile bytes.
#include "manager/store.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "support/random.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/call.hpp"
#include "tandem/detail/exception.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {
namespace {

using manager_protocol::PieceHeader;
using manager_protocol::put;
using manager_protocol::put_bytes;
using manager_protocol::Reader;
using manager_protocol::ReplyHeader;
using manager_protocol::ReplyStatus;
using manager_protocol::RequestHeader;

struct Answer {
  ReplyStatus status = ReplyStatus::found;
  std::vector<std::byte> result;
  std::vector<ObjectId> granted;

  [[nodiscard]] Reader reader() const { return Reader(result); }
  [[nodiscard]] bool found() const { return status == ReplyStatus::found; }
};

class Request {
 public:
  explicit Request(ManagerOp op, ObjectId object = 0) {
    put(bytes_, RequestHeader{.op = static_cast<std::uint16_t>(op), .object = object});
  }
  Request(const Request& other) { bytes_.append(other.bytes_.data(), other.bytes_.size()); }
  Request& operator=(const Request&) = delete;
  ~Request() = default;
  template <class Raw>
  Request& raw(Raw number) {
    put(bytes_, number);
    return *this;
  }
  Request& text(std::string_view s) {
    put(bytes_, std::uint64_t{s.size()});
    bytes_.append(s.data(), s.size());
    return *this;
  }
  Request& value(std::string_view s, const std::vector<ObjectId>& references = {}) {
    text(s).raw(static_cast<std::uint32_t>(references.size()));
    for (const ObjectId id : references) raw(id);
    return *this;
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_.bytes(); }

 private:
  Buffer bytes_;
};

class ManagerStoreTest : public testing::Test {
 protected:
  Answer ask(ClientReferences& client, const Request& request) {
    return ask(client, request.bytes());
  }
  Answer ask(ClientReferences& client, std::span<const std::byte> request) {
    Caller caller(&client);
    if (!store_.perform(caller, request)) {
      run_user_code();
      EXPECT_EQ(store_.next_answered(), &caller);
    }
    return answer_of(caller);
  }
  /// As a server's loop does.
  void run_user_code() {
    while (Caller* const caller = store_.next_call()) {
      caller->run();
      EXPECT_TRUE(store_.finish(*caller));
    }
  }
  static Answer answer_of(const Caller& caller) {
    Reader from(caller.reply.bytes());
    static_cast<void>(from.raw<PieceHeader>());
    Answer answer;
    answer.status = from.raw<ReplyHeader>().status;
    auto rest = from.rest();
    std::uint32_t n = 0;
    std::memcpy(&n, rest.data() + rest.size() - sizeof n, sizeof n);
    rest = rest.first(rest.size() - sizeof n);
    answer.granted.resize(n);
    const auto ids = rest.last(n * sizeof(ObjectId));
    if (n > 0) std::memcpy(answer.granted.data(), ids.data(), ids.size());
    rest = rest.first(rest.size() - ids.size());
    answer.result.assign(rest.begin(), rest.end());
    return answer;
  }
  ObjectId make(ClientReferences& client, ObjectKind kind, std::string_view name = {}) {
    const Answer answer = ask(client, Request(ManagerOp::create).raw(kind).raw(1u).text(name));
    EXPECT_TRUE(answer.found());
    return answer.reader().raw<ObjectId>();
  }
  ObjectId make_dict(ClientReferences& client) { return make(client, ObjectKind::dict); }
  ObjectId make_list(ClientReferences& client) { return make(client, ObjectKind::list); }
  void release(ClientReferences& client, ObjectId id, std::uint64_t n = 1) {
    store_.release(client, id, n);
  }
  [[noreturn]] static void rethrow(const Answer& answer) {
    Decoder from(answer.result, Route::manager);
    std::rethrow_exception(decode_exception(from));
  }

  Store store_{"test"};
  ClientReferences client_;
  ClientReferences other_;
};

TEST_F(ManagerStoreTest, ObjectGoesWithItsLastReference) {
  const ObjectId id = make_dict(client_);
  EXPECT_EQ(store_.object_count(), 1u);
  EXPECT_TRUE(ask(other_, Request(ManagerOp::attach).raw(id).raw(std::uint64_t{0})).found());
  release(client_, id);
  EXPECT_EQ(store_.object_count(), 1u);
  release(other_, id);
  EXPECT_EQ(store_.object_count(), 0u);
}

TEST_F(ManagerStoreTest, AttachToWhatIsGoneIsMissing) {
  const ObjectId id = make_dict(client_);
  release(client_, id);
  EXPECT_FALSE(ask(other_, Request(ManagerOp::attach).raw(id).raw(std::uint64_t{0})).found());
  EXPECT_TRUE(other_.held.empty());
}

TEST_F(ManagerStoreTest, NobodyGivesBackMoreThanItHolds) {
  const ObjectId id = make_dict(client_);
  release(other_, id, 5);
  EXPECT_EQ(store_.object_count(), 1u);
  release(client_, id, 1'000'000);
  EXPECT_EQ(store_.object_count(), 0u);
}

TEST_F(ManagerStoreTest, ADeadClientsReferencesAndPinsAreDropped) {
  const ObjectId a = make_dict(client_);
  const ObjectId b = make_list(client_);
  EXPECT_TRUE(ask(client_, Request(ManagerOp::pin).raw(a)).found());
  EXPECT_TRUE(ask(other_, Request(ManagerOp::attach).raw(b).raw(std::uint64_t{0})).found());
  store_.forget(client_);
  EXPECT_EQ(store_.object_count(), 1u);
  store_.forget(other_);
  EXPECT_EQ(store_.object_count(), 0u);
}

TEST_F(ManagerStoreTest, PinKeepsTheObjectUntilItsTokenIsUsed) {
  const ObjectId id = make_dict(client_);
  const auto token = ask(client_, Request(ManagerOp::pin).raw(id)).reader().raw<std::uint64_t>();
  release(client_, id);
  EXPECT_EQ(store_.object_count(), 1u);
  EXPECT_TRUE(ask(other_, Request(ManagerOp::attach).raw(id).raw(token)).found());
  EXPECT_TRUE(client_.pins.empty());
  release(other_, id);
  EXPECT_EQ(store_.object_count(), 0u);
}

TEST_F(ManagerStoreTest, ANameKeepsTheObject) {
  const ObjectId id = make(client_, ObjectKind::dict, "settings");
  release(client_, id);
  EXPECT_EQ(make(client_, ObjectKind::dict, "settings"), id);
  const Answer wrong =
      ask(client_, Request(ManagerOp::create).raw(ObjectKind::list).raw(1u).text("settings"));
  EXPECT_THROW(rethrow(wrong), Error);
}

TEST_F(ManagerStoreTest, ContainersKeepWhatTheyContain) {
  const ObjectId outer = make_dict(client_);
  const ObjectId inner = make_list(client_);
  EXPECT_TRUE(
      ask(client_, Request(ManagerOp::dict_set, outer).text("k").value("v", {inner})).found());
  release(client_, inner);
  EXPECT_EQ(store_.object_count(), 2u);

  const Answer got = ask(client_, Request(ManagerOp::dict_get, outer).text("k"));
  EXPECT_EQ(got.granted, std::vector<ObjectId>{inner});
  EXPECT_TRUE(ask(client_, Request(ManagerOp::dict_set, outer).text("k").value("w")).found());
  EXPECT_EQ(store_.object_count(), 2u);
  release(client_, inner);
  EXPECT_EQ(store_.object_count(), 1u);
}

TEST_F(ManagerStoreTest, DeepNestingGoesWithoutAStack) {
  ObjectId inner = make_list(client_);
  for (int i = 0; i < 100'000; ++i) {
    const ObjectId outer = make_list(client_);
    ask(client_, Request(ManagerOp::list_extend, outer).value("v", {inner}));
    release(client_, inner);
    inner = outer;
  }
  EXPECT_EQ(store_.object_count(), 100'001u);
  release(client_, inner);
  EXPECT_EQ(store_.object_count(), 0u);
}

TEST_F(ManagerStoreTest, ContainersInACircleKeepEachOtherUntilOneIsCleared) {
  const ObjectId dict = make_dict(client_);
  const ObjectId list = make_list(client_);
  ask(client_, Request(ManagerOp::dict_set, dict).text("k").value("v", {list}));
  ask(client_, Request(ManagerOp::list_extend, list).value("v", {dict}));
  release(client_, dict);
  store_.greet(other_, list);
  store_.forget(client_);
  EXPECT_EQ(store_.object_count(), 2u);
  EXPECT_TRUE(ask(other_, Request(ManagerOp::list_clear, list)).found());
  EXPECT_EQ(store_.object_count(), 1u);  // the other's list
  store_.forget(other_);
  EXPECT_EQ(store_.object_count(), 0u);
}

TEST_F(ManagerStoreTest, AnObjectMayEraseItsOwnLastReference) {
  const ObjectId id = make_list(client_);
  ask(client_, Request(ManagerOp::list_extend, id).value("self", {id}));
  release(client_, id);
  EXPECT_EQ(store_.object_count(), 1u);
  EXPECT_TRUE(ask(other_, Request(ManagerOp::list_clear, id)).found());
  EXPECT_EQ(store_.object_count(), 0u);
}

TEST_F(ManagerStoreTest, AnUpdateMayReplaceTheLastReferenceToWhatItBrings) {
  const ObjectId dict = make_dict(client_);
  const ObjectId inner = make_list(client_);
  ask(client_, Request(ManagerOp::dict_set, dict).text("a").value("v", {inner}));
  release(client_, inner);
  EXPECT_TRUE(
      ask(client_,
          Request(ManagerOp::dict_update, dict).text("a").value("w").text("b").value("v", {inner}))
          .found());
  EXPECT_EQ(store_.object_count(), 2u);
}

TEST_F(ManagerStoreTest, AnUpdateThatFailsChangesNothing) {
  const ObjectId dict = make_dict(client_);
  ask(client_, Request(ManagerOp::dict_set, dict).text("a").value("1"));
  const Answer failed = ask(client_, Request(ManagerOp::dict_update, dict)
                                         .text("a")
                                         .value("2")
                                         .text("b")
                                         .value("3", {ObjectId{12345}}));
  EXPECT_THROW(rethrow(failed), Error);
  const Answer size = ask(client_, Request(ManagerOp::dict_size, dict));
  EXPECT_EQ(size.reader().raw<std::uint64_t>(), 1u);
  EXPECT_EQ(ask(client_, Request(ManagerOp::dict_get, dict).text("a")).reader().text(), "1");
}

TEST_F(ManagerStoreTest, PopItemTakesTheYoungestKey) {
  const ObjectId dict = make_dict(client_);
  for (const char* key : {"a", "b", "c", "d"}) {
    ask(client_, Request(ManagerOp::dict_set, dict).text(key).value(key));
  }
  ask(client_, Request(ManagerOp::dict_set, dict).text("a").value("again"));  // keeps its age
  ask(client_, Request(ManagerOp::dict_erase, dict).text("c"));
  std::string order;
  for (;;) {
    const Answer answer = ask(client_, Request(ManagerOp::dict_pop_item, dict));
    if (!answer.found()) break;
    order += answer.reader().text();
  }
  EXPECT_EQ(order, "dba");
}

TEST_F(ManagerStoreTest, GarbageIsAnErrorAndHarmsNothing) {
  std::mt19937_64 random(test::seed());
  const ObjectId dict = make_dict(client_);
  const ObjectId list = make_list(client_);
  ask(client_, Request(ManagerOp::dict_set, dict).text("k").value("v", {list}));
  ask(client_, Request(ManagerOp::list_extend, list).value("v", {dict}).value("w"));
  ClientReferences hostile;
  for (int i = 0; i < 100'000; ++i) {
    std::vector<std::byte> bytes(random() % 96);
    for (std::byte& b : bytes) {
      b = static_cast<std::byte>(random() % 4 == 0 ? random() : random() % 4);
    }
    if (bytes.size() >= sizeof(RequestHeader) && random() % 8 != 0) {
      const auto op = static_cast<std::uint16_t>(random() % 84);
      if (op == static_cast<std::uint16_t>(ManagerOp::shutdown)) continue;
      const RequestHeader header{.op = op, .object = random() % 3};
      std::memcpy(bytes.data(), &header, sizeof header);
    }
    ask(hostile, bytes);
  }
  store_.forget(hostile);
  EXPECT_TRUE(ask(client_, Request(ManagerOp::dict_size, dict)).found());
  EXPECT_TRUE(ask(client_, Request(ManagerOp::list_size, list)).found());
}

// --- requests that wait ---

class ManagerStoreWaitTest : public ManagerStoreTest {
 protected:
  static constexpr std::int64_t kForEver = -1;

  ObjectId make_queue(std::uint64_t maxsize = 0, ObjectKind kind = ObjectKind::queue) {
    return ask(client_, Request(ManagerOp::create).raw(kind).raw(1u).text("").raw(maxsize))
        .reader()
        .raw<ObjectId>();
  }
  ObjectId make_plain(ObjectKind kind) { return make(client_, kind); }
  static Request get(ObjectId queue, std::int64_t timeout, std::uint64_t at_most = 1) {
    return Request(ManagerOp::queue_get, queue).raw(timeout).raw(at_most);
  }
  static Request put(ObjectId queue, std::int64_t timeout, std::string_view v) {
    return Request(ManagerOp::queue_put, queue).raw(timeout).value(v);
  }
  static Request lock(ObjectId id, std::int64_t timeout, std::uint64_t thread = 1) {
    return Request(ManagerOp::lock_acquire, id).raw(timeout).raw(thread);
  }
  static Request unlock(ObjectId id, std::uint64_t thread = 1) {
    return Request(ManagerOp::lock_release, id).raw(thread);
  }
  static Request wait(ObjectId condition, ObjectId lock, std::int64_t timeout,
                      std::uint64_t thread = 1) {
    return Request(ManagerOp::condition_wait, condition).raw(timeout).raw(thread).raw(lock);
  }
  bool start(Caller& caller, const Request& request) {
    return store_.perform(caller, request.bytes());
  }
  void expect_answered(Caller& caller) {
    EXPECT_EQ(store_.next_answered(), &caller);
    EXPECT_FALSE(caller.busy());
  }
  void expect_nobody_answered() { EXPECT_EQ(store_.next_answered(), nullptr); }
  static std::string item(const Caller& caller) {
    const Answer answer = answer_of(caller);
    Reader from = answer.reader();
    EXPECT_EQ(from.raw<std::uint64_t>(), 1u);
    return std::string(from.text());
  }
  void expire() {
    while (!store_.next_deadline().passed()) {
    }
    store_.expire();
  }

  Caller first_{&client_};
  Caller second_{&other_};
  Caller third_{&other_};
};

TEST_F(ManagerStoreWaitTest, GettersAreServedInTheirOrder) {
  const ObjectId queue = make_queue();
  EXPECT_FALSE(start(first_, get(queue, kForEver)));
  EXPECT_FALSE(start(second_, get(queue, kForEver)));
  EXPECT_TRUE(ask(client_, put(queue, kForEver, "a")).found());
  expect_answered(first_);
  EXPECT_EQ(item(first_), "a");
  EXPECT_TRUE(ask(client_, put(queue, kForEver, "b")).found());
  expect_answered(second_);
  EXPECT_EQ(item(second_), "b");
  expect_nobody_answered();
}

TEST_F(ManagerStoreWaitTest, NothingGoesToOneWhoGaveUp) {
  const ObjectId queue = make_queue();
  EXPECT_FALSE(ask(client_, get(queue, 0)).found());
  EXPECT_TRUE(store_.next_deadline().is_never());
  EXPECT_FALSE(start(first_, get(queue, 1000)));
  EXPECT_FALSE(start(second_, get(queue, kForEver)));
  expire();
  expect_answered(first_);
  EXPECT_FALSE(answer_of(first_).found());
  EXPECT_TRUE(store_.next_deadline().is_never());
  EXPECT_TRUE(store_.abandon(second_));
  EXPECT_TRUE(ask(client_, put(queue, kForEver, "a")).found());
  expect_nobody_answered();
  EXPECT_TRUE(ask(client_, get(queue, 0)).found());
}

TEST_F(ManagerStoreWaitTest, PuttersWaitForRoom) {
  const ObjectId queue = make_queue(1);
  Request many(ManagerOp::queue_put, queue);
  many.raw(kForEver).value("a").value("b").value("c");
  EXPECT_FALSE(start(first_, many));
  EXPECT_FALSE(ask(client_, put(queue, 0, "d")).found());
  EXPECT_TRUE(ask(client_, get(queue, 0)).found());
  expect_nobody_answered();  // "c" is still to come
  EXPECT_FALSE(start(second_, put(queue, kForEver, "d")));
  EXPECT_TRUE(ask(client_, get(queue, 0)).found());
  expect_answered(first_);
  ASSERT_TRUE(start(third_, get(queue, 0)));
  EXPECT_EQ(item(third_), "c");
  expect_answered(second_);
}

TEST_F(ManagerStoreWaitTest, AParkedRequestKeepsItsObject) {
  const ObjectId queue = make_queue();
  EXPECT_FALSE(start(second_, get(queue, kForEver)));
  release(client_, queue);
  EXPECT_EQ(store_.object_count(), 1u);
  EXPECT_TRUE(store_.abandon(second_));
  EXPECT_EQ(store_.object_count(), 0u);
}

TEST_F(ManagerStoreWaitTest, AnItemInAQueueKeepsItsObject) {
  const ObjectId queue = make_queue();
  const ObjectId list = make_list(client_);
  Request request(ManagerOp::queue_put, queue);
  EXPECT_TRUE(ask(client_, request.raw(kForEver).value("l", {list})).found());
  release(client_, list);
  EXPECT_EQ(store_.object_count(), 2u);
  EXPECT_EQ(ask(other_, get(queue, 0)).granted, std::vector<ObjectId>{list});
  store_.forget(other_);
  EXPECT_EQ(store_.object_count(), 1u);
}

TEST_F(ManagerStoreWaitTest, AClientThatEndsIsReportedToOneWhoJoins) {
  const ObjectId queue = make_queue(0, ObjectKind::joinable_queue);
  EXPECT_TRUE(ask(client_, put(queue, 0, "a")).found());
  EXPECT_TRUE(ask(other_, get(queue, 0)).found());
  Request join(ManagerOp::queue_join, queue);
  join.raw(kForEver);
  EXPECT_FALSE(start(first_, join));
  store_.forget(other_);
  expect_answered(first_);
  EXPECT_THROW(rethrow(answer_of(first_)), OwnerDied);
  EXPECT_TRUE(ask(client_, join).found());
  EXPECT_THROW(rethrow(ask(client_, Request(ManagerOp::queue_task_done, queue))), Error);
}

TEST_F(ManagerStoreWaitTest, ALockWhoseOwnerEndedIsToBeRecovered) {
  const ObjectId id = make_plain(ObjectKind::lock);
  EXPECT_TRUE(ask(other_, lock(id, kForEver)).found());
  EXPECT_FALSE(ask(client_, lock(id, 0)).found());
  EXPECT_THROW(rethrow(ask(client_, unlock(id))), SystemError);
  EXPECT_FALSE(start(first_, lock(id, kForEver)));
  store_.forget(other_);
  expect_answered(first_);
  EXPECT_THROW(rethrow(answer_of(first_)), OwnerDied);
  EXPECT_THROW(rethrow(ask(client_, lock(id, 0))), OwnerDied);
  const Request recover = Request(ManagerOp::lock_recover, id).raw(std::uint64_t{1});
  EXPECT_TRUE(ask(client_, recover).found());
  EXPECT_FALSE(ask(client_, recover).found());
  EXPECT_TRUE(ask(client_, unlock(id)).found());
}

TEST_F(ManagerStoreWaitTest, AnAbandonedNotificationGoesToAnother) {
  const ObjectId id = make_plain(ObjectKind::lock);
  const ObjectId condition = make_plain(ObjectKind::condition);
  EXPECT_TRUE(ask(client_, lock(id, 0)).found());
  EXPECT_FALSE(start(first_, wait(condition, id, kForEver)));
  EXPECT_TRUE(ask(other_, lock(id, 0, 2)).found());
  EXPECT_FALSE(start(second_, wait(condition, id, kForEver, 2)));
  EXPECT_TRUE(ask(other_, lock(id, 0, 3)).found());
  const Request notify = Request(ManagerOp::condition_notify, condition).raw(std::uint64_t{1});
  EXPECT_TRUE(ask(other_, notify).found());
  EXPECT_TRUE(store_.abandon(first_));
  expect_nobody_answered();
  EXPECT_TRUE(ask(other_, unlock(id, 3)).found());
  expect_answered(second_);
  EXPECT_TRUE(answer_of(second_).found());
  EXPECT_TRUE(ask(other_, unlock(id, 2)).found());
}

TEST_F(ManagerStoreWaitTest, AWaitThatTimesOutHasTheLock) {
  const ObjectId id = make_plain(ObjectKind::lock);
  const ObjectId condition = make_plain(ObjectKind::condition);
  EXPECT_TRUE(ask(client_, lock(id, 0)).found());
  EXPECT_FALSE(ask(client_, wait(condition, id, 0)).found());
  EXPECT_FALSE(start(first_, wait(condition, id, 1000)));
  EXPECT_TRUE(ask(other_, lock(id, 0)).found());
  expire();
  expect_nobody_answered();
  EXPECT_TRUE(ask(other_, unlock(id)).found());
  expect_answered(first_);
  EXPECT_FALSE(answer_of(first_).found());
  EXPECT_TRUE(ask(client_, unlock(id)).found());
}

TEST_F(ManagerStoreWaitTest, ABarrierBreaksWithAParty) {
  const Answer made = ask(
      client_,
      Request(ManagerOp::create).raw(ObjectKind::barrier).raw(1u).text("").raw(std::uint64_t{2}));
  const ObjectId barrier = made.reader().raw<ObjectId>();
  const Request come = Request(ManagerOp::barrier_wait, barrier).raw(kForEver);
  EXPECT_FALSE(start(first_, come));
  EXPECT_TRUE(start(second_, come));
  expect_answered(first_);
  EXPECT_EQ(answer_of(first_).reader().raw<std::uint64_t>(), 0u);
  EXPECT_EQ(answer_of(second_).reader().raw<std::uint64_t>(), 1u);
  EXPECT_FALSE(start(first_, come));
  EXPECT_TRUE(store_.abandon(first_));
  EXPECT_THROW(rethrow(ask(client_, come)), BrokenBarrier);
  EXPECT_TRUE(ask(client_, Request(ManagerOp::barrier_reset, barrier)).found());
  EXPECT_THROW(
      rethrow(ask(client_, Request(ManagerOp::barrier_wait, barrier).raw(std::int64_t{0}))),
      BrokenBarrier);
}

// --- user code ---

void turn_round(Decoder&, const std::vector<std::span<const std::byte>>& values,
                std::vector<std::uint32_t>& order) {
  for (std::size_t i = values.size(); i > 0; --i)
    order.push_back(static_cast<std::uint32_t>(i - 1));
}

TEST_F(ManagerStoreWaitTest, CodeOfAnotherBuildIsRefused) {
  const ObjectId list = make_list(client_);
  ThunkKey<SortThunk> key = thunk_key<SortThunk, turn_round>();
  ++key.place.module;
  try {
    rethrow(ask(client_, Request(ManagerOp::list_sort, list).raw(key).text("")));
  } catch (const DecodeError& error) {
    EXPECT_NE(std::string_view(error.what()).find("the same build"), std::string_view::npos)
        << error.what();
  }
  // One of this build, but no sort: it is not called.
  key = thunk_key<SortThunk, turn_round>();
  const ObjectId dict = make_dict(client_);
  EXPECT_TRUE(ask(client_, Request(ManagerOp::dict_set, dict).text("k").value("v")).found());
  EXPECT_THROW(
      rethrow(ask(client_, Request(ManagerOp::dict_apply, dict).text("k").raw(key).text(""))),
      DecodeError);
}

TEST_F(ManagerStoreWaitTest, RequestsWaitForABusyObject) {
  const ObjectId list = make_list(client_);
  EXPECT_TRUE(ask(client_, Request(ManagerOp::list_extend, list).value("a").value("b")).found());
  const Request sort =
      Request(ManagerOp::list_sort, list).raw(thunk_key<SortThunk, turn_round>()).text("");
  const Request read = Request(ManagerOp::list_get, list).raw(std::uint64_t{0});
  EXPECT_FALSE(start(first_, sort));
  EXPECT_EQ(store_.next_call(), &first_);
  EXPECT_EQ(store_.next_call(), nullptr);
  EXPECT_FALSE(start(second_, read));
  const Request size = Request(ManagerOp::list_size, list);
  Buffer inner;
  put_bytes(inner, size.bytes());
  Request batch(ManagerOp::batch);
  for (const std::byte b : inner.bytes()) batch.raw(b);
  EXPECT_FALSE(start(third_, batch));
  EXPECT_FALSE(store_.abandon(first_));  // its code runs: it has to stay
  first_.run();
  EXPECT_FALSE(store_.finish(first_));
  expect_answered(second_);
  EXPECT_EQ(answer_of(second_).reader().text(), "b");
  expect_answered(third_);
  EXPECT_TRUE(answer_of(third_).found());
  expect_nobody_answered();
}

}  // namespace
}  // namespace tandem::detail
