// What manager_builds_test and the program of another build that it runs have in common.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace tandem::test {

/// Sent and stored by both.
struct Reading {
  int sensor = 0;
  double celsius = 0;
  std::vector<std::string> notes;
  bool operator==(const Reading&) const = default;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(sensor, celsius, notes);
  }
};

/// Made by one, called by the other.
class Counter {
 public:
  explicit Counter(int from) : count_(from) {}
  int next() { return ++count_; }

 private:
  int count_;
};

inline constexpr char kOtherBuildKey[] = "the key of two builds";

}  // namespace tandem::test
