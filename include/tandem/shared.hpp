/// \file
/// A read-only object for all workers, which crosses once to each of them, not once per task.
///
///     tandem::Shared<Model> model = tandem::share(load("model.bin"));
///
///     struct Classify {                                  // a callable that carries it along
///       tandem::Shared<Model> model;
///       int operator()(const std::string& text) const { return model->classify(text); }
///     };
///     std::vector<int> classes = pool.map(Classify{model}, texts);
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/detail/archive.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/detail/fingerprint.hpp"
#include "tandem/detail/shared_object.hpp"
#include "tandem/sendable.hpp"

namespace tandem {

/// A cheap, copyable handle of an object that nobody changes. Sendable to processes and over
/// connections of this machine, under every start method; T is Sendable and holds no handles.
///
/// The object is encoded once, into sealed memory. A process that dereferences a handle decodes it,
/// once; from then on all handles of that object give the same `const T&`, those in later tasks too:
/// a process keeps the last eight objects it was sent, others as long as it has a handle. A forked
/// worker finds what its parent had decoded. The memory goes with the last handle, in whatever
/// process, and is never left behind.
///
/// What travels is a descriptor. As a member of a callable it goes once for several tasks; as an
/// argument or an element of its own it makes each task a message of its own, which costs some 10
/// us: then put it into the callable, or into a `worker_local` by an initializer.
///
/// Any thread. No handle is empty but one that was moved from.
template <class T>
class Shared {
  static_assert(Sendable<T>, "tandem: what is shared must be Sendable");

 public:
  using TandemHandle = void;
  using element_type = const T;

  /// \throws NotSendable when it holds handles, descriptors or else what cannot cross; SystemError
  explicit Shared(const T& object) {
    const detail::OutgoingValue<T> encoded(object, detail::Route::process);
    const detail::Outgoing& message = encoded.message();
    if (message.descriptors != nullptr && !message.descriptors->empty()) {
      detail::throw_not_sendable("a handle in a Shared object");
    }
    object_ = std::make_shared<const detail::SharedObject>(detail::fingerprint<T>(), message.bytes);
  }

  /// Valid while this process has a handle of this object. The first call in a process decodes it.
  /// \throws what T's functions throw; SystemError when it cannot be mapped
  [[nodiscard]] const T& get() const {
    return *static_cast<const T*>(
        object_->object(&decode, [](void* object) { delete static_cast<T*>(object); }));
  }
  /// The object. \throws as `get`
  [[nodiscard]] const T& operator*() const { return get(); }
  /// A member of the object. \throws as `get`
  [[nodiscard]] const T* operator->() const { return &get(); }

  /// Where T is a vector or string of plain elements: these, in the shared memory itself. Nothing is
  /// decoded or copied. Valid while this process has a handle of this object.
  [[nodiscard]] auto span() const requires detail::kTravelsFlat<T> {
    using Element = typename T::value_type;
    const std::span<const std::byte> bytes = object_->bytes();
    return std::span<const Element>(reinterpret_cast<const Element*>(bytes.data()),
                                    bytes.size() / sizeof(Element));
  }

  // For the library: crossing to another process.
  void save(detail::Encoder& to) const { object_->save(to); }
  [[nodiscard]] static Shared detail_decode(detail::Decoder& from) {
    return Shared(detail::SharedObject::load(from, detail::fingerprint<T>()));
  }

 private:
  explicit Shared(std::shared_ptr<const detail::SharedObject> object) noexcept
      : object_(std::move(object)) {}

  [[nodiscard]] static void* decode(std::span<const std::byte> bytes) {
    if constexpr (detail::kTravelsFlat<T>) {
      detail::RunFiller<T> filler;
      if (!filler.begin(bytes.size(), bytes.size())) {
        detail::throw_decode_error("a Shared object's size is not one of its type");
      }
      filler.add(bytes);
      detail::mend_run(filler.run());
      return new T(std::move(filler.run()));
    } else {
      detail::Decoder from(bytes, detail::Route::process);
      auto object = std::make_unique<T>(detail::decode<T>(from));
      from.expect_end();
      return object.release();
    }
  }

  std::shared_ptr<const detail::SharedObject> object_;
};

/// Makes an object available to other processes. \throws as the constructor of Shared
template <class T>
[[nodiscard]] Shared<T> share(const T& object) {
  return Shared<T>(object);
}

}  // namespace tandem
