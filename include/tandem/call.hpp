/// \file
/// A call that is kept, to be made in other processes as often as wanted.
///
///     tandem::PoolOptions options{.initializer = tandem::call(load_model, "model.bin")};
#pragma once

#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tandem/detail/call.hpp"
#include "tandem/sendable.hpp"

namespace tandem {

/// A callable with its arguments, made by `call`. A copy is the same call; an empty one does
/// nothing.
class Call {
 public:
  Call() = default;

  /// False for one that was default constructed.
  [[nodiscard]] explicit operator bool() const noexcept { return held_ != nullptr; }
  /// Writes the call for `detail::run_call`; may be done again and again. The call must not be
  /// empty.
  void encode(detail::Encoder& to) const { held_->encode(to); }

 private:
  struct Held {
    Held() = default;
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    virtual ~Held() = default;
    virtual void encode(detail::Encoder& to) const = 0;
  };
  template <class F, class... A>
  struct HeldCall final : Held {
    template <class G, class... B>
    explicit HeldCall(G&& g, B&&... b) : f(std::forward<G>(g)), args(std::forward<B>(b)...) {}
    void encode(detail::Encoder& to) const override {
      std::apply([&](const A&... arg) { detail::encode_call(to, f, arg...); }, args);
    }
    F f;
    std::tuple<A...> args;
  };

  template <class F, class... A>
  friend Call call(F&& f, A&&... args);

  std::shared_ptr<const Held> held_;
};

/// Keeps f and copies of the arguments for a call in another process.
template <class F, class... A>
[[nodiscard]] Call call(F&& f, A&&... args) {
  detail::require_sendable_call<F, A...>();
  Call made;
  if constexpr (SendableCall<F, A...>) {
    using Held = Call::HeldCall<std::decay_t<F>, detail::Argument<A>...>;
    made.held_ = std::make_shared<const Held>(std::forward<F>(f), std::forward<A>(args)...);
  }
  return made;
}

}  // namespace tandem
