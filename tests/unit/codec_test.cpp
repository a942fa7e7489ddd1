#include "tandem/detail/codec.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cereal/types/base_class.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/vector.hpp>
#include <chrono>
#include <complex>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "support/pieces.hpp"
#include "support/random.hpp"
#include "tandem/sendable.hpp"

namespace {

std::atomic<std::size_t> allocated_bytes{0};

}  // namespace

// All that a decoder allocates is counted: it must not believe a hostile length.
// Not inlined: GCC would take malloc and free, seen through one of the two only, for a mismatch.
__attribute__((noinline)) void* operator new(std::size_t n) {
  allocated_bytes += n;
  if (void* memory = std::malloc(n == 0 ? 1 : n)) return memory;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* memory) noexcept { std::free(memory); }
__attribute__((noinline)) void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace tandem::detail {
namespace {

struct Plain {
  int number;
  double value;
  bool flag;
  friend bool operator==(const Plain&, const Plain&) = default;
};
struct Record {
  std::string name;
  std::vector<int> numbers;
  std::optional<double> weight;
  std::map<std::string, Plain> plains;
  friend bool operator==(const Record&, const Record&) = default;
};
struct Tree {
  int value;
  std::vector<Tree> children;
  friend bool operator==(const Tree&, const Tree&) = default;
};
struct WithArrays {
  std::string names[2];
  int grid[2][3];
  std::optional<int> extra;
  friend bool operator==(const WithArrays&, const WithArrays&) = default;
};
struct Nothing {
  friend bool operator==(const Nothing&, const Nothing&) = default;
};
class NoDefault {
 public:
  explicit NoDefault(int n) : n_(n) {}
  friend bool operator==(const NoDefault&, const NoDefault&) = default;

 private:
  int n_;
};
struct HasNoDefault {
  NoDefault value;
  std::string text;
  friend bool operator==(const HasNoDefault&, const HasNoDefault&) = default;
};

// One type for each form of cereal's functions.
struct Serialized {
  std::string text;
  std::vector<std::pair<std::string, int>> pairs;
  int number = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(CEREAL_NVP(text), pairs);
    archive& number;
  }
  friend bool operator==(const Serialized&, const Serialized&) = default;
};
struct SavedAndLoaded {
  std::vector<std::string> lines;
  template <class Archive>
  void save(Archive& archive) const {
    archive(cereal::make_size_tag(lines.size()));
    for (const auto& line : lines) archive << line;
  }
  template <class Archive>
  void load(Archive& archive) {
    std::size_t n = 0;
    archive(cereal::make_size_tag(n));
    lines.resize(n);
    for (auto& line : lines) archive >> line;
  }
  friend bool operator==(const SavedAndLoaded&, const SavedAndLoaded&) = default;
};
struct FreeSerialized {
  int number = 0;
  friend bool operator==(const FreeSerialized&, const FreeSerialized&) = default;
};
template <class Archive>
void serialize(Archive& archive, FreeSerialized& value) {
  archive(value.number);
}
struct Minimal {
  std::string text;
  template <class Archive>
  [[nodiscard]] std::string save_minimal(const Archive&) const {
    return text;
  }
  template <class Archive>
  void load_minimal(const Archive&, const std::string& value) {
    text = value;
  }
  friend bool operator==(const Minimal&, const Minimal&) = default;
};
struct Versioned {
  int number = 0;
  std::uint32_t seen = 0;
  template <class Archive>
  void serialize(Archive& archive, const std::uint32_t version) {
    archive(number);
    seen = version;
  }
};
struct Based : Serialized {
  int more = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(cereal::base_class<Serialized>(this), more);
  }
  friend bool operator==(const Based&, const Based&) = default;
};
struct Doubling {  // trivially copyable, but its functions win
  int number = 0;
  template <class Archive>
  void save(Archive& archive) const {
    archive(2 * number);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(number);
  }
};
class Constructed {
 public:
  Constructed(int a, std::string b) : a_(a), b_(std::move(b)) {}
  template <class Archive>
  void serialize(Archive& archive) {
    archive(a_, b_);
  }
  template <class Archive>
  static void load_and_construct(Archive& archive, cereal::construct<Constructed>& construct) {
    int a = 0;
    std::string b;
    archive(a, b);
    construct(a, std::move(b));
  }
  friend bool operator==(const Constructed&, const Constructed&) = default;

 private:
  int a_;
  std::string b_;
};
struct Chain {
  int number = 0;
  std::unique_ptr<Chain> next;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(number, next);
  }
};

