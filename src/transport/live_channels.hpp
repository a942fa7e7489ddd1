// The channels of this process, and how often it forked: what a forked child needs to let go of
// ends it was not passed, and an end needs to know that it is the only copy.
#pragma once

#include <cstdint>

namespace tandem::transport {

/// One channel in the list. Its address stays.
class LiveChannel {
 public:
  LiveChannel();
  LiveChannel(const LiveChannel&) = delete;
  LiveChannel& operator=(const LiveChannel&) = delete;
  virtual void abandon() noexcept = 0;

 protected:
  ~LiveChannel();

 private:
  friend void abandon_all() noexcept;
  LiveChannel* previous_ = nullptr;
  LiveChannel* next_ = nullptr;
};

void abandon_all() noexcept;

/// Changes with every fork of this process, on both sides of it, before a copy can exist. Read it
/// before making what may be copied.
[[nodiscard]] std::uint64_t fork_count() noexcept;

}  // namespace tandem::transport
