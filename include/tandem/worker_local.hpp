/// \file
/// One object for each worker process: made there, used by all of its tasks, destroyed at its end.
///
///     void connect(std::string where) { tandem::worker_local<Database>(where); }
///     int count(std::string table) { return tandem::worker_local<Database>().count(table); }
///
///     tandem::Pool pool({.initializer = tandem::call(connect, "db.example:5432")});
///     std::vector<int> counts = pool.map(count, tables);
#pragma once

#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tandem/detail/export.hpp"
#include "tandem/detail/process_once.hpp"
#include "tandem/detail/type_name.hpp"
#include "tandem/error.hpp"

namespace tandem {

namespace detail {

/// A ProcessOnce whose thing is destroyed at the normal end of its process.
class TANDEM_EXPORT ProcessLocal {
 public:
  using Destroy = void (*)(void* object);

  constexpr ProcessLocal() noexcept = default;

  [[nodiscard]] void* find() const noexcept { return once_.find(); }
  [[nodiscard]] void* get(ProcessOnce::Make make, Destroy destroy, void* context);

 private:
  friend struct ProcessLocals;
  ProcessOnce once_;
};

template <class T, class Tag>
inline constinit ProcessLocal kWorkerLocal;

}  // namespace detail

/// The T of this process. The first call makes it, of its arguments; those of later calls are
/// ignored, and need not be given.
///
/// Any process has its own, the parent of workers too: a forked one does not inherit it. Destroyed
/// at the normal end of the process, the last that was made first: in a worker after the pool's
/// finalizer, which may use it. Not when a signal or _exit ends the process.
/// Threads: any; while one makes it, others wait. The object is shared by them.
/// \tparam Tag tells objects of one type apart
/// \throws what the constructor throws, and the next call tries again; Error when there is none yet,
///   no arguments are given and T needs some; Error when the constructor asks for the object
template <class T, class Tag = void, class... A>
T& worker_local(A&&... args) {
  static_assert(std::is_same_v<T, std::remove_cvref_t<T>>);
  detail::ProcessLocal& local = detail::kWorkerLocal<T, Tag>;
  if (void* object = local.find(); object != nullptr) [[likely]]
    return *static_cast<T*>(object);
  if constexpr (sizeof...(A) == 0 && !std::is_default_constructible_v<T>) {
    throw Error("worker_local: there is no " + std::string(detail::type_name<T>()) +
                " in this process yet, and it cannot be made without arguments");
  } else {
    std::tuple<A&&...> given(std::forward<A>(args)...);
    const auto make = [](void* context) -> void* {
      return std::apply(
          [](auto&&... arg) {
            if constexpr (std::is_constructible_v<T, A...>) {
              return new T(std::forward<A>(arg)...);
            } else {
              return new T{std::forward<A>(arg)...};
            }
          },
          std::move(*static_cast<std::tuple<A&&...>*>(context)));
    };
    const auto destroy = [](void* object) { delete static_cast<T*>(object); };
    return *static_cast<T*>(local.get(make, destroy, &given));
  }
}

}  // namespace tandem
