// An input range that is made as it is read.
#pragma once

#include <cstddef>
#include <iterator>
#include <limits>
#include <type_traits>
#include <utility>

namespace tandem::test {

/// f(0), f(1), ..., f(n - 1), each made when it is read. (Clang 14 does without most of std::views.)
template <class F>
class Generated {
 public:
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::invoke_result_t<F&, int>;
    using difference_type = std::ptrdiff_t;

    iterator() = default;
    explicit iterator(Generated* all) : all_(all) {}
    value_type operator*() const { return all_->f_(at_); }
    iterator& operator++() {
      ++at_;
      return *this;
    }
    void operator++(int) { ++at_; }
    friend bool operator==(const iterator& it, std::default_sentinel_t) { return it.at_end(); }

   private:
    [[nodiscard]] bool at_end() const { return at_ == all_->n_; }
    Generated* all_ = nullptr;
    int at_ = 0;
  };

  Generated(int n, F f) : n_(n), f_(std::move(f)) {}
  [[nodiscard]] iterator begin() { return iterator(this); }
  [[nodiscard]] static std::default_sentinel_t end() { return {}; }

 private:
  int n_;
  F f_;
};

/// 0, 1, ... without an end that matters.
[[nodiscard]] inline auto endless() {
  return Generated(std::numeric_limits<int>::max(), [](int i) { return i; });
}

}  // namespace tandem::test
