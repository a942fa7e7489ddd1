#include "base/process_name.hpp"

#include <atomic>
#include <utility>

#include "base/lazy.hpp"

namespace tandem::base {
namespace {

struct FirstName {
  std::string text = "MainProcess";
};

constinit std::atomic<const std::string*> current{nullptr};
constinit Lazy<FirstName> first;

}  // namespace

const std::string& process_name() {
  if (const auto* name = current.load(std::memory_order_acquire)) return *name;
  return first->text;
}

void set_process_name(std::string name) {
  current.store(new std::string(std::move(name)), std::memory_order_release);
}

}  // namespace tandem::base
