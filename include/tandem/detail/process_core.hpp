/// \file
/// The core of Process: a child's life as bytes, a Deadline and outcomes.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/call.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/detail/deadline.hpp"
#include "tandem/detail/export.hpp"

namespace tandem {

/// How a child comes to be.
enum class StartMethod {
  spawn,       ///< the program is executed anew; nothing is inherited but what is passed
  fork,        ///< the process is duplicated; any callable can run in the copy
  forkserver,  ///< a small server of this program forks; see set_forkserver_preload
};

/// What can be said about a Process before its target.
struct ProcessOptions {
  std::string name = {};  ///< empty: "Process-1", for children of it "Process-1:1"
  bool daemon = false;    ///< ends with the process that started it, however that ends
  std::optional<StartMethod> start_method = {};  ///< nothing: `start_method()`
};

namespace detail {

/// What a Process is to run. Encoded at every start(), which changes nothing here.
class TANDEM_EXPORT Target {
 public:
  Target() = default;
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  virtual ~Target() = default;

  /// False when it can only run where it lies, in a forked copy of this process.
  [[nodiscard]] virtual bool sendable() const noexcept = 0;
  /// Writes the call or, where that is not sendable, those of its parts that must be handed over.
  virtual void encode(Encoder& to) const = 0;
  /// In a forked child: takes the parts that were handed over and runs the call where it lies.
  virtual void run_in_place(Decoder& from) = 0;
};

template <class F, class... A>
class SendableTarget final : public Target {
 public:
  template <class G, class... B>
  explicit SendableTarget(G&& f, B&&... args)
      : f_(std::forward<G>(f)), args_(std::forward<B>(args)...) {}

  [[nodiscard]] bool sendable() const noexcept override { return true; }
  void encode(Encoder& to) const override {
    std::apply([&](const A&... args) { encode_call(to, f_, args...); }, args_);
  }
  void run_in_place(Decoder& from) override { run_call(from); }

 private:
  F f_;
  std::tuple<A...> args_;
};

/// Move-only handles (Connections) among the arguments are handed over as everywhere; all else is
/// used where it lies.
template <class F, class... A>
class InPlaceTarget final : public Target {
 public:
  template <class G, class... B>
  explicit InPlaceTarget(G&& f, B&&... args)
      : f_(std::forward<G>(f)), args_(std::forward<B>(args)...) {}

  [[nodiscard]] bool sendable() const noexcept override { return false; }
  void encode(Encoder& to) const override {
    std::apply([&](const A&... args) { (encode_handle(to, args), ...); }, args_);
  }
  void run_in_place(Decoder& from) override {
    // What was handed over is rebuilt beside the parent's object, which is not ours to destroy.
    auto args =
        std::apply([&](A&... held) { return std::tuple<A...>{take<A>(from, held)...}; }, args_);
    from.expect_end();
    if constexpr (Invocation<F, A...>::passing != Passing::none) {
      static_cast<void>(Invocation<F, A...>::call(f_, args));
    } else {
      std::apply([&](A&... arg) { static_cast<void>(std::invoke(f_, std::move(arg)...)); }, args);
    }
  }

 private:
  template <class T>
  static constexpr bool handed_over() {
    if constexpr (std::is_copy_constructible_v<T>) {
      return false;
    } else {
      return Sendable<T>;
    }
  }
  template <class T>
  static void encode_handle(Encoder& to, const T& arg) {
    if constexpr (handed_over<T>()) ::tandem::detail::encode(to, arg);
  }
  template <class T>
  static T take(Decoder& from, T& held) {
    if constexpr (handed_over<T>()) {
      return ::tandem::detail::decode<T>(from);
    } else {
      return std::move(held);
    }
  }

  F f_;
  std::tuple<A...> args_;
};

template <class F, class... A>
[[nodiscard]] std::unique_ptr<Target> make_sendable_target(F&& f, A&&... args) {
  require_sendable_call<F, A...>();
  if constexpr (SendableCall<F, A...>) {
    return std::make_unique<SendableTarget<std::decay_t<F>, Argument<A>...>>(
        std::forward<F>(f), std::forward<A>(args)...);
  } else {
    return nullptr;  // the message above has said it all
  }
}

template <class F, class... A>
[[nodiscard]] std::unique_ptr<Target> make_target(F&& f, A&&... args) {
  if constexpr (SendableCall<F, A...>) {
    return make_sendable_target(std::forward<F>(f), std::forward<A>(args)...);
  } else {
    static_assert(Invocation<std::decay_t<F>, std::decay_t<A>...>::passing != Passing::none ||
                      std::invocable<std::decay_t<F>&, std::decay_t<A>...>,
                  "tandem: the target cannot be called with copies of these arguments.");
    return std::make_unique<InPlaceTarget<std::decay_t<F>, std::decay_t<A>...>>(
        std::forward<F>(f), std::forward<A>(args)...);
  }
}

/// A started child, shared by its Process, the list of children and every ProcessInfo.
class Child;

class TANDEM_EXPORT ProcessCore {
 public:
  ProcessCore(ProcessOptions options, std::unique_ptr<Target> target);
  ProcessCore(const ProcessCore&) = delete;
  ProcessCore& operator=(const ProcessCore&) = delete;
  /// Joins. \see Process
  ~ProcessCore();

  void start();
  [[nodiscard]] bool join(Deadline deadline);
  [[nodiscard]] bool is_alive() const;
  [[nodiscard]] int pid() const;
  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] bool daemon() const;
  [[nodiscard]] std::optional<int> exitcode() const;
  [[nodiscard]] int sentinel() const;
  void terminate();
  void kill();
  void interrupt();
  void close();

  [[noreturn]] static void throw_moved_from(const char* call);

 private:
  void check_usable(const char* call) const;
  [[nodiscard]] Child& started(const char* call) const;
  void send(int signal, const char* call);

  ProcessOptions options_;
  std::string path_;  // "1:2" for the second child of the first
  int maker_;         // pid of the process it was made in
  int exceptions_;    // in flight when it was made
  std::unique_ptr<Target> target_;
  std::shared_ptr<Child> child_;
  bool closed_ = false;
};

}  // namespace detail
}  // namespace tandem
