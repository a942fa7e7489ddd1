// Text through a RingQueue, for its tests.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "queue/ring_queue.hpp"

namespace tandem::test {

inline constexpr std::uint32_t kTextType = 77;

inline bool put_text(detail::RingQueue& queue, const std::string& text, detail::Deadline deadline) {
  return queue.put({kTextType, std::as_bytes(std::span(text)), nullptr}, deadline);
}

inline std::optional<std::string> get_text(detail::RingQueue& queue, detail::Deadline deadline) {
  std::string text;
  detail::Incoming into;
  into.context = &text;
  into.grow = [](detail::Incoming& self, std::size_t size) {
    auto& target = *static_cast<std::string*>(self.context);
    target.resize(size);
    return reinterpret_cast<std::byte*>(target.data());
  };
  if (!queue.get(into, deadline)) return std::nullopt;
  EXPECT_EQ(into.type, kTextType);
  text.resize(into.size);
  return text;
}

}  // namespace tandem::test
