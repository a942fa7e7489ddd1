#include "tandem/sendable.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <bitset>
#include <cereal/types/vector.hpp>
#include <chrono>
#include <complex>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

namespace tandem {
namespace {

enum class Colour : std::uint8_t { red, green };
struct Plain {
  int number;
  double value;
  bool flag;
};
struct WithArray {
  int numbers[3];
  char text[16];
  int grid[2][3];
};
struct WithPointer {
  int number;
  const char* text;
};
struct WithReference {
  int& number;
};
struct WithNestedPointer {
  Plain plain;
  std::array<WithPointer, 2> pointers;
};
struct WithMemberPointer {
  int Plain::*member;
};
struct WithFunctionPointer {
  void (*function)(int);
};
struct WithView {
  int number;
  std::string_view view;
};
struct Record {
  std::string name;
  std::vector<int> numbers;
  std::optional<double> weight;
  std::map<std::string, Plain> plains;
};
struct Tree {
  int value;
  std::vector<Tree> children;
};
struct BadTree {
  int* value;
  std::vector<BadTree> children;
};
struct Bits {
  unsigned low : 3;
  unsigned high : 5;
  bool flag : 1;
};
struct Base {
  int a;
};
struct Derived : Base {
  int b;
};
class Private {
 public:
  explicit Private(int n) : n_(n) {}
  [[nodiscard]] int n() const { return n_; }

 private:
  int n_;
};
class HidesReference {
 public:
  explicit HidesReference(int& n) : n_(n) {}

 private:
  [[maybe_unused]] int& n_;
};
class WithFunctions {
 public:
  template <class Archive>
  void serialize(Archive& archive) {
    archive(text_);
  }

 private:
  std::string text_;
};
class PrivateFunctions {
 private:
  friend class cereal::access;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(text_);
  }
  std::string text_;
};
class NoFunctions {
 public:
  explicit NoFunctions(std::string text) : text_(std::move(text)) {}

 private:
  std::string text_;
};
struct MendsPointer {  // trivially copyable, but its functions win
  int* number;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(*number);
  }
};
struct FreeFunctions {
  int* number;
};
template <class Archive>
void save(Archive& archive, const FreeFunctions& value) {
  archive(*value.number);
}
template <class Archive>
void load(Archive& archive, FreeFunctions& value) {
  archive(*value.number);
}
struct Minimal {
  int* number;
  template <class Archive>
  [[nodiscard]] int save_minimal(const Archive&) const {
    return *number;
  }
  template <class Archive>
  void load_minimal(const Archive&, const int& value) {
    *number = value;
  }
};
struct Versioned {
  int* number;
  template <class Archive>
  void serialize(Archive& archive, const std::uint32_t) {
    archive(*number);
  }
};
struct Polymorphic {
  virtual ~Polymorphic() = default;
  int n = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(n);
  }
};
struct Leaf final : Polymorphic {};
struct Immovable {
  Immovable() = default;
  Immovable(const Immovable&) = delete;
  int n = 0;
};
struct SeventeenMembers {
  int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q;
};

template <class T>
struct Template {
  T value;
};

