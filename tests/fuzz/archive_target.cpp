// Bytes to values of many types, to exceptions, and to calls.
#include <array>
#include <bitset>
#include <cereal/types/base_class.hpp>
#include <chrono>
#include <deque>
#include <exception>
#include <filesystem>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "fuzz/target.hpp"
#include "os/memfd.hpp"
#include "support/pieces.hpp"
#include "tandem/connection.hpp"
#include "tandem/detail/call.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/detail/exception.hpp"
#include "tandem/event.hpp"
#include "tandem/lock.hpp"
#include "tandem/queue.hpp"
#include "tandem/shared_memory.hpp"

namespace tandem::fuzz {
namespace {

using namespace detail;

struct Tree {
  int value = 0;
  std::vector<Tree> children;
};
struct Chain {
  std::string name;
  std::unique_ptr<Chain> next;
};
struct Flags {
  bool a = false;
  std::array<bool, 3> b{};
  double number = 0;
};

/// With cereal's functions, a version and a base.
class Account {
 public:
  Account() = default;
  explicit Account(std::string owner) : owner_(std::move(owner)) {}
  template <class Archive>
  void serialize(Archive& archive, std::uint32_t version) {
    archive(owner_, history_);
    if (version > 0) archive(limit_);
  }

 private:
  std::string owner_;
  std::vector<std::pair<std::int64_t, std::optional<std::string>>> history_;
  std::map<std::string, double> limit_;
};

/// Built in place.
class Interval {
 public:
  Interval(int from, int to) : from_(from), to_(to) {}
  template <class Archive>
  void save(Archive& archive) const {
    archive(from_, to_);
  }
  template <class Archive>
  static void load_and_construct(Archive& archive, cereal::construct<Interval>& construct) {
    int from = 0;
    int to = 0;
    archive(from, to);
    construct(from, to);
  }

