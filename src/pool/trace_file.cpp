#include "pool/trace_file.hpp"

#include <array>
#include <charconv>
#include <span>
#include <utility>

#include "os/file.hpp"
#include "tandem/detail/log.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {
namespace {

constexpr std::size_t kWriteAt = std::size_t{256} << 10;
constexpr std::uint64_t kWriteAfter_ns = 1'000'000'000;
constexpr std::size_t kLongestText = 1000;

/// How many bytes of the text are one well-formed character; 0 when they are none.
std::size_t utf8_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t n = first < 0xc2   ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
  if (n == 0 || text.size() < n) return 0;
  for (std::size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong, half of a surrogate pair, beyond the last.
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
      (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return n;
}

}  // namespace

TraceFile::TraceFile(const std::filesystem::path& path, std::string_view head, std::string tail)
    : path_(path.string()), file_(os::create_file(path_)), records_(head), tail_(std::move(tail)) {
  records_ += tail_;
  try {
    os::write_at(file_, 0, std::as_bytes(std::span(records_)));
  } catch (const SystemError& error) {
    throw SystemError(error.code(), path_);
  }
  records_.clear();
  end_ = head.size();
}

void TraceFile::appended(std::uint64_t now_ns) {
  if (records_.size() < kWriteAt && now_ns < written_ns_ + kWriteAfter_ns) return;
  written_ns_ = now_ns;
  flush();
}

void TraceFile::flush() noexcept {
  if (records_.empty()) return;
  if (file_) {
    try {
      const std::size_t size = records_.size();
      records_ += tail_;
      os::write_at(file_, end_, std::as_bytes(std::span(records_)));
      end_ += size;
    } catch (const std::exception& error) {
      log(LogLevel::error, "Pool: the trace ", path_, " is incomplete: ", error.what());
      file_.reset();
    }
  }
  records_.clear();
}

void append_json_text(std::string& to, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const bool cut = text.size() > kLongestText;
  if (cut) {
    text = text.substr(0, kLongestText);
    // Not in the middle of a character.
    std::size_t tail = 0;
    while (tail < 3 && (static_cast<unsigned char>(text[text.size() - 1 - tail]) & 0xc0) == 0x80) {
      ++tail;
    }
    const std::string_view last = text.substr(text.size() - 1 - tail);
    if (utf8_length(last) == 0) text.remove_suffix(last.size());
  }
  while (!text.empty()) {
    const std::size_t n = utf8_length(text);
    const char c = text.front();
    if (n == 0) {
      to += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      to += '\\';
      to += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == '<' || c == '>' || c == '&' ||
               c == '\x7f') {
      to += "\\u00";
      to += kHex[static_cast<unsigned char>(c) >> 4];
      to += kHex[static_cast<unsigned char>(c) & 15];
    } else {
      to += text.substr(0, n);
    }
    text.remove_prefix(n == 0 ? 1 : n);
  }
  if (cut) to += "...";
}

void append_number(std::string& to, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  to.append(digits.data(), end);
}

void append_micros(std::string& to, std::uint64_t ns) {
  append_number(to, ns / 1000);
  const std::array<char, 4> decimals{'.', static_cast<char>('0' + ns / 100 % 10),
                                     static_cast<char>('0' + ns / 10 % 10),
                                     static_cast<char>('0' + ns % 10)};
  to.append(decimals.data(), decimals.size());
}

}  // namespace tandem::detail
