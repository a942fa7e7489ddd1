// What compiles with a manager's proxies and what must not.
#include <gtest/gtest.h>

#include <chrono>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "tandem/error.hpp"
#include "tandem/manager.hpp"

namespace {

using tandem::DictProxy;
using tandem::ListProxy;
using tandem::UniquelyEncoded;

struct Dense {
  int a;
  int b;
  auto operator<=>(const Dense&) const = default;
};
struct Padded {
  char a;
  int b;
};
struct Named {
  std::string name;
  std::vector<int> numbers;
};
struct Measured {
  std::string name;
  double value;
};
enum class Colour { red, green };

static_assert(UniquelyEncoded<int> && UniquelyEncoded<bool> && UniquelyEncoded<char> &&
              UniquelyEncoded<Colour> && UniquelyEncoded<std::uint64_t>);
static_assert(UniquelyEncoded<std::string> && UniquelyEncoded<std::vector<std::string>> &&
              UniquelyEncoded<std::pair<int, std::string>> &&
              UniquelyEncoded<std::tuple<char, int, bool>> && UniquelyEncoded<std::optional<int>> &&
              UniquelyEncoded<std::variant<int, std::string>> &&
              UniquelyEncoded<std::set<std::string>> && UniquelyEncoded<std::map<int, bool>> &&
              UniquelyEncoded<std::array<int, 3>> && UniquelyEncoded<std::chrono::nanoseconds>);
static_assert(UniquelyEncoded<Dense> && UniquelyEncoded<Named>);
static_assert(!UniquelyEncoded<float> && !UniquelyEncoded<double> && !UniquelyEncoded<long double>);
static_assert(!UniquelyEncoded<Padded> && !UniquelyEncoded<Measured> &&
              !UniquelyEncoded<std::vector<double>> && !UniquelyEncoded<std::pair<int, float>> &&
              !UniquelyEncoded<std::chrono::duration<double>>);
static_assert(!UniquelyEncoded<std::unordered_map<int, int>> &&
              !UniquelyEncoded<std::unordered_set<int>> &&
              !UniquelyEncoded<std::vector<std::unordered_set<int>>> &&
              !UniquelyEncoded<std::map<int, std::unordered_set<int>>>);
static_assert(!UniquelyEncoded<std::filesystem::path> && !UniquelyEncoded<int*>);
static_assert(!UniquelyEncoded<ListProxy<int>>);

// d[k] reads and writes, but no step of the two.
template <class Container, class K, class V>
concept Assignable = requires(Container c, K k, V v) {
  c[k] = v;
};
template <class Container, class K>
concept AddsInTwoSteps = requires(Container c, K k) {
  c[k] += 1;
}
|| requires(Container c, K k) { c[k] -= 1; }
|| requires(Container c, K k) { c[k] *= 2; }
|| requires(Container c, K k) { c[k] /= 2; }
|| requires(Container c, K k) { c[k] %= 2; }
|| requires(Container c, K k) { c[k] |= 2; }
|| requires(Container c, K k) { c[k] &= 2; }
|| requires(Container c, K k) { c[k] ^= 2; }
|| requires(Container c, K k) { c[k] <<= 2; }
|| requires(Container c, K k) { c[k] >>= 2; }
|| requires(Container c, K k) { ++c[k]; }
|| requires(Container c, K k) { c[k]++; }
|| requires(Container c, K k) { --c[k]; }
|| requires(Container c, K k) { c[k]--; };
static_assert(Assignable<DictProxy<std::string, int>, std::string, int>);
static_assert(Assignable<ListProxy<int>, std::size_t, int>);
static_assert(AddsInTwoSteps<std::map<std::string, int>, std::string>);
static_assert(!AddsInTwoSteps<DictProxy<std::string, int>, std::string>);
static_assert(!AddsInTwoSteps<DictProxy<int, double>, int>);
static_assert(!AddsInTwoSteps<DictProxy<int, std::string>, int>);
static_assert(!AddsInTwoSteps<ListProxy<int>, std::size_t>);
static_assert(
    std::is_convertible_v<decltype(std::declval<DictProxy<int, std::string>>()[1]), std::string>);

// What is compared in the server must have one encoding; what is added to must be a number.
template <class P, class K, class V>
concept Exchanges = requires(P p, K k, V v) {
  p.compare_exchange(k, v, v);
};
template <class P, class K, class V>
concept Adds = requires(P p, K k, V v) {
  p.fetch_add(k, v);
};
template <class P, class V>
concept Finds = requires(P p, V v) {
  p.index(v);
}
&&requires(P p, V v) { p.remove(v); }
&&requires(P p, V v) { p.count(v); };
static_assert(Exchanges<DictProxy<int, std::string>, int, std::string>);
static_assert(!Exchanges<DictProxy<int, double>, int, double>);
static_assert(Adds<DictProxy<int, double>, int, double> && Adds<ListProxy<long>, int, long>);
static_assert(!Adds<DictProxy<int, std::string>, int, std::string>);
static_assert(!Adds<DictProxy<int, bool>, int, bool>);
static_assert(Finds<ListProxy<int>, int> && !Finds<ListProxy<double>, double>);

// Functions that travel.
template <class P, class F>
concept Applies = requires(P p, F f) {
  p.apply(0, f);
};
const auto doubles = [](int& n) { n *= 2; };
static_assert(Applies<DictProxy<int, int>, decltype(doubles)>);
static_assert(Applies<ListProxy<int>, void (*)(int&)>);
[[maybe_unused]] auto capturing(int by) {
  return [by](int& n) { n += by; };
}
static_assert(!Applies<DictProxy<int, int>, decltype(capturing(1))>);

// Proxies are values that go anywhere.
static_assert(tandem::Sendable<DictProxy<int, int>> && tandem::Sendable<ListProxy<std::string>>);
static_assert(tandem::Sendable<std::vector<DictProxy<std::string, ListProxy<int>>>>);
static_assert(std::is_nothrow_move_constructible_v<DictProxy<int, int>>);

static_assert(
    tandem::Sendable<tandem::ValueProxy<int>> && tandem::Sendable<tandem::ArrayProxy<int>> &&
    tandem::Sendable<tandem::NamespaceProxy> && tandem::Sendable<tandem::QueueProxy<std::string>> &&
    tandem::Sendable<tandem::JoinableQueueProxy<int>> && tandem::Sendable<tandem::LockProxy> &&
    tandem::Sendable<tandem::RLockProxy> && tandem::Sendable<tandem::SemaphoreProxy> &&
    tandem::Sendable<tandem::BoundedSemaphoreProxy> && tandem::Sendable<tandem::ConditionProxy> &&
    tandem::Sendable<tandem::EventProxy> && tandem::Sendable<tandem::BarrierProxy>);
static_assert(!AddsInTwoSteps<tandem::ArrayProxy<int>, std::size_t>);
static_assert(!std::is_same_v<tandem::LockProxy, tandem::RLockProxy>);

// What can be called on an object: methods of its class.
class Counter {
 public:
  void add(int n) { sum_ += n; }
  [[nodiscard]] int sum() const { return sum_; }

 private:
  int sum_ = 0;
};
class Other {
 public:
  [[nodiscard]] int sum() const { return 0; }
};
template <class T, auto method>
concept Callable = tandem::detail::MethodOf<method, T>;
static_assert(Callable<Counter, &Counter::add> && Callable<Counter, &Counter::sum>);
static_assert(!Callable<Counter, &Other::sum>);
static_assert(tandem::Sendable<tandem::ObjectProxy<Counter>>);

TEST(ManagerTypesTest, AProxyThatNamesNothingSaysSo) {
  const DictProxy<int, int> nothing;
  EXPECT_THROW(static_cast<void>(nothing.size()), tandem::Closed);
  EXPECT_EQ(nothing, (DictProxy<int, int>()));
  tandem::LockProxy lock;
  EXPECT_THROW(lock.lock(), tandem::Closed);
  EXPECT_THROW(static_cast<void>(tandem::QueueProxy<int>().get()), tandem::Closed);
  EXPECT_THROW(tandem::ObjectProxy<Counter>().call<&Counter::add>(1), tandem::Closed);
}

}  // namespace