template <class T>
std::vector<std::byte> encoded(const T& value, Route route = Route::connection) {
  Buffer buffer;
  Encoder to(buffer, route);
  encode(to, value);
  return {buffer.bytes().begin(), buffer.bytes().end()};
}

template <class T>
T decoded(std::span<const std::byte> bytes) {
  Decoder from(bytes, Route::connection);
  T value = decode<T>(from);
  from.expect_end();
  return value;
}

/// The same, of bytes that come in pieces.
template <class T>
T decoded(std::span<const std::byte> bytes, std::size_t most_in_a_piece) {
  test::Pieces pieces(bytes, most_in_a_piece);
  Decoder from(pieces.handle(), bytes.size(), Route::connection);
  T value = decode<T>(from);
  from.expect_end();
  EXPECT_TRUE(pieces.gone());
  return value;
}

/// What a core does between the two shells.
template <class T>
T delivered(const T& value, Route route = Route::queue) {
  const OutgoingValue<T> out(value, route);
  IncomingValue<T> in;
  Incoming& message = in.message();
  const std::span<const std::byte> bytes = out.message().bytes;
  EXPECT_TRUE(message.begin(bytes.size(), bytes.size()));
  message.add(bytes);
  message.type = out.message().type;
  return in.take(route, "test");
}

template <class T>
void round_trip(const T& value) {
  EXPECT_TRUE(decoded<T>(encoded(value)) == value) << type_name<T>();
  EXPECT_TRUE(decoded<std::vector<T>>(encoded(std::vector<T>{value, value})) ==
              (std::vector<T>{value, value}))
      << type_name<T>();
  EXPECT_TRUE(delivered(value) == value) << type_name<T>();
  EXPECT_TRUE(delivered(value, Route::socket) == value) << type_name<T>();
  for (const std::size_t most : {1U, 3U, 11U}) {
    EXPECT_TRUE(decoded<T>(encoded(value), most) == value) << type_name<T>() << most;
  }
}

