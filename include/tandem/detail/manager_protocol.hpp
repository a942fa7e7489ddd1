/// \file
/// What the proxies of a Manager ask of its server. docs/design/manager.md has the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

namespace tandem::detail {

class Decoder;
class Encoder;
struct FunctionPlace;

/// Values never change their meaning, as those below.
enum class ObjectKind : std::uint8_t {
  dict = 1,
  list = 2,
  value = 3,       // a list of one element
  array = 4,       // a list whose length never changes
  namespace_ = 5,  // a dict whose values begin with the fingerprint of their type
  queue = 6,
  joinable_queue = 7,
  lock = 8,
  rlock = 9,
  semaphore = 10,
  bounded_semaphore = 11,
  condition = 12,
  event = 13,
  barrier = 14,
  object = 15,
};

/// Values never change their meaning: clients of another build speak them too.
enum class ManagerOp : std::uint16_t {
  // the manager itself
  create = 1,
  attach = 2,
  pin = 3,
  release = 4,  // this and introduce have no reply
  shutdown = 5,
  statistics = 6,
  batch = 7,
  introduce = 8,

  dict_get = 32,
  dict_set = 33,
  dict_insert = 34,
  dict_erase = 35,
  dict_pop = 36,
  dict_pop_item = 37,
  dict_set_default = 38,
  dict_update = 39,
  dict_contains = 40,
  dict_clear = 41,
  dict_keys = 42,
  dict_items = 43,
  dict_fetch_add = 44,
  dict_compare_exchange = 45,
  dict_apply = 46,
  dict_size = 47,

  list_get = 64,
  list_set = 65,
  list_extend = 66,
  list_insert = 67,
  list_erase = 68,
  list_pop = 69,
  list_pop_back = 70,
  list_remove = 71,
  list_slice = 72,
  list_clear = 73,
  list_index = 74,
  list_count = 75,
  list_sort = 76,
  list_reverse = 77,
  list_apply = 78,
  list_fetch_add = 79,
  list_compare_exchange = 80,
  list_size = 81,
  list_exchange = 82,

  queue_put = 96,
  queue_get = 97,
  queue_state = 98,
  queue_shutdown = 99,
  queue_task_done = 100,
  queue_join = 101,

  lock_acquire = 112,
  lock_release = 113,
  lock_recover = 114,

  semaphore_acquire = 120,
  semaphore_release = 121,
  semaphore_value = 122,

  event_set = 128,
  event_clear = 129,
  event_is_set = 130,
  event_wait = 131,

  condition_wait = 136,
  condition_notify = 137,

  barrier_wait = 144,
  barrier_abort = 145,
  barrier_reset = 146,
  barrier_state = 147,

  object_call = 152,
};

/// How the server adds to a number it only knows as bytes.
enum class NumberType : std::uint8_t { i8 = 1, u8, i16, u16, i32, u32, i64, u64, f32, f64 };

/// Types that `fetch_add` adds to.
template <class T>
concept Addable = (std::is_integral_v<T> && !std::is_same_v<T, bool> && sizeof(T) <= 8) ||
                  std::is_same_v<T, float> || std::is_same_v<T, double>;

template <Addable T>
constexpr NumberType number_type() {
  if constexpr (std::is_floating_point_v<T>) {
    return sizeof(T) == 4 ? NumberType::f32 : NumberType::f64;
  } else {
    constexpr int kLog = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    return static_cast<NumberType>(1 + 2 * kLog + (std::is_unsigned_v<T> ? 1 : 0));
  }
}

/// Runs in the server: decodes callable and arguments from `call`, calls with a copy of the value,
/// then encodes what the callable returned and the new value. What it throws changes nothing.
using ApplyThunk = void(Decoder& call, std::span<const std::byte> value, Encoder& updated,
                        Encoder& result);
/// Runs in the server: decodes the comparison from `call` and fills `order` with the positions of
/// the values in ascending order.
using SortThunk = void(Decoder& call, const std::vector<std::span<const std::byte>>& values,
                       std::vector<std::uint32_t>& order);

/// An instance of a class of the program, in the server.
class HeldObject {
 public:
  HeldObject() = default;
  HeldObject(const HeldObject&) = delete;
  HeldObject& operator=(const HeldObject&) = delete;
  virtual ~HeldObject() = default;

  /// Runs in the server: decodes arguments, calls, encodes what the method returned. \throws
  /// DecodeError unless `method` is the thunk of one of its class
  virtual void call(FunctionPlace method, Decoder& arguments, Encoder& result) = 0;
};
/// Runs in the server: decodes the constructor's arguments and makes one.
using MakeThunk = std::unique_ptr<HeldObject>(Decoder& arguments);

}  // namespace tandem::detail
