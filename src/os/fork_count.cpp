#include "os/fork_count.hpp"

#include <atomic>

#include "os/exec.hpp"

namespace tandem::os {
namespace {

constinit std::atomic<std::uint64_t> forks{0};

// When the library is loaded, before there is a second thread that could fork.
[[maybe_unused]] const bool counted =
    (at_fork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); }), true);

}  // namespace

std::uint64_t fork_count() noexcept { return forks.load(std::memory_order_relaxed); }

}  // namespace tandem::os
