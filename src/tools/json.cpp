#include "tools/json.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>

#include "tools/text.hpp"

namespace tandem::tools {

std::string json_string(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string result = "\"";
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text[0]);
    const std::size_t size = utf8_size(text);
    if (size == 0) {
      result += "\\ufffd";
    } else if (first == '"' || first == '\\') {
      result += '\\';
      result += text[0];
    } else if (first < 0x20 || first == 0x7f) {
      result += "\\u00";
      result += kHex[first >> 4];
      result += kHex[first & 15];
    } else {
      result += text.substr(0, size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return result += '"';
}

Json& Json::end() {
  text_ += closing_.back();
  closing_.pop_back();
  first_ = false;
  return *this;
}

Json& Json::key(std::string_view name) {
  put(json_string(name));
  text_ += ':';
  first_ = true;
  return *this;
}

Json& Json::value(double number) {
  if (!std::isfinite(number)) return null();
  std::array<char, 64> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number,
                                 std::chars_format::fixed, 3);
  if (end.ec != std::errc()) return null();
  return put({digits.data(), static_cast<std::size_t>(end.ptr - digits.data())});
}

Json& Json::open(char opening, char closing) {
  put(std::string_view(&opening, 1));
  closing_ += closing;
  first_ = true;
  return *this;
}

Json& Json::put(std::string_view text) {
  if (!first_) text_ += ',';
  text_ += text;
  first_ = false;
  return *this;
}

}  // namespace tandem::tools
