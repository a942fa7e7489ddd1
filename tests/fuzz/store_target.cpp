// Requests of two clients to the objects of a manager's server.
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/target.hpp"
#include "manager/protocol.hpp"
#include "manager/store.hpp"
#include "tandem/detail/buffer.hpp"
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

void run(std::span<const std::byte> input) {
  if (input.size() > kMostInput) return;
  Input from(input);
  Store store("fuzz");
  ClientReferences clients[2];
  for (std::size_t i = 0; i < kMostRequests && !from.empty(); ++i) {
    const auto how = from.raw<std::uint8_t>();
    ClientReferences& client = clients[how % 2];
    switch (how / 2 % 8) {
      case 0:
        store.greet(client, from.raw<std::uint8_t>());
        continue;
      case 1:
        store.forget(client);
        client = {};
        continue;
      default:
        break;
    }
    Caller caller(&client);
    static_cast<void>(store.perform(caller, from.take(from.raw<std::uint16_t>() % 512)));
    Buffer& reply = caller.reply;
    if (reply.size() < sizeof(PieceHeader) + sizeof(ReplyHeader) + sizeof(std::uint32_t)) {
      throw std::logic_error("a reply that is none");
    }
  }
  // Nothing lives on but what a name or another object refers to.
  for (ClientReferences& client : clients) store.forget(client);
}

class Requests {
 public:
  Requests& add(ManagerOp op, std::uint64_t object, const Seed& body, int client = 0) {
    Seed request;
    request.raw(RequestHeader{.op = static_cast<std::uint16_t>(op), .object = object});
    request.text(body.done());
    seed_.raw(static_cast<std::uint8_t>(4 + client));
    seed_.raw(static_cast<std::uint16_t>(request.done().size())).text(request.done());
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
        list_apply, list_fetch_add, list_compare_exchange, list_size}) {
    all.push_back(start().add(op, 2, Seed()).add(op, 2, Seed().raw(first)).done());
    all.push_back(start()
                      .add(op, 2, Seed().raw(first).text(value("two", {1, 2}).done()))
                      .add(op, 2, value("two", {2}))
                      .done());
    all.push_back(start().add(op, 2, Seed().raw(first).raw(~first)).done());
    all.push_back(start().add(op, 2, Seed().raw(first).raw(NumberType::u64).text(number)).done());
  }
  for (const ManagerOp op : {attach, pin, ManagerOp::release, batch, statistics, shutdown}) {
    all.push_back(start().add(op, 0, Seed()).add(op, 0, Seed().raw(std::uint64_t{1})).done());
    all.push_back(start()
                      .add(pin, 0, Seed().raw(std::uint64_t{1}))
                      .add(op, 0, Seed().raw(std::uint64_t{1}).raw(std::uint64_t{1}), 1)
                      .add(op, 0, Seed().raw(std::uint64_t{1}).raw(std::uint64_t{1}), 1)
                      .done());
  }
  Seed inner;
  inner.raw(RequestHeader{.op = static_cast<std::uint16_t>(dict_keys), .object = 1});
  all.push_back(start().add(batch, 0, text(inner.done()).text(text(inner.done()).done())).done());
  return all;
}

}  // namespace

const Target kStore{"store", run, seeds};

}  // namespace tandem::fuzz
