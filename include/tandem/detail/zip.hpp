/// \file
/// Several ranges walked through side by side.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>

namespace tandem::detail {

/// An input range of tuples of values, as long as the shortest of its ranges.
/// \tparam Range a reference for one that its owner keeps, else a type that is kept here
template <class... Range>
class Zip {
 public:
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::tuple<std::ranges::range_value_t<Range>...>;
    using difference_type = std::ptrdiff_t;

    iterator() = default;
    explicit iterator(std::tuple<Range...>& ranges)
        : at_(std::apply([](auto&... range) { return decltype(at_)(std::ranges::begin(range)...); },
                         ranges)),
          end_(std::apply([](auto&... range) { return decltype(end_)(std::ranges::end(range)...); },
                          ranges)) {}
    [[nodiscard]] value_type operator*() const {
      return std::apply([](const auto&... at) { return value_type(*at...); }, at_);
    }
    iterator& operator++() {
      std::apply([](auto&... at) { (static_cast<void>(++at), ...); }, at_);
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& it, std::default_sentinel_t) {
      return it.some_ended(std::index_sequence_for<Range...>{});
    }

   private:
    template <std::size_t... I>
    [[nodiscard]] bool some_ended(std::index_sequence<I...>) const {
      return (... || (std::get<I>(at_) == std::get<I>(end_)));
    }

    std::tuple<std::ranges::iterator_t<Range>...> at_;
    std::tuple<std::ranges::sentinel_t<Range>...> end_;
  };

  explicit Zip(Range&&... ranges) : ranges_(std::forward<Range>(ranges)...) {}

  [[nodiscard]] iterator begin() { return iterator(ranges_); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }
  [[nodiscard]] std::size_t size() requires(...&& std::ranges::sized_range<Range>) {
    return std::apply(
        [](auto&... range) {
          return std::min({static_cast<std::size_t>(std::ranges::size(range))...});
        },
        ranges_);
  }

 private:
  std::tuple<Range...> ranges_;
};

}  // namespace tandem::detail
