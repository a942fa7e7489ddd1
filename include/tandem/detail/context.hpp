/// \file
/// What the other layers need to know of, and tell to, the process layer.
#pragma once

#include <cstdint>
#include <string>

#include "tandem/detail/export.hpp"

namespace tandem::detail {

class Decoder;
class Encoder;

/// Name of this process: "MainProcess", or what its Process was called.
[[nodiscard]] TANDEM_EXPORT const std::string& process_name();

/// Runs `hook` at the normal end of this process: return from main, std::exit, the end of a child's
/// target; in a forked child too, where the parent's atexit handlers do not run. Last registered
/// first, each once, before the globals that existed at `init` are destroyed. Not when a signal or
/// _exit ends the process. Registered hooks are inherited by forked children. Any thread.
TANDEM_EXPORT void at_process_end(void (*hook)());

/// Ids for register_inherited_state that are taken.
inline constexpr std::uint32_t kInheritedLogLevel = 1;
inline constexpr std::uint32_t kInheritedManagerKeys = 2;

using SaveState = void (*)(Encoder& to);
using LoadState = void (*)(Decoder& from);
/// Carries a layer's own state into every child that does not inherit memory: `save` is called in
/// start(), `load` in the child before its target. Registered in both programs under the same id,
/// before `init` at the latest.
TANDEM_EXPORT void register_inherited_state(std::uint32_t id, SaveState save, LoadState load);

}  // namespace tandem::detail
