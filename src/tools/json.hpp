// Writes JSON: commas, escapes, and nothing that is not UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tandem::tools {

/// `text` in quotes. What is not valid UTF-8 becomes U+FFFD, byte by byte.
[[nodiscard]] std::string json_string(std::string_view text);

class Json {
 public:
  // What follows until `end` are members, or elements.
  Json& object() { return open('{', '}'); }
  Json& array() { return open('[', ']'); }
  Json& end();
  /// Before the value of a member.
  Json& key(std::string_view name);

  Json& value(std::string_view text) { return put(json_string(text)); }
  Json& value(const char* text) { return value(std::string_view(text)); }
  Json& value(std::uint64_t number) { return put(std::to_string(number)); }
  Json& value(int number) { return put(std::to_string(number)); }
  Json& value(bool yes) { return put(yes ? "true" : "false"); }
  Json& value(double number);
  Json& null() { return put("null"); }

  template <class T>
  Json& member(std::string_view name, const T& its_value) {
    return key(name).value(its_value);
  }

  /// All that was written, ended by a newline.
  [[nodiscard]] std::string text() const { return text_ + '\n'; }

 private:
  Json& open(char opening, char closing);
  Json& put(std::string_view text);

  std::string text_;
  std::string closing_;  // of what is open
  bool first_ = true;
};

}  // namespace tandem::tools
