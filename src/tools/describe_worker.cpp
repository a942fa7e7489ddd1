#include <atomic>
#include <span>
#include <string>
#include <string_view>

#include "pool/slot.hpp"
#include "tools/describe.hpp"
#include "tools/image.hpp"

namespace tandem::tools {
namespace {

using detail::Slot;
using detail::WorkerState;

const char* text_for(detail::Activity activity, detail::Claim claim) {
  if (claim == detail::Claim(detail::ClaimKind::kill, activity.task())) return "killing";
  switch (activity.kind()) {
    case WorkerState::starting:
      return "starting";
    case WorkerState::initializing:
      return "initializing";
    case WorkerState::idle:
      return "idle";
    case WorkerState::running:
      return "running";
    case WorkerState::sending:
      return "sending";
    case WorkerState::finishing:
      return "finishing";
  }
  return nullptr;
}

}  // namespace

bool describe_worker(std::string_view label, std::span<const std::byte> head,
                     Description& description) {
  if (label != detail::kSlotLabel) return false;
  constexpr std::memory_order kRelaxed = std::memory_order_relaxed;
  description.kind = Kind::worker;
  const Image<Slot> slot(head);
  const detail::Activity activity = slot->activity.load(kRelaxed);
  const char* const text = text_for(activity, slot->claim.load(kRelaxed));
  if (!slot.whole() || slot->magic.load(kRelaxed) != Slot::kMagic || text == nullptr) {
    description.problem = "it is not a worker's";
    return true;
  }
  const bool busy = activity.task() != 0;
  description.fields.push_back({"state", std::string(text)});
  description.fields.push_back({"busy", busy});
  if (busy) description.fields.push_back({"task", activity.task()});
  description.counters.push_back({"tasks_done", slot->tasks_done.load(kRelaxed), 0});
  description.counters.push_back({"busy_ns", slot->busy_ns.load(kRelaxed), 0});
  return true;
}

}  // namespace tandem::tools