// Values.
static_assert(Sendable<int> && Sendable<bool> && Sendable<char8_t> && Sendable<long double>);
static_assert(Sendable<std::byte> && Sendable<Colour>);
static_assert(Sendable<Plain> && Sendable<WithArray> && Sendable<Bits> && Sendable<Derived>);
static_assert(Sendable<Private> && Sendable<SeventeenMembers>);
static_assert(Sendable<std::string> && Sendable<std::u16string> && Sendable<Bytes>);
static_assert(Sendable<std::vector<std::string>> && Sendable<std::vector<bool>>);
static_assert(Sendable<std::deque<int>> && Sendable<std::list<int>>);
static_assert(Sendable<std::forward_list<int>> && Sendable<std::array<std::string, 3>>);
static_assert(Sendable<std::set<int>> && Sendable<std::multiset<std::string>>);
static_assert(Sendable<std::unordered_set<int>> && Sendable<std::unordered_multiset<int>>);
static_assert(Sendable<std::map<int, std::string>> && Sendable<std::multimap<int, int>>);
static_assert(Sendable<std::unordered_map<std::string, Plain>>);
static_assert(Sendable<std::unordered_multimap<int, int>>);
static_assert(Sendable<std::pair<int, std::string>> && Sendable<std::tuple<>>);
static_assert(Sendable<std::tuple<int, std::string, Plain>>);
static_assert(Sendable<std::optional<std::string>> && Sendable<std::monostate>);
static_assert(Sendable<std::variant<std::monostate, int, std::string>>);
static_assert(Sendable<std::chrono::nanoseconds> && Sendable<std::chrono::duration<double>>);
static_assert(Sendable<std::chrono::system_clock::time_point>);
static_assert(Sendable<std::filesystem::path> && Sendable<std::complex<float>>);
static_assert(Sendable<std::bitset<70>>);
static_assert(Sendable<std::unique_ptr<int>> && Sendable<std::shared_ptr<const Record>>);
static_assert(Sendable<Record> && Sendable<Tree>);
static_assert(Sendable<WithFunctions> && Sendable<PrivateFunctions> && Sendable<MendsPointer>);
static_assert(Sendable<FreeFunctions> && Sendable<Minimal> && Sendable<Versioned>);
static_assert(Sendable<std::vector<MendsPointer>> && Sendable<std::unique_ptr<Leaf>>);

// Not values.
static_assert(!Sendable<int*> && !Sendable<const char*> && !Sendable<void*> && !Sendable<void>);
static_assert(!Sendable<std::nullptr_t> && !Sendable<void (*)()> && !Sendable<void()>);
static_assert(!Sendable<int Plain::*> && !Sendable<int&> && !Sendable<int&&> && !Sendable<int[3]>);
static_assert(!Sendable<std::string_view> && !Sendable<std::span<int>>);
static_assert(!Sendable<std::span<int, 3>> && !Sendable<std::reference_wrapper<int>>);
static_assert(!Sendable<std::initializer_list<int>> && !Sendable<std::function<void()>>);
static_assert(!Sendable<std::vector<int>::iterator> && !Sendable<std::map<int, int>::iterator>);
static_assert(!Sendable<std::list<int>::const_iterator>);
static_assert(!Sendable<std::reverse_iterator<int*>> && !Sendable<std::error_code>);
static_assert(!Sendable<std::thread::id> && !Sendable<std::type_index>);
static_assert(!Sendable<std::vector<int*>> && !Sendable<std::optional<int*>>);
static_assert(!Sendable<std::variant<int, int*>> && !Sendable<std::array<int*, 2>>);
static_assert(!Sendable<std::pair<int, std::string_view>> && !Sendable<std::tuple<int*>>);
static_assert(!Sendable<std::map<std::string_view, int>> && !Sendable<std::unique_ptr<int*>>);
static_assert(!Sendable<std::unique_ptr<int[]>> && !Sendable<std::shared_ptr<void>>);
static_assert(!Sendable<std::unique_ptr<Polymorphic>>);  // would arrive as a slice
static_assert(!Sendable<std::unique_ptr<int, void (*)(int*)>>);
static_assert(!Sendable<WithPointer> && !Sendable<WithReference> && !Sendable<WithView>);
static_assert(!Sendable<WithNestedPointer> && !Sendable<WithMemberPointer>);
static_assert(!Sendable<WithFunctionPointer> && !Sendable<HidesReference>);
static_assert(!Sendable<std::vector<WithPointer>> && !Sendable<BadTree>);
static_assert(!Sendable<NoFunctions> && !Sendable<Immovable> && !Sendable<std::atomic<int>>);
static_assert(!Sendable<std::thread> && !Sendable<const int>);

