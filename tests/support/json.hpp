// A small JSON reader, for tests of what writes JSON.
#pragma once

#include <cctype>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::test {

/// One value; of what it holds, the member that fits its kind.
struct Json {
  enum class Kind { null, boolean, number, text, array, object };
  Kind kind = Kind::null;
  double number = 0;  // of a boolean: 0 or 1
  std::string text = {};
  std::vector<Json> array = {};
  std::map<std::string, Json> object = {};

  /// \throws std::out_of_range when there is no such member
  [[nodiscard]] const Json& operator[](const std::string& key) const { return object.at(key); }
  [[nodiscard]] bool has(const std::string& key) const { return object.contains(key); }
};

class JsonReader {
 public:
  /// \throws std::runtime_error when the text is not exactly one value
  static Json read(std::string_view text) {
    JsonReader reader(text);
    Json value = reader.value();
    reader.skip_blanks();
    if (!reader.rest_.empty()) reader.fail("something follows");
    return value;
  }

 private:
  explicit JsonReader(std::string_view text) : rest_(text) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error("no JSON: " + what + " at: " + std::string(rest_.substr(0, 60)));
  }
  void skip_blanks() {
    while (!rest_.empty() && std::string_view(" \t\r\n").find(rest_.front()) != rest_.npos) {
      rest_.remove_prefix(1);
    }
  }
  [[nodiscard]] bool take(char c) {
    skip_blanks();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void need(char c) {
    if (!take(c)) fail(std::string("no ") + c);
  }

  Json value() {
    skip_blanks();
    Json result;
    if (rest_.empty()) fail("the end");
    if (rest_.front() == '"') {
      result.kind = Json::Kind::text;
      result.text = string();
    } else if (take('[')) {
      result.kind = Json::Kind::array;
      if (take(']')) return result;
      do result.array.push_back(value());
      while (take(','));
      need(']');
    } else if (take('{')) {
      result.kind = Json::Kind::object;
      if (take('}')) return result;
      do {
        skip_blanks();
        std::string key = string();
        need(':');
        if (!result.object.emplace(std::move(key), value()).second) fail("a key comes twice");
      } while (take(','));
      need('}');
    } else {
      scalar(result);
    }
    return result;
  }

  void scalar(Json& result) {
    for (const std::string_view word : {"null", "false", "true"}) {
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      result.kind = word == "null" ? Json::Kind::null : Json::Kind::boolean;
      result.number = word == "true" ? 1 : 0;
      return;
    }
    const std::string digits(rest_.substr(0, rest_.find_first_not_of("+-.eE0123456789")));
    char* end = nullptr;
    result.kind = Json::Kind::number;
    result.number = std::strtod(digits.c_str(), &end);
    if (digits.empty() || *end != '\0') fail("neither value nor number");
    rest_.remove_prefix(digits.size());
  }

  std::string string() {
    if (rest_.empty() || rest_.front() != '"') fail("no string");
    std::string text;
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      const char c = rest_[i];
      if (c == '"') {
        rest_.remove_prefix(i + 1);
        return text;
      }
      if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
      if (c != '\\') {
        text += c;
      } else if (rest_.size() > i + 5 && rest_[i + 1] == 'u') {
        const auto code = std::strtoul(std::string(rest_.substr(i + 2, 4)).c_str(), nullptr, 16);
        text += code < 0x80 ? static_cast<char>(code) : '?';
        i += 5;
      } else if (i + 1 < rest_.size()) {
        text += rest_[++i];
      }
    }
    fail("a string without end");
  }

  std::string_view rest_;
};

}  // namespace tandem::test
