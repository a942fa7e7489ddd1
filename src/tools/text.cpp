#include "tools/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace tandem::tools {
namespace {

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// "12", "1.0 MiB", "3 (48 B)", or that there is none.
bool is_number(std::string_view cell) {
  return cell == "-" ||
         (cell.find_first_of("0123456789") == 0 && std::count(cell.begin(), cell.end(), ' ') <= 2);
}

std::string decimal(double number, int digits) {
  std::array<char, 400> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number,
                                 std::chars_format::fixed, digits);
  return {text.data(), end.ptr};
}

template <std::size_t N>
std::string scaled(double number, double step, const std::array<const char*, N>& units) {
  std::size_t unit = 0;
  while (number >= step && unit + 1 < N) {
    number /= step;
    ++unit;
  }
  std::string text = decimal(number, unit == 0 || number >= 100 ? 0 : 1);
  if (*units[unit] != '\0') text.append(" ").append(units[unit]);
  return text;
}

}  // namespace

std::size_t utf8_size(std::string_view text) noexcept {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return 0;
  const unsigned first = at(0);
  const std::size_t size = first < 0x80                     ? 1
                           : first >= 0xc2 && first < 0xe0  ? 2
                           : first >= 0xe0 && first < 0xf0  ? 3
                           : first >= 0xf0 && first <= 0xf4 ? 4
                                                            : 0;
  if (size == 0 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what is beyond the last character.
  if (first == 0xe0 && at(1) < 0xa0) return 0;
  if (first == 0xed && at(1) >= 0xa0) return 0;
  if (first == 0xf0 && at(1) < 0x90) return 0;
  if (first == 0xf4 && at(1) >= 0x90) return 0;
  return size;
}

std::string printable(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string result;
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text[0]);
    std::size_t size = utf8_size(text);
    // U+0080 to U+009F are control characters too.
    const bool control = first < 0x20 || first == 0x7f ||
                         (size == 2 && first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0);
    if (size == 0 || control) {
      size = 1;
      result += "\\x";
      result += kHex[first >> 4];
      result += kHex[first & 15];
    } else {
      result += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  return result;
}

std::string byte_text(double bytes) {
  return scaled(bytes, 1024, std::array{"B", "KiB", "MiB", "GiB", "TiB"});
}

std::string count_text(double number) {
  return scaled(number, 1000, std::array{"", "k", "M", "G"});
}

std::string Table::text() const {
  std::vector<std::size_t> widths(columns_, 0);
  std::vector<bool> numbers(columns_, true);
  for (const Row& row : rows_) {
    for (std::size_t i = 0; i < row.cells.size() && i < columns_; ++i) {
      const std::string& cell = row.cells[i];
      widths[i] = std::max(widths[i], width_of(cell));
      if (&row != &rows_.front() && !is_number(cell)) numbers[i] = false;
    }
  }
  std::string result;
  for (const Row& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.cells.size() && i < columns_; ++i) {
      const std::string padding(widths[i] - width_of(row.cells[i]), ' ');
      if (i != 0) line += "  ";
      line += numbers[i] ? padding + row.cells[i] : row.cells[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    result += line + '\n';
    for (const std::string& note : row.notes) result += "    " + note + '\n';
  }
  return result;
}

}  // namespace tandem::tools