TEST(CodecTest, ValuesArriveAsTheyWere) {
  round_trip(7);
  round_trip(true);
  round_trip(-1.5L);
  round_trip(Plain{1, 2.5, true});
  round_trip(std::string("text"));
  round_trip(std::u32string(U"text"));
  round_trip(std::string());
  round_trip(Bytes{std::byte{1}, std::byte{2}});
  round_trip(std::vector<Plain>{{1, 2, false}, {3, 4, true}});
  round_trip(std::vector<bool>{true, false, true});
  round_trip(std::deque<std::string>{"a", "b"});
  round_trip(std::list<int>{1, 2, 3});
  round_trip(std::forward_list<int>{1, 2, 3});
  round_trip(std::set<std::string>{"a", "b"});
  round_trip(std::multiset<int>{1, 1, 2});
  round_trip(std::unordered_set<int>{1, 2});
  round_trip(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
  round_trip(std::multimap<int, int>{{1, 1}, {1, 2}});
  round_trip(std::unordered_map<int, std::string>{{1, "a"}, {2, "b"}});
  round_trip(std::array<std::string, 2>{"a", "b"});
  round_trip(std::array<bool, 2>{true, false});
  round_trip(std::array<std::string, 40>{"a"});
  round_trip(std::array<int, 0>{});
  round_trip(std::pair<int, std::string>{1, "a"});
  round_trip(std::tuple<int, std::string, bool>{1, "a", true});
  round_trip(std::tuple<>{});
  round_trip(std::optional<std::string>{"a"});
  round_trip(std::optional<std::string>{});
  round_trip(std::variant<std::monostate, int, std::string>{"a"});
  round_trip(std::monostate{});
  round_trip(Nothing{});
  round_trip(std::chrono::milliseconds(5));
  round_trip(std::chrono::system_clock::now());
  round_trip(std::filesystem::path("/a/b"));
  round_trip(std::complex<double>(1, 2));
  round_trip(Record{"a", {1, 2}, 0.5, {{"x", {1, 2, true}}}});
  round_trip(Tree{1, {{2, {}}, {3, {{4, {}}}}}});
  round_trip(WithArrays{{"a", "b"}, {{1, 2, 3}, {4, 5, 6}}, 7});
}

TEST(CodecTest, FunctionsOfEveryFormAreCalled) {
  round_trip(Serialized{"a", {{"b", 1}}, 2});
  round_trip(SavedAndLoaded{{"a", "b"}});
  round_trip(FreeSerialized{3});
  round_trip(Minimal{"a"});
  Based based;
  based.text = "a";
  based.more = 4;
  round_trip(based);
  EXPECT_EQ(decoded<Versioned>(encoded(Versioned{3, 0})).number, 3);
}

TEST(CodecTest, FunctionsWinOverBytes) {
  EXPECT_EQ(decoded<Doubling>(encoded(Doubling{3})).number, 6);
  EXPECT_EQ(decoded<std::vector<Doubling>>(encoded(std::vector<Doubling>(2)))[1].number, 0);
  struct Around {
    Doubling inner;
    int n;
  };
  EXPECT_EQ(decoded<Around>(encoded(Around{{3}, 1})).inner.number, 6);
}

TEST(CodecTest, TypesWithoutDefaultConstructorArrive) {
  round_trip(NoDefault(3));
  round_trip(HasNoDefault{NoDefault(3), "a"});
  round_trip(std::optional<NoDefault>(NoDefault(3)));
  round_trip(std::pair<NoDefault, std::string>(NoDefault(3), "a"));
  round_trip(std::variant<NoDefault, int>(NoDefault(3)));
  round_trip(Constructed(3, "a"));
}

TEST(CodecTest, MoveOnlyValuesArrive) {
  EXPECT_EQ(*decoded<std::unique_ptr<int>>(encoded(std::make_unique<int>(3))), 3);
  EXPECT_EQ(decoded<std::unique_ptr<int>>(encoded(std::unique_ptr<int>())), nullptr);
  std::map<int, std::unique_ptr<std::string>> map;
  map.emplace(1, std::make_unique<std::string>("a"));
  EXPECT_EQ(*decoded<decltype(map)>(encoded(map)).at(1), "a");
}

TEST(CodecTest, SharedPointersStayShared) {
  const auto one = std::make_shared<std::string>("a");
  const std::vector<std::shared_ptr<std::string>> sent{one, nullptr, one,
                                                       std::make_shared<std::string>("b")};
  const auto received = decoded<std::vector<std::shared_ptr<std::string>>>(encoded(sent));
  ASSERT_EQ(received.size(), 4u);
  EXPECT_EQ(*received[0], "a");
  EXPECT_EQ(received[0], received[2]);
  EXPECT_EQ(received[1], nullptr);
  EXPECT_EQ(*received[3], "b");
}

TEST(CodecTest, FlatValuesAreNotCopiedOnTheWayOut) {
  const Bytes bytes(1000);
  EXPECT_EQ(OutgoingValue<Bytes>(bytes, Route::queue).message().bytes.data(), bytes.data());
  const std::vector<Plain> plains(10);
  EXPECT_EQ(static_cast<const void*>(
                OutgoingValue<std::vector<Plain>>(plains, Route::queue).message().bytes.data()),
            plains.data());
}

struct Measured {
  std::string name;
  std::vector<double> samples;
  std::array<char, 100'000> raw{};
  std::map<int, std::string> notes;
  bool operator==(const Measured&) const = default;
};

Measured large_measured() {
  Measured value;
  value.name = "of everything";
  value.samples.assign(20'000, 1.5);
  value.raw.fill('r');
  value.notes = {{1, std::string(Block::kLeastBytes, 'a')},
                 {2, std::string(Block::kLeastBytes - 1, 'b')}};
  return value;
}

/// Message and blocks as they come over a connection.
std::vector<std::byte> joined(const Outgoing& message) {
  std::vector<std::byte> all;
  std::size_t at = 0;
  const auto add = [&all](std::span<const std::byte> bytes) {
    all.insert(all.end(), bytes.begin(), bytes.end());
  };
  for (const Block& block : message.blocks) {
    add(message.bytes.subspan(at, block.at - at));
    add(block.bytes);
    at = block.at;
  }
  add(message.bytes.subspan(at));
  return all;
}

TEST(CodecTest, LargePartsOfAValueAreSentFromWhereTheyAre) {
  const Measured value = large_measured();
  const OutgoingValue<Measured> out(value, Route::connection);
  ASSERT_EQ(out.message().blocks.size(), 3U);
  EXPECT_EQ(static_cast<const void*>(out.message().blocks[0].bytes.data()), value.samples.data());
  EXPECT_EQ(static_cast<const void*>(out.message().blocks[1].bytes.data()), value.raw.data());
  EXPECT_EQ(static_cast<const void*>(out.message().blocks[2].bytes.data()),
            value.notes.at(1).data());
  EXPECT_EQ(joined(out.message()), encoded(value));
  EXPECT_EQ(joined(out.message()).size(), out.message().size());
  EXPECT_TRUE(decoded<Measured>(joined(out.message()), 1000) == value);
  for (const Route other : {Route::queue, Route::manager, Route::socket}) {
    EXPECT_TRUE(OutgoingValue<Measured>(value, other).message().blocks.empty());
  }
}

/// Writes what is gone when its function returns.
struct Passing {
  std::string text;
  template <class Archive>
  void save(Archive& archive) const {
    archive(text + text);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(text);
    text.resize(text.size() / 2);
  }
  bool operator==(const Passing&) const = default;
};

TEST(CodecTest, ElementsThatAreBlocksOnlyTakeNoByteMore) {
  using Element = std::pair<std::array<float, 20'000>, std::array<float, 20'000>>;
  std::vector<Element> value(2);
  value[1].second[7] = 1.5f;
  const OutgoingValue<std::vector<Element>> out(value, Route::connection);
  EXPECT_EQ(out.message().blocks.size(), 4U);
  EXPECT_EQ(joined(out.message()), encoded(value));
  EXPECT_TRUE(decoded<std::vector<Element>>(joined(out.message()), 30'000) == value);
}

TEST(CodecTest, WhatAUsersFunctionWritesIsCopied) {
  const std::pair<Passing, std::string> value{{std::string(100'000, 'p')},
                                              std::string(100'000, 'q')};
  const OutgoingValue<std::pair<Passing, std::string>> out(value, Route::connection);
  ASSERT_EQ(out.message().blocks.size(), 1U);
  EXPECT_EQ(static_cast<const void*>(out.message().blocks[0].bytes.data()), value.second.data());
  EXPECT_TRUE((decoded<std::pair<Passing, std::string>>(joined(out.message()), 4096) == value));
}

/// Looks how much has come when its function is called.
struct Curious {
  int number = 0;
  static inline const test::Pieces* pieces = nullptr;
  template <class Archive>
  void save(Archive& archive) const {
    archive(number);
  }
  template <class Archive>
  void load(Archive& archive) {
    EXPECT_TRUE(pieces->gone());
    archive(number);
  }
};

TEST(CodecTest, AUsersFunctionIsCalledWhenAllHasCome) {
  const auto bytes = encoded(std::pair<Curious, std::string>{{7}, std::string(1000, 'x')});
  test::Pieces pieces(bytes, 2);
  Curious::pieces = &pieces;
  Decoder from(pieces.handle(), bytes.size(), Route::connection);
  const auto value = decode<std::pair<Curious, std::string>>(from);
  from.expect_end();
  EXPECT_EQ(value.first.number, 7);
  EXPECT_EQ(value.second, std::string(1000, 'x'));
}

TEST(CodecTest, BytesThatDoNotComeAreTheEndOfFile) {
  const auto bytes = encoded(std::vector<std::string>{"abc", "def"});
  const std::span<const std::byte> all_but_one = std::span(bytes).first(bytes.size() - 1);
  test::Pieces pieces(all_but_one, 4);
  Decoder from(pieces.handle(), bytes.size(), Route::connection);
  EXPECT_THROW(static_cast<void>(decode<std::vector<std::string>>(from)), EndOfFile);
  ASSERT_NE(from.flow(), nullptr);
  EXPECT_TRUE(from.flow()->failed());
}

TEST(CodecTest, PaddingDoesNotLeaveTheMachine) {
  struct Padded {
    char letter;
    int number;
  };
  alignas(Padded) std::byte dirty[sizeof(Padded)];
  std::memset(dirty, 0x5a, sizeof dirty);
  auto* padded = new (dirty) Padded;
  padded->letter = 'a';
  padded->number = 1;
  std::vector<std::byte> expected(sizeof(Padded));
  std::memcpy(expected.data() + offsetof(Padded, letter), &padded->letter, 1);
  std::memcpy(expected.data() + offsetof(Padded, number), &padded->number, sizeof(int));
  EXPECT_EQ(encoded(*padded, Route::socket), expected);
  const OutgoingValue<Padded> out(*padded, Route::socket);
  EXPECT_TRUE(std::ranges::equal(out.message().bytes, expected));
}

TEST(CodecTest, ReceivedBoolsAreZeroOrOne) {
  enum class Truth : bool { no, yes };
  const std::byte two[] = {std::byte{2}};
  EXPECT_TRUE(decoded<bool>(two));
  EXPECT_EQ(decoded<Truth>(two), Truth::yes);
  auto bytes = encoded(Plain{1, 2, true});
  bytes[offsetof(Plain, flag)] = std::byte{0x40};
  const Plain plain = decoded<Plain>(bytes);
  unsigned char flag = 0;
  std::memcpy(&flag, &plain.flag, 1);
  EXPECT_EQ(flag, 1);
}

TEST(CodecTest, AVariantsIndexIsChecked) {
  auto bytes = encoded(std::variant<int, std::string>(1));
  bytes[0] = std::byte{2};
  EXPECT_THROW(static_cast<void>(decoded<std::variant<int, std::string>>(bytes)), DecodeError);
}

TEST(CodecTest, AMessageOfAnotherTypeIsRefused) {
  IncomingValue<int> in;
  in.message().type = fingerprint<float>();
  in.message().size = sizeof(int);
  try {
    static_cast<void>(in.take(Route::queue, "Queue::get on q"));
    FAIL();
  } catch (const DecodeError& error) {
    EXPECT_TRUE(std::string_view(error.what()).starts_with("Queue::get on q: ")) << error.what();
  }
}

TEST(CodecTest, AMessageOfAnotherSizeIsRefused) {
  IncomingValue<std::vector<int>> in;
  EXPECT_FALSE(in.message().begin(7, 7));
  IncomingValue<int> raw;
  EXPECT_FALSE(raw.message().begin(5, 5));
  raw.message().type = fingerprint<int>();
  raw.message().size = 3;
  EXPECT_THROW(static_cast<void>(raw.take(Route::queue, "test")), DecodeError);
}

TEST(CodecTest, NestingIsBounded) {
  Chain chain;
  Chain* last = &chain;
  for (int i = 0; i < 300; ++i) {
    last->next = std::make_unique<Chain>();
    last = last->next.get();
    last->number = i;
  }
  const Chain received = decoded<Chain>(encoded(chain));
  EXPECT_EQ(received.next->next->number, 1);
  for (int i = 0; i < 1000; ++i) {
    last->next = std::make_unique<Chain>();
    last = last->next.get();
  }
  EXPECT_THROW(static_cast<void>(encoded(chain)), NotSendable);
  // What a hostile sender would write: a number and a flag, again and again.
  Buffer buffer;
  Encoder to(buffer, Route::connection);
  for (int i = 0; i < 100000; ++i) {
    to.write_raw(1);
    to.write_raw(std::uint8_t{1});
  }
  EXPECT_THROW(static_cast<void>(decoded<Chain>(buffer.bytes())), DecodeError);
}

TEST(CodecTest, DescriptorsComeOnceAndOnlyWhereTheyCan) {
  Buffer buffer;
  Encoder nowhere(buffer, Route::queue);
  EXPECT_THROW(static_cast<void>(nowhere.attach(Fd())), NotSendable);
  std::vector<Fd> descriptors;
  Encoder to(buffer, Route::connection, &descriptors);
  EXPECT_EQ(to.attach(Fd(::fcntl(0, F_DUPFD_CLOEXEC, 3))), 0u);
  Decoder from(buffer.bytes(), Route::connection, &descriptors);
  EXPECT_TRUE(from.take_descriptor(0));
  EXPECT_THROW(static_cast<void>(from.take_descriptor(0)), DecodeError);
  EXPECT_THROW(static_cast<void>(from.take_descriptor(1)), DecodeError);
}

// Everything that can be hostile, in one type after the other.

template <class T>
class HostileBytesTest : public testing::Test {};

template <class T>
T sample();
template <>
std::string sample() {
  return "some text";
}
template <>
std::vector<Plain> sample() {
  return {{1, 2, true}, {3, 4, false}};
}
template <>
std::vector<std::string> sample() {
  return {"a", "", "ccc"};
}
template <>
std::vector<std::monostate> sample() {
  return std::vector<std::monostate>(5);
}
template <>
std::vector<bool> sample() {
  return {true, false};
}
template <>
std::vector<std::vector<std::vector<int>>> sample() {
  return {{{1}, {}}, {}, {{2, 3}}};
}
template <>
std::forward_list<std::optional<int>> sample() {
  return {1, std::nullopt, 2};
}
template <>
std::map<std::string, std::set<int>> sample() {
  return {{"a", {1, 2}}, {"b", {}}};
}
template <>
std::unordered_map<int, std::unique_ptr<int>> sample() {
  std::unordered_map<int, std::unique_ptr<int>> map;
  map.emplace(1, std::make_unique<int>(2));
  return map;
}
template <>
std::tuple<std::optional<std::string>, std::variant<int, std::string>, bool> sample() {
  return {"a", "b", true};
}
template <>
std::vector<std::shared_ptr<std::string>> sample() {
  const auto one = std::make_shared<std::string>("a");
  return {one, one, nullptr};
}
template <>
Record sample() {
  return {"a", {1, 2}, 0.5, {{"x", {1, 2, true}}}};
}
template <>
Tree sample() {
  return {1, {{2, {}}, {3, {{4, {}}}}}};
}
template <>
Serialized sample() {
  return {"a", {{"b", 1}}, 2};
}
template <>
Minimal sample() {
  return {"abc"};
}
template <>
Constructed sample() {
  return {1, "abc"};
}
template <>
std::filesystem::path sample() {
  return "/a/b";
}
template <>
std::vector<std::tuple<>> sample() {
  return std::vector<std::tuple<>>(3);
}

using HostileTypes =
    testing::Types<std::string, std::vector<Plain>, std::vector<std::string>,
                   std::vector<std::monostate>, std::vector<bool>,
                   std::vector<std::vector<std::vector<int>>>,
                   std::forward_list<std::optional<int>>, std::map<std::string, std::set<int>>,
                   std::unordered_map<int, std::unique_ptr<int>>,
                   std::tuple<std::optional<std::string>, std::variant<int, std::string>, bool>,
                   std::vector<std::shared_ptr<std::string>>, Record, Tree, Serialized, Minimal,
                   Constructed, std::filesystem::path, std::vector<std::tuple<>>>;
TYPED_TEST_SUITE(HostileBytesTest, HostileTypes);

/// Decodes; only DecodeError may come out, and no more memory may be asked for than a small
/// multiple of the bytes.
template <class T>
bool survives(std::span<const std::byte> bytes) {
  const std::size_t before = allocated_bytes;
  bool accepted = true;
  try {
    static_cast<void>(decoded<T>(bytes));
  } catch (const DecodeError&) {
    accepted = false;
  }
  // A node of a tree takes about 100 bytes for a byte; an error's text some hundred.
  EXPECT_LE(allocated_bytes - before, 4096 + 200 * bytes.size());
  bool accepted_in_pieces = true;
  try {
    static_cast<void>(decoded<T>(bytes, 5));
  } catch (const DecodeError&) {
    accepted_in_pieces = false;
  }
  EXPECT_EQ(accepted_in_pieces, accepted);
  return accepted;
}

TYPED_TEST(HostileBytesTest, TruncatedAtEveryLength) {
  const auto bytes = encoded(sample<TypeParam>());
  ASSERT_TRUE(survives<TypeParam>(bytes));
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    // A copy of exactly that size, so that a sanitizer sees the first byte read beyond it.
    const std::vector<std::byte> part(bytes.begin(), bytes.begin() + static_cast<long>(n));
    EXPECT_FALSE(survives<TypeParam>(part)) << n;
  }
}

TYPED_TEST(HostileBytesTest, LeftoverBytesAreRefused) {
  auto bytes = encoded(sample<TypeParam>());
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(survives<TypeParam>(bytes));
}

TYPED_TEST(HostileBytesTest, EveryWordMadeGiant) {
  const auto bytes = encoded(sample<TypeParam>());
  for (std::size_t at = 0; at + 8 <= bytes.size(); ++at) {
    for (const std::uint64_t giant :
         {std::uint64_t{0xffffffffffffffff}, std::uint64_t{1} << 63, std::uint64_t{1} << 61,
          std::uint64_t{1} << 32, std::uint64_t{bytes.size()}}) {
      auto changed = bytes;
      std::memcpy(changed.data() + at, &giant, sizeof giant);
      survives<TypeParam>(changed);
    }
  }
}

TYPED_TEST(HostileBytesTest, RandomBytes) {
  std::mt19937_64 random(test::seed());
  const auto good = encoded(sample<TypeParam>());
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::byte> bytes;
    if (round % 2 == 0) {
      bytes = good;
      for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    } else {
      bytes.resize(random() % 200);
      for (auto& byte : bytes) {
        // Small numbers get further than large ones.
        byte = static_cast<std::byte>(random() % 3 == 0 ? random() : random() % 3);
      }
    }
    survives<TypeParam>(bytes);
  }
}

}  // namespace
}  // namespace tandem::detail
