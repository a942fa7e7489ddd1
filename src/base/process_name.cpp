#include "base/process_name.hpp"

#include <atomic>
#include <utility>

namespace tandem::base {
namespace {

constinit std::atomic<const std::string*> current{nullptr};

}  // namespace

const std::string& process_name() {
  if (const auto* name = current.load(std::memory_order_acquire)) return *name;
  static const auto& first = *new std::string("MainProcess");
  return first;
}

void set_process_name(std::string name) {
  current.store(new std::string(std::move(name)), std::memory_order_release);
}

}  // namespace tandem::base
