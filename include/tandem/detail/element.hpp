/// \file
/// What `d[k]` and `l[i]` are, a place in a container of the manager; iteration over a snapshot.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <ostream>
#include <type_traits>
#include <utility>
#include <vector>

namespace tandem::detail {

/// Reads and writes are one step each. A step that reads and writes (`+=`, `++`) would be two, in
/// which others come between, so it does not compile: `fetch_add` and `apply` are the one step.
/// Lives for the expression: keep the value, not the place.
template <class Container, class Position, class V>
class Element {
 public:
  Element(Container container, Position at)
      : container_(std::move(container)), at_(std::move(at)) {}
  Element(const Element&) = delete;

  /// \throws std::out_of_range
  operator V() const { return container_.at(at_); }  // NOLINT: V v = d[k]
  const Element& operator=(const V& value) const {
    container_.set(at_, value);
    return *this;
  }
  const Element& operator=(const Element& other) const { return *this = static_cast<V>(other); }

  /// `d[k]->size()`: calls a member of a copy, which is what one wants of a nested proxy.
  [[nodiscard]] auto operator->() const {
    struct Copy {
      V value;
      V* operator->() { return &value; }
    };
    return Copy{container_.at(at_)};
  }

  template <class U>
  void operator+=(U&&) const = delete;
  template <class U>
  void operator-=(U&&) const = delete;
  template <class U>
  void operator*=(U&&) const = delete;
  template <class U>
  void operator/=(U&&) const = delete;
  void operator++() const = delete;
  void operator++(int) const = delete;
  void operator--() const = delete;
  void operator--(int) const = delete;

  friend bool operator==(const Element& a, const V& b) requires requires(const V& v) { v == v; }
  { return static_cast<V>(a) == b; }
  /// `d[k] == 0`, whatever number V is.
  template <class U>
  requires(std::is_arithmetic_v<V>&& std::is_arithmetic_v<U> && !std::is_same_v<U, V>) friend bool
  operator==(const Element& a, const U& b) {
    using Common = std::common_type_t<U, V>;
    return static_cast<Common>(static_cast<V>(a)) == static_cast<Common>(b);
  }
  friend std::ostream& operator<<(std::ostream& to, const Element& element) requires
      requires(std::ostream& s, const V& v) {
    s << v;
  }
  { return to << static_cast<V>(element); }

 private:
  Container container_;
  Position at_;
};

/// Walks over what a container held at one moment. Copies share the snapshot.
template <class T>
class SnapshotIterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using iterator_concept = std::forward_iterator_tag;
  using value_type = T;
  using difference_type = std::ptrdiff_t;
  using pointer = const T*;
  using reference = typename std::vector<T>::const_reference;

  /// The end of every snapshot.
  SnapshotIterator() = default;
  explicit SnapshotIterator(std::vector<T> all)
      : all_(all.empty() ? nullptr : std::make_shared<const std::vector<T>>(std::move(all))) {}

  reference operator*() const { return (*all_)[at_]; }
  pointer operator->() const { return &(*all_)[at_]; }
  SnapshotIterator& operator++() {
    if (++at_ == all_->size()) *this = SnapshotIterator();
    return *this;
  }
  SnapshotIterator operator++(int) {
    SnapshotIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const SnapshotIterator&) const = default;

 private:
  std::shared_ptr<const std::vector<T>> all_;
  std::size_t at_ = 0;
};

}  // namespace tandem::detail
