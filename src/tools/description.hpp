// What one object in shared memory says about itself, as far as its first bytes tell.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace tandem::tools {

enum class Kind {
  queue,
  pipe,
  lock,
  rlock,
  semaphore,
  bounded_semaphore,
  condition,
  event,
  barrier,
  value,
  array,
  heap,
  worker,  // one of a pool
  memory,
};

/// "bounded_semaphore", as it is written in JSON.
[[nodiscard]] const char* name_of(Kind kind) noexcept;

struct Field {
  std::string key;
  std::variant<bool, std::uint64_t, std::string> value;
};

/// A number that only grows, until it begins again at `modulus` (0: it does not).
struct Counter {
  std::string key;
  std::uint64_t value = 0;
  std::uint64_t modulus = 0;
};

/// A robust mutex in the object.
struct LockWord {
  std::string label;         // "lock", "put lock", "seat 3"
  std::uint64_t offset = 0;  // of the word that waiters sleep on
  int thread = 0;            // holds it; 0: nobody
  int process = 0;           // of that thread, or of the one that died; 0: not known
  bool died = false;         // the holder ended while it held it, and nobody has taken it over
  bool contended = false;    // somebody sleeps until it is free

  [[nodiscard]] bool free() const noexcept { return thread == 0 && !died; }
};

/// A futex word that says what they wait for who sleep on it.
struct WaitWord {
  std::uint64_t offset = 0;
  std::string awaited;  // "an item"
};

/// A process that the object itself names.
struct Role {
  int process = 0;
  std::string what;
};

struct Description {
  Kind kind = Kind::memory;
  std::string name;     // as messages of the library call it
  std::string problem;  // why nothing else is known; empty when it is
  std::vector<Field> fields;
  std::vector<Counter> counters;
  std::vector<LockWord> locks;
  std::vector<WaitWord> words;
  std::vector<Role> roles;   // "end 0"
  std::vector<Role> parked;  // sleeps until there is `what`, or is about to
};

}  // namespace tandem::tools
