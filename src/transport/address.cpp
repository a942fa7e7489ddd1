#include "tandem/address.hpp"

#include <charconv>

#include "base/text.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/error.hpp"

namespace tandem {
namespace {

constexpr std::string_view kUnix = "unix:";
constexpr std::string_view kTcp = "tcp:";
constexpr std::size_t kLongestUnixName = 107;
constexpr std::size_t kLongestHost = 255;

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
  throw Error(detail::concat("Address \"", text, "\": ", why));
}

int parse_port(std::string_view text, std::string_view digits) {
  int port = -1;
  const char* const end = digits.data() + digits.size();
  const auto [last, error] = std::from_chars(digits.data(), end, port);
  if (digits.empty() || digits.front() == '-' || error != std::errc() || last != end ||
      port > 65535) {
    refuse(text, "the port must be a number from 0 to 65535");
  }
  return port;
}

}  // namespace

Address::Address(Parse, std::string_view text) : text_(text) {
  if (text.find('\0') != text.npos) refuse("", "it has a NUL in it");
  if (text.find("://") != text.npos) refuse(text, "names with \"://\" are reserved");
  if (text.starts_with(kUnix)) {
    const std::string_view rest = text.substr(kUnix.size());
    const bool abstract = rest.starts_with('@');
    scheme_ = abstract ? Scheme::unix_abstract : Scheme::unix_path;
    place_ = rest.substr(abstract ? 1 : 0);
    if (place_.empty()) refuse(text, "the name is missing");
    if (place_.size() > kLongestUnixName) refuse(text, "a unix name has at most 107 bytes");
    return;
  }
  if (text.starts_with(kTcp)) {
    const std::string_view rest = text.substr(kTcp.size());
    const std::size_t colon = rest.rfind(':');
    if (colon == rest.npos) refuse(text, "the port is missing");
    std::string_view host = rest.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) {
      host = host.substr(1, host.size() - 2);
      if (host.find(':') == host.npos) refuse(text, "brackets are for IPv6");
    } else if (host.find_first_of(":[]") != host.npos) {
      refuse(text, "an IPv6 host must be in brackets: tcp:[::1]:4711");
    }
    if (host.empty() || host.size() > kLongestHost) refuse(text, "the host is missing or too long");
    scheme_ = Scheme::tcp;
    place_ = host;
    port_ = parse_port(text, rest.substr(colon + 1));
    return;
  }
  refuse(text, "it must begin with unix: or tcp:");
}

Address Address::with_port(int port) const {
  Address other = *this;
  other.text_ =
      detail::concat(std::string_view(text_).substr(0, text_.rfind(':') + 1), std::to_string(port));
  other.port_ = port;
  return other;
}

void Address::save(detail::Encoder& to) const { detail::encode(to, text_); }

Address Address::detail_decode(detail::Decoder& from) {
  const auto text = detail::decode<std::string>(from);
  if (text.empty()) return {};
  try {
    return Address(text);
  } catch (const Error& error) {
    throw DecodeError(error.what());
  }
}

}  // namespace tandem
