// Bytes that come in pieces, as those of a large message do.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "tandem/detail/message.hpp"
#include "tandem/error.hpp"

namespace tandem::test {

/// Each piece is a copy in memory of its own, gone when the next is asked for: a sanitizer sees who
/// reads beyond it, or too late.
class Pieces final : public detail::Inflow {
 public:
  /// \param most of a piece, not 0
  Pieces(std::span<const std::byte> bytes, std::size_t most) : left_(bytes), most_(most) {}

  [[nodiscard]] detail::InflowHandle handle() { return detail::InflowHandle(this); }
  [[nodiscard]] bool gone() const noexcept { return gone_; }

  [[nodiscard]] std::span<const std::byte> next() override {
    if (left_.empty()) {
      failed_ = true;
      throw EndOfFile("Pieces: no more come");
    }
    const auto piece = left_.first(std::min(most_, left_.size()));
    piece_ = std::vector<std::byte>(piece.begin(), piece.end());
    left_ = left_.subspan(piece.size());
    return piece_;
  }
  [[nodiscard]] bool failed() const noexcept override { return failed_; }
  [[nodiscard]] bool broken_off() const noexcept override { return false; }

 private:
  void let_go() noexcept override {
    gone_ = true;
    piece_ = {};
  }

  std::span<const std::byte> left_;
  const std::size_t most_;
  std::vector<std::byte> piece_;
  bool failed_ = false;
  bool gone_ = false;
};

}  // namespace tandem::test
