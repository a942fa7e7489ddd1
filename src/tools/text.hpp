// Text for a terminal: nothing in it that the terminal would take for more than text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::tools {

/// How many bytes the first character takes; 0 when it is not valid UTF-8.
[[nodiscard]] std::size_t utf8_size(std::string_view text) noexcept;
/// Control characters and what is not UTF-8 as \x1b.
[[nodiscard]] std::string printable(std::string_view text);
/// "3 B", "4.2 KiB".
[[nodiscard]] std::string byte_text(double bytes);
/// "17", "1.2 k", "25.1 M": for people.
[[nodiscard]] std::string count_text(double number);

/// Columns as wide as what is in them.
class Table {
 public:
  explicit Table(std::vector<std::string> head) : columns_(head.size()) { row(std::move(head)); }
  void row(std::vector<std::string> cells) { rows_.push_back({std::move(cells), {}}); }
  /// Below the last row.
  void note(std::string text) { rows_.back().notes.push_back(std::move(text)); }
  /// Columns of numbers are aligned to the right, the others to the left.
  [[nodiscard]] std::string text() const;

 private:
  struct Row {
    std::vector<std::string> cells;
    std::vector<std::string> notes;
  };
  std::size_t columns_;
  std::vector<Row> rows_;
};

}  // namespace tandem::tools
