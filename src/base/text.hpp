// Small text helpers for messages: Queue::get on tandem-queue-7f3a: ...
#pragma once

#include <string>
#include <string_view>

namespace tandem::detail {

template <class... Parts>
[[nodiscard]] std::string concat(const Parts&... parts) {
  std::string text;
  (text.append(std::string_view(parts)), ...);
  return text;
}

}  // namespace tandem::detail
