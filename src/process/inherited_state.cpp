#include "process/inherited_state.hpp"

#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/lazy.hpp"
#include "os/exec.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/log.hpp"

namespace tandem::detail {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::uint32_t, std::pair<SaveState, LoadState>> by_id;
};

constinit base::Lazy<Registry> registry;

[[maybe_unused]] const bool fork_safe = [] {
  os::at_fork([] { registry->mutex.lock(); }, [] { registry->mutex.unlock(); },
              [] { registry->mutex.unlock(); });
  return true;
}();

// How much is logged to standard error.
void save_log_level(Encoder& to) {
  const std::optional<LogLevel> level = stderr_log_level();
  to.write_raw(level ? static_cast<int>(*level) : -1);
}

void load_log_level(Decoder& from) {
  if (const auto level = from.read_raw<int>(); level >= 0)
    log_to_stderr(static_cast<LogLevel>(level));
}

[[maybe_unused]] const bool logs_on =
    (register_inherited_state(kInheritedLogLevel, save_log_level, load_log_level), true);

}  // namespace

void register_inherited_state(std::uint32_t id, SaveState save, LoadState load) {
  const std::lock_guard lock(registry->mutex);
  registry->by_id[id] = {save, load};
}

// Each layer's state is {id, size, bytes}, so that what this program does not know can be passed
// over.
void save_inherited_state(Encoder& to) {
  decltype(Registry::by_id) all;
  {
    const std::lock_guard lock(registry->mutex);
    all = registry->by_id;
  }
  to.write_raw(static_cast<std::uint32_t>(all.size()));
  for (const auto& [id, functions] : all) {
    to.write_raw(id);
    const std::size_t size_at = to.buffer().size();
    to.write_raw(std::uint64_t{0});
    const std::size_t begin = to.buffer().size();
    functions.first(to);
    const std::uint64_t size = to.buffer().size() - begin;
    std::memcpy(to.buffer().data() + size_at, &size, sizeof size);
  }
}

void load_inherited_state(Decoder& from) {
  for (auto left = from.read_raw<std::uint32_t>(); left > 0; --left) {
    const auto id = from.read_raw<std::uint32_t>();
    const auto size = from.read_raw<std::uint64_t>();
    LoadState load = nullptr;
    {
      const std::lock_guard lock(registry->mutex);
      const auto known = registry->by_id.find(id);
      if (known != registry->by_id.end()) load = known->second.second;
    }
    if (load == nullptr) {
      static_cast<void>(from.take(size));
      continue;
    }
    const std::size_t before = from.left();
    load(from);
    if (before - from.left() != size) {
      throw DecodeError("inherited state: its owner did not read what it had saved");
    }
  }
}

}  // namespace tandem::detail
