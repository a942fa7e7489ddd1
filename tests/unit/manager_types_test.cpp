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

#include "tandem/dict_proxy.hpp"
#include "tandem/error.hpp"
#include "tandem/list_proxy.hpp"

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

TEST(ManagerTypesTest, AProxyThatNamesNothingSaysSo) {
  const DictProxy<int, int> nothing;
  EXPECT_THROW(static_cast<void>(nothing.size()), tandem::Closed);
  EXPECT_EQ(nothing, (DictProxy<int, int>()));
}

}  // namespace