 private:
  int from_;
  int to_;
};

using Node = std::variant<std::monostate, int, std::string, std::vector<double>, Tree>;

/// What decodes once must encode, and the encoding decode again to the same bytes.
template <class T>
void check(std::span<const std::byte> bytes) {
  Decoder from(bytes, Route::queue);
  const T value = decode_value<T>(from);
  const std::size_t left = from.left();
  // As it comes over a connection: the same value, and as much left over.
  test::Pieces pieces(bytes, 7);
  Decoder in_pieces(pieces.handle(), bytes.size(), Route::queue);
  static_cast<void>(decode_value<T>(in_pieces));
  if (in_pieces.left() != left) throw std::logic_error("another value in pieces");
  Buffer first;
  Encoder to_first(first, Route::queue);
  encode_value(to_first, value);
  Decoder again(first.bytes(), Route::queue);
  const T copy = decode_value<T>(again);
  again.expect_end();
  Buffer second;
  Encoder to_second(second, Route::queue);
  encode_value(to_second, copy);
  if (first.size() != second.size()) throw std::logic_error("another encoding the second time");
}

/// Handles need a descriptor, and none of those that come along is one of theirs.
template <class T>
void check_handle(std::span<const std::byte> bytes) {
  std::vector<Fd> descriptors;
  descriptors.push_back(os::make_memfd("not one", 4096));
  descriptors.emplace_back();
  Decoder from(bytes, Route::connection, &descriptors);
  const T value = decode_value<T>(from);
}

/// The message of a value, as it comes out of a queue.
template <class T>
void check_message(std::span<const std::byte> bytes) {
  IncomingValue<T> value;
  Incoming& message = value.message();
  // In two pieces, as a stream comes.
  const std::size_t half = bytes.size() / 2;
  if (!message.begin(bytes.size(), half)) return;
  message.add(bytes.first(half));
  message.add(bytes.subspan(half));
  message.type = fingerprint<T>();
  static_cast<void>(value.take(Route::queue, "fuzz"));
}

void check_exception(std::span<const std::byte> bytes) {
  Decoder from(bytes, Route::queue);
  const std::exception_ptr error = decode_exception(from);
  Buffer again;
  Encoder to(again, Route::queue);
  encode_exception(to, error, "fuzz");
  static_cast<void>(tandem::remote_trace(std::runtime_error("local")));
}

void check_call(std::span<const std::byte> bytes) {
  Decoder from(bytes, Route::queue);
  Buffer result;
  Encoder to(result, Route::queue);
  run_call(from, to);
}

using Check = void (*)(std::span<const std::byte>);
constexpr Check kChecks[] = {
    &check_exception,
    &check_call,
    &check<std::string>,
    &check<std::vector<std::string>>,
    &check<std::vector<std::vector<int>>>,
    &check<std::vector<bool>>,
    &check<std::deque<std::optional<std::pair<int, std::string>>>>,
    &check<std::list<std::tuple<int, std::string, double>>>,
    &check<std::forward_list<std::set<std::string>>>,
    &check<std::map<std::string, std::vector<std::optional<int>>>>,
    &check<std::multimap<int, std::string>>,
    &check<std::unordered_map<std::string, std::map<int, int>>>,
    &check<std::unordered_set<std::string>>,
    &check<Node>,
    &check<std::vector<Node>>,
    &check<Tree>,
    &check<Chain>,
    &check<std::vector<Flags>>,
    &check<Account>,
    &check<std::vector<Account>>,
    &check<std::vector<Interval>>,
    &check<std::shared_ptr<Tree>>,
    &check<std::vector<std::shared_ptr<std::string>>>,
    &check<std::filesystem::path>,
    &check<std::vector<std::monostate>>,
    &check<std::vector<std::optional<std::array<std::string, 64>>>>,
    &check<std::chrono::nanoseconds>,
    &check_message<int>,
    &check_message<bool>,
    &check_message<std::string>,
    &check_message<std::vector<Flags>>,
    &check_message<std::vector<std::string>>,
    &check_message<Account>,
    &check_handle<Lock>,
    &check_handle<Event>,
    &check_handle<SharedMemory>,
    &check_handle<Queue<int>>,
    &check_handle<Connection<int>>,
    &check_handle<std::vector<std::optional<Lock>>>,
};

void run(std::span<const std::byte> input) {
  Input from(input);
  const Check chosen = kChecks[from.raw<std::uint8_t>() % std::size(kChecks)];
  try {
    chosen(from.rest());
  } catch (const DecodeError&) {  // what any bytes may be
  }
}

int sum(const std::vector<int>& numbers, const std::string& text) {
  return static_cast<int>(numbers.size() + text.size());
}
struct Sum {
  int operator()(const std::vector<int>& numbers, const std::string& text) const {
    return sum(numbers, text);
  }
};

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  // A value of each type would be a value of many others too, spoiled a little.
  const auto add = [&all](auto write) {
    Buffer buffer;
    Encoder to(buffer, Route::queue);
    write(to);
    for (std::size_t i = 0; i < std::size(kChecks); ++i) {
      all.push_back(Seed().raw(static_cast<std::uint8_t>(i)).bytes(buffer.bytes()).done());
    }
  };
  add([](Encoder& to) {
    encode_exception(to, std::make_exception_ptr(std::out_of_range("no such key")), "here");
  });
  add([](Encoder& to) {
    encode_exception(
        to, std::make_exception_ptr(std::system_error(EACCES, std::system_category(), "open")),
        "here");
  });
  add([](Encoder& to) { encode_call(to, Sum(), std::vector<int>{1, 2, 3}, std::string("text")); });
  add([](Encoder& to) { encode_value(to, Tree{1, {{2, {}}, {3, {{4, {}}}}}}); });
  add([](Encoder& to) {
    encode_value(to, std::map<std::string, std::vector<std::optional<int>>>{
                         {"a", {1, {}, 2}}, {"bc", {}}, {"d", {3}}});
  });
  add([](Encoder& to) { encode_value(to, std::vector<Node>{1, "text", Tree{1, {}}, {}}); });
  add([](Encoder& to) { encode_value(to, std::vector<Account>{Account("me"), Account("you")}); });
  add([](Encoder& to) {
    const auto shared = std::make_shared<std::string>("shared");
    encode_value(to, std::vector<std::shared_ptr<std::string>>{shared, nullptr, shared});
  });
  return all;
}

}  // namespace

const Target kArchive{"archive", run, seeds};

}  // namespace tandem::fuzz
