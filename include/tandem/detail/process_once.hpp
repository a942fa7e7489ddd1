/// \file
/// Things that are made at most once in each process, by the first thread that asks.
#pragma once

#include <atomic>
#include <cstdint>

#include "tandem/detail/export.hpp"

namespace tandem::detail {

/// A place for one such thing. May be declared constinit.
///
/// A static local variable will not do: a child forked while another thread makes it would wait for
/// that thread for ever, and one forked later would find what is its parent's.
class TANDEM_EXPORT ProcessOnce {
 public:
  /// Makes the thing. \returns not null
  using Make = void* (*)(void* context);

  constexpr ProcessOnce() noexcept = default;
  ProcessOnce(const ProcessOnce&) = delete;
  ProcessOnce& operator=(const ProcessOnce&) = delete;
  ~ProcessOnce() = default;

  /// What was made in this process; null before.
  [[nodiscard]] void* find() const noexcept;
  /// What was made here or in a process this one was forked from, before it was.
  [[nodiscard]] void* find_inherited() const noexcept;
  /// Makes it if need be; other threads wait meanwhile.
  /// \throws what `make` throws, and the next call tries again; Error when `make` itself asks for it
  [[nodiscard]] void* get(Make make, void* context);

  /// Forgets what was made in this process, which the caller destroys.
  void forget() noexcept;
  /// Frees what belongs to the place itself. It is as new.
  void clear() noexcept;

 private:
  struct Attempt;
  [[nodiscard]] Attempt& attempt();

  std::atomic<Attempt*> latest_{nullptr};
};

}  // namespace tandem::detail