// Where a type is trivially copyable and has functions, the functions win; else its bytes do.
static_assert(detail::kKind<MendsPointer> == detail::Kind::functions);
static_assert(detail::kKind<Plain> == detail::Kind::raw);
static_assert(detail::kKind<std::vector<Plain>> == detail::Kind::sequence);
static_assert(detail::kIsFlat<std::vector<Plain>> && detail::kIsFlat<std::string>);
static_assert(!detail::kIsFlat<std::vector<bool>> && !detail::kIsFlat<std::vector<MendsPointer>>);

// Calls.
[[maybe_unused]] int add(int a, int b) { return a + b; }
[[maybe_unused]] int add_noexcept(int a, int b) noexcept { return a + b; }
[[maybe_unused]] void append(std::string& to, std::unique_ptr<int> n) { to += std::to_string(*n); }
struct Adder {
  int n;
  int operator()(int m) const { return n + m; }
};
struct Greeter {
  std::string greeting;
  std::vector<int> numbers;
  std::string operator()(const std::string& name) { return greeting + name; }
};
class Counting {
 public:
  template <class Archive>
  void serialize(Archive& archive) {
    archive(text_);
  }
  void operator()() {}

 private:
  std::string text_;
};
struct PointsAt {
  int* n;
  void operator()() const {}
};

constexpr auto kPlainLambda = [](int n) { return n; };
constexpr auto kGenericLambda = [](auto n) { return n; };

static_assert(SendableCall<decltype(add), int, int>);
static_assert(SendableCall<decltype(&add), int, short>);
static_assert(SendableCall<decltype(&add_noexcept), const int&, int&>);
static_assert(SendableCall<decltype(append), std::string, std::unique_ptr<int>>);
static_assert(SendableCall<decltype(append), const char (&)[4], std::unique_ptr<int>>);
static_assert(SendableCall<decltype(kPlainLambda), int>);
static_assert(SendableCall<decltype(kGenericLambda), std::string>);
static_assert(SendableCall<Adder, int> && SendableCall<Greeter&, std::string>);
static_assert(SendableCall<Counting> && SendableCall<std::plus<>, int, int>);

static_assert(!SendableCall<decltype(&add), int>);
static_assert(!SendableCall<decltype(&add), int, std::string>);
static_assert(!SendableCall<decltype(&add), int, int*>);
static_assert(!SendableCall<void (*)(const char*), const char*>);
static_assert(!SendableCall<void (*)(int&), std::reference_wrapper<int>>);
static_assert(!SendableCall<PointsAt> && !SendableCall<std::function<void()>>);
static_assert(!SendableCall<int (Private::*)() const, Private>);
static_assert(!SendableCall<decltype(std::bind(add, 1, std::placeholders::_1)), int>);
static_assert(!SendableCall<decltype(std::bind_front(add, 1)), int>);
static_assert(!SendableCall<int>);

template <class T>
void generic(T value) {
  const auto by_copy = [value] { return value; };
  const auto by_reference = [&value] { return value; };
  const auto plain = [](T given) { return given; };
  static_assert(!SendableCall<decltype(by_copy)> && !SendableCall<decltype(by_reference)>);
  static_assert(SendableCall<decltype(plain), T>);
  EXPECT_EQ(by_copy(), by_reference());
  EXPECT_EQ(plain(value), value);
}

TEST(SendableTest, LambdasWithCapturesAreRefusedHoweverTheyCapture) {
  int n = 7;
  const auto by_copy = [n] { return n; };
  const auto by_reference = [&n] { return n; };
  const auto changing = [n]() mutable { return ++n; };
  const auto nothing = [empty = std::monostate{}] { static_cast<void>(empty); };
  static_assert(!SendableCall<decltype(by_copy)> && !Sendable<decltype(by_copy)>);
  static_assert(!SendableCall<decltype(by_reference)> && !Sendable<decltype(by_reference)>);
  static_assert(!SendableCall<decltype(changing)> && !Sendable<decltype(changing)>);
  static_assert(!SendableCall<decltype(nothing)> && !Sendable<decltype(nothing)>);
  static_assert(!SendableCall<decltype(kGenericLambda), decltype(by_reference)>);
  static_assert(!SendableCall<decltype(kGenericLambda), std::tuple<decltype(by_copy)>>);
  generic(3);
  generic(std::string("text"));
  EXPECT_EQ(by_copy(), by_reference());
}

