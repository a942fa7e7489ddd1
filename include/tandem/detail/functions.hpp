/// \file
/// Calls the functions a user wrote for cereal, whichever of cereal's forms they have.
#pragma once

#include <cereal/access.hpp>
#include <cereal/cereal.hpp>
#include <cstdint>
#include <memory>
#include <utility>

#include "tandem/detail/archive.hpp"

// cereal lets only a template of this name make what load_and_construct fills. Its own definition
// comes with functions for every smart pointer, which must not count as the user's.
namespace cereal::memory_detail {

template <class T>
struct LoadAndConstructLoadWrapper<tandem::detail::Decoder, T> {
  explicit LoadAndConstructLoadWrapper(T* room) : construct(room) {}
  template <class F>
  LoadAndConstructLoadWrapper(T* room, F&& constructed)
      : construct(room, std::forward<F>(constructed)) {}
  void CEREAL_SERIALIZE_FUNCTION_NAME(tandem::detail::Decoder& from) {
    ::cereal::detail::Construct<T, tandem::detail::Decoder>::load_andor_construct(from, construct);
  }
  ::cereal::construct<T> construct;
};

}  // namespace cereal::memory_detail

namespace tandem::detail {

// As cereal chooses: the one form that exists, unless cereal::specialize names another.
#define TANDEM_CHOSEN(form, archive)                            \
  (cereal::traits::has_##form<T, archive>::value &&             \
   (cereal::traits::is_specialized_##form<T, archive>::value || \
    !cereal::traits::is_specialized<T, archive>::value))

template <class T>
[[nodiscard]] std::uint32_t class_version() {
  return cereal::detail::Version<T>::version;
}

template <class T>
void call_save(Encoder& to, const T& value) {
  static_assert(cereal::traits::is_output_serializable<T, Encoder>::value,
                "this type has no cereal functions, more than one set of them, or members that "
                "tandem cannot send");
  // The same `serialize` reads and writes, so it takes a mutable reference; it does not write here.
  T& open = const_cast<T&>(value);
  if constexpr (TANDEM_CHOSEN(member_serialize, Encoder)) {
    cereal::access::member_serialize(to, open);
  } else if constexpr (TANDEM_CHOSEN(non_member_serialize, Encoder)) {
    CEREAL_SERIALIZE_FUNCTION_NAME(to, open);
  } else if constexpr (TANDEM_CHOSEN(member_save, Encoder)) {
    cereal::access::member_save(to, value);
  } else if constexpr (TANDEM_CHOSEN(non_member_save, Encoder)) {
    CEREAL_SAVE_FUNCTION_NAME(to, value);
  } else if constexpr (TANDEM_CHOSEN(member_save_minimal, Encoder)) {
    to.process(cereal::access::member_save_minimal(to, value));
  } else if constexpr (TANDEM_CHOSEN(non_member_save_minimal, Encoder)) {
    to.process(CEREAL_SAVE_MINIMAL_FUNCTION_NAME(to, value));
  } else {
    const std::uint32_t version = class_version<T>();
    to.write_raw(version);
    if constexpr (TANDEM_CHOSEN(member_versioned_serialize, Encoder)) {
      cereal::access::member_serialize(to, open, version);
    } else if constexpr (TANDEM_CHOSEN(non_member_versioned_serialize, Encoder)) {
      CEREAL_SERIALIZE_FUNCTION_NAME(to, open, version);
    } else if constexpr (TANDEM_CHOSEN(member_versioned_save, Encoder)) {
      cereal::access::member_save(to, value, version);
    } else if constexpr (TANDEM_CHOSEN(non_member_versioned_save, Encoder)) {
      CEREAL_SAVE_FUNCTION_NAME(to, value, version);
    } else if constexpr (TANDEM_CHOSEN(member_versioned_save_minimal, Encoder)) {
      to.process(cereal::access::member_save_minimal(to, value, version));
    } else {
      to.process(CEREAL_SAVE_MINIMAL_FUNCTION_NAME(to, value, version));
    }
  }
}

template <class T>
void call_load(Decoder& from, T& value) {
  static_assert(cereal::traits::is_input_serializable<T, Decoder>::value,
                "this type has no cereal functions, more than one set of them, or members that "
                "tandem cannot send");
  if constexpr (TANDEM_CHOSEN(member_serialize, Decoder)) {
    cereal::access::member_serialize(from, value);
  } else if constexpr (TANDEM_CHOSEN(non_member_serialize, Decoder)) {
    CEREAL_SERIALIZE_FUNCTION_NAME(from, value);
  } else if constexpr (TANDEM_CHOSEN(member_load, Decoder)) {
    cereal::access::member_load(from, value);
  } else if constexpr (TANDEM_CHOSEN(non_member_load, Decoder)) {
    CEREAL_LOAD_FUNCTION_NAME(from, value);
  } else if constexpr (TANDEM_CHOSEN(member_load_minimal, Decoder)) {
    typename cereal::traits::has_member_save_minimal<T, Encoder>::type minimal{};
    from.process(minimal);
    cereal::access::member_load_minimal(from, value, minimal);
  } else if constexpr (TANDEM_CHOSEN(non_member_load_minimal, Decoder)) {
    typename cereal::traits::has_non_member_save_minimal<T, Encoder>::type minimal{};
    from.process(minimal);
    CEREAL_LOAD_MINIMAL_FUNCTION_NAME(from, value, minimal);
  } else {
    const auto version = from.read_raw<std::uint32_t>();
    if constexpr (TANDEM_CHOSEN(member_versioned_serialize, Decoder)) {
      cereal::access::member_serialize(from, value, version);
    } else if constexpr (TANDEM_CHOSEN(non_member_versioned_serialize, Decoder)) {
      CEREAL_SERIALIZE_FUNCTION_NAME(from, value, version);
    } else if constexpr (TANDEM_CHOSEN(member_versioned_load, Decoder)) {
      cereal::access::member_load(from, value, version);
    } else if constexpr (TANDEM_CHOSEN(non_member_versioned_load, Decoder)) {
      CEREAL_LOAD_FUNCTION_NAME(from, value, version);
    } else if constexpr (TANDEM_CHOSEN(member_versioned_load_minimal, Decoder)) {
      typename cereal::traits::has_member_versioned_save_minimal<T, Encoder>::type minimal{};
      from.process(minimal);
      cereal::access::member_load_minimal(from, value, minimal, version);
    } else {
      typename cereal::traits::has_non_member_versioned_save_minimal<T, Encoder>::type minimal{};
      from.process(minimal);
      CEREAL_LOAD_MINIMAL_FUNCTION_NAME(from, value, minimal, version);
    }
  }
}

#undef TANDEM_CHOSEN

/// For types that cereal builds in place.
template <class T>
[[nodiscard]] T call_load_and_construct(Decoder& from) {
  union Room {
    T value;
    Room() {}   // NOLINT(modernize-use-equals-default)
    ~Room() {}  // NOLINT(modernize-use-equals-default)
  } room;
  // Its `construct` member is the only one that users' functions may be given. They throw if they
  // construct twice; when they did not at all, there is nothing to destroy.
  cereal::memory_detail::LoadAndConstructLoadWrapper<Decoder, T> wrapper(
      std::addressof(room.value));
  struct Destroy {
    cereal::memory_detail::LoadAndConstructLoadWrapper<Decoder, T>& wrapper;
    ~Destroy() {
      try {
        std::destroy_at(wrapper.construct.ptr());
      } catch (const cereal::Exception&) {  // says that it was never constructed
      }
    }
  } destroy{wrapper};
  wrapper.CEREAL_SERIALIZE_FUNCTION_NAME(from);
  return std::move(*wrapper.construct.ptr());
}

}  // namespace tandem::detail