TEST(SendableTest, ByValueVouchesForCaptures) {
  int n = 7;
  auto vouched = by_value([n](int m) { return n + m; });
  static_assert(SendableCall<decltype(vouched), int> && Sendable<decltype(vouched)>);
  static_assert(!SendableCall<decltype(vouched), std::string>);
  EXPECT_EQ(vouched(1), 8);
}

TEST(SendableTest, ATypeThatIsOnlyNamedLambdaIsNotAClosure) {
  struct lambda {
    int at;
  };
  static_assert(Sendable<lambda>);
  static_assert(!detail::kIsClosure<lambda>);
  static_assert(!detail::kIsClosure<std::vector<std::remove_const_t<decltype(kPlainLambda)>>>);
  static_assert(detail::kIsClosure<std::remove_const_t<decltype(kPlainLambda)>>);
}

TEST(SendableTest, FingerprintsTellTypesApart) {
  using detail::fingerprint;
  static_assert(fingerprint<int>() != 0 && fingerprint<std::monostate>() != 0);
  static_assert(fingerprint<int>() != fingerprint<unsigned>());
  static_assert(fingerprint<int>() != fingerprint<float>());
  static_assert(fingerprint<int>() != fingerprint<long>());
  static_assert(fingerprint<long>() == fingerprint<long long>());
  static_assert(fingerprint<std::vector<int>>() != fingerprint<std::vector<long>>());
  static_assert(fingerprint<std::vector<int>>() != fingerprint<std::set<int>>());
  static_assert(fingerprint<std::pair<int, long>>() != fingerprint<std::pair<long, int>>());
  static_assert(fingerprint<Plain>() != fingerprint<WithArray>());
  static_assert(fingerprint<std::string>() != fingerprint<Bytes>());
  static_assert(fingerprint<std::array<int, 3>>() != fingerprint<std::array<int, 4>>());
}

TEST(SendableTest, FingerprintsAreTheSameInEveryBuild) {
  // Numbers that travel: these hold for gcc and clang alike, and changing them breaks every peer.
  using detail::fingerprint;
  using Structure = std::map<std::string, std::vector<std::pair<int, std::optional<double>>>>;
  EXPECT_EQ(fingerprint<int>(), 3953462405u);
  EXPECT_EQ(fingerprint<Structure>(), 3068438418u);
  EXPECT_EQ(fingerprint<std::filesystem::path>(), 873570671u);
  EXPECT_EQ(fingerprint<Plain>(), 2189596830u);
  EXPECT_EQ(fingerprint<Template<std::string>>(), 1879212037u);
}

TEST(SendableTest, MembersOfAggregatesAreCounted) {
  using detail::kMemberCount;
  static_assert(kMemberCount<Plain> == 3 && kMemberCount<WithArray> == 3);
  static_assert(kMemberCount<Record> == 4 && kMemberCount<Bits> == 3 && kMemberCount<Tree> == 2);
  static_assert(
      std::is_same_v<detail::Members<WithArray>, detail::TypeList<int[3], char[16], int[2][3]>>);
  static_assert(!detail::kIsOpen<Derived> && !detail::kIsOpen<Private>);
  static_assert(!detail::kIsOpen<SeventeenMembers>);
  Plain plain{1, 2.5, true};
  detail::visit_members(plain, [](int& number, double& value, bool& flag) {
    number = 4;
    EXPECT_EQ(value, 2.5);
    EXPECT_TRUE(flag);
  });
  EXPECT_EQ(plain.number, 4);
}

}  // namespace
}  // namespace tandem
