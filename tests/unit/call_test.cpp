#include "tandem/call.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/random.hpp"

namespace tandem::detail {
namespace {

// The library may be built by one compiler and the program by another.
static_assert(type_name<FunctionPlace>() == "tandem::detail::FunctionPlace");
static_assert(kSignature<void(Decoder&)> == hash_text("void(tandem::detail::Decoder&)"));

std::string trace;

int add(int a, int b) { return a + b; }
void note(const std::string& text, int n) { trace = text + std::to_string(n); }
void append(std::string& text, std::unique_ptr<int> n) {
  text += std::to_string(*n);
  trace = text;
}
std::unique_ptr<int> make(int n) { return std::make_unique<int>(n); }
const std::string& refer(const std::string&) { return trace; }
void fail() { throw std::out_of_range("out there"); }

struct Adder {
  int n;
  int operator()(int m) const { return n + m; }
};
struct Joiner {
  std::vector<std::string> parts;
  std::string operator()(const std::string& last) {
    parts.push_back(last);
    return std::accumulate(parts.begin(), parts.end(), std::string());
  }
};
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  template <class Archive>
  void serialize(Archive& archive) {
    archive(text_);
  }
  std::string operator()() const { return text_; }

 private:
  std::string text_;
};

/// Makes the encoded call and decodes its result.
template <class R>
R result_of(const Buffer& call) {
  Decoder from(call.bytes(), Route::process);
  Buffer result;
  Encoder to(result, Route::process);
  run_call(from, to);
  from.expect_end();
  Decoder back(result.bytes(), Route::process);
  R value = decode<R>(back);
  back.expect_end();
  return value;
}

template <class R, class F, class... A>
R called(const F& f, const A&... args) {
  Buffer buffer;
  Encoder to(buffer, Route::process);
  encode_call(to, f, args...);
  return result_of<R>(buffer);
}

TEST(CallTest, EveryKindOfCallableIsCalled) {
  EXPECT_EQ(called<int>(add, 1, 2), 3);
  EXPECT_EQ(called<int>(&add, 1, 2), 3);
  EXPECT_EQ(called<int>([](int a, int b) { return a * b; }, 3, 4), 12);
  EXPECT_EQ(called<std::string>([](auto a, auto b) { return a + b; }, std::string("a"), "b"), "ab");
  EXPECT_EQ(called<int>(Adder{3}, 4), 7);
  EXPECT_EQ(called<std::string>(Joiner{{"a", "b"}}, "c"), "abc");
  EXPECT_EQ(called<std::string>(Secret("hidden")), "hidden");
  int n = 5;
  EXPECT_EQ(called<int>(by_value([n](int m) { return n + m; }), 1), 6);
  EXPECT_EQ(*called<std::unique_ptr<int>>(make, 3), 3);
  trace = "refers";
  EXPECT_EQ(called<std::string>(refer, std::string("x")), "refers");
}

TEST(CallTest, ArgumentsArePassedAsTheParametersAsk) {
  Buffer buffer;
  Encoder to(buffer, Route::process);
  encode_call(to, append, "n = ", std::make_unique<int>(4));
  Decoder from(buffer.bytes(), Route::process);
  run_call(from);
  EXPECT_EQ(trace, "n = 4");
}

TEST(CallTest, LambdasOfOneFunctionAreToldApart) {
  const auto first = [](int n) { return n + 1; };
  const auto second = [](int n) { return n + 2; };
  EXPECT_EQ(called<int>(first, 1), 2);
  EXPECT_EQ(called<int>(second, 1), 3);
}

TEST(CallTest, AKeptCallCanBeMadeAgainAndAgain) {
  Call none;
  EXPECT_FALSE(none);
  const Call kept = call(note, "text", 3);
  const Call copy = kept;
  ASSERT_TRUE(copy);
  for (int i = 0; i < 2; ++i) {
    trace.clear();
    Buffer buffer;
    Encoder to(buffer, Route::process);
    copy.encode(to);
    Decoder from(buffer.bytes(), Route::process);
    run_call(from);
    EXPECT_EQ(trace, "text3");
  }
}

TEST(CallTest, WhatACallThrowsPassesThrough) {
  Buffer buffer;
  Encoder to(buffer, Route::process);
  encode_call(to, fail);
  Decoder from(buffer.bytes(), Route::process);
  EXPECT_THROW(run_call(from), std::out_of_range);
}

TEST(CallTest, AFunctionsPlaceIsFoundAgain) {
  const auto function = reinterpret_cast<AnyFunction>(&add);
  const FunctionPlace place = place_of(function);
  EXPECT_NE(place.module, 0u);
  EXPECT_EQ(function_at(place), function);
  const auto other = reinterpret_cast<AnyFunction>(&::dlopen);  // in a library
  EXPECT_NE(place_of(other).module, place.module);
  EXPECT_EQ(function_at(place_of(other)), other);
}

TEST(CallTest, OnlyCodeIsAFunction) {
  static int data = 0;
  EXPECT_THROW(static_cast<void>(place_of(reinterpret_cast<AnyFunction>(&data))), NotSendable);
  FunctionPlace place = place_of(reinterpret_cast<AnyFunction>(&add));
  const auto distance =
      reinterpret_cast<std::uintptr_t>(&data) - reinterpret_cast<std::uintptr_t>(&add);
  EXPECT_THROW(static_cast<void>(function_at({place.module, place.offset + distance})),
               DecodeError);
  EXPECT_THROW(static_cast<void>(function_at({place.module, ~std::uint64_t{0}})), DecodeError);
  EXPECT_THROW(static_cast<void>(function_at({place.module + 1, place.offset})), DecodeError);
}

TEST(CallTest, OnlyRegisteredThunksAreRun) {
  const FunctionPlace add_place = place_of(reinterpret_cast<AnyFunction>(&add));
  EXPECT_THROW(static_cast<void>(resolve(ThunkKey<CallThunk>{add_place})), DecodeError);
  using Sum = int(int, int);
  const auto key = thunk_key<Sum, &add>();
  EXPECT_EQ(resolve(key), &add);
  EXPECT_EQ(resolve(key), &add);  // the second time from the cache
  EXPECT_THROW(static_cast<void>(resolve(ThunkKey<CallThunk>{key.place})), DecodeError);
}

TEST(CallTest, HostileBytesAreRefused) {
  Buffer buffer;
  Encoder to(buffer, Route::process);
  encode_call(to, note, "text", 3);
  for (std::size_t n = 0; n < buffer.size(); ++n) {
    Decoder from(buffer.bytes().first(n), Route::process);
    EXPECT_THROW(run_call(from), DecodeError) << n;
  }
  // Both places a call names, its thunk and its function, changed in every bit.
  for (std::size_t bit = 0; bit < 8 * 2 * sizeof(FunctionPlace); ++bit) {
    std::vector<std::byte> bytes(buffer.bytes().begin(), buffer.bytes().end());
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    Decoder from(bytes, Route::process);
    // An offset within the code would be called: function pointers are trusted to name one.
    if (bit >= 8 * 3 * sizeof(std::uint64_t)) break;
    EXPECT_THROW(run_call(from), DecodeError) << bit;
  }
}

TEST(CallTest, ANullFunctionIsNotSent) {
  int (*none)(int, int) = nullptr;
  Buffer buffer;
  Encoder to(buffer, Route::process);
  EXPECT_THROW(encode_call(to, none, 1, 2), NotSendable);
}

class CallOfAPluginTest : public testing::TestWithParam<const char*> {};

TEST_P(CallOfAPluginTest, IsMadeInTheProgram) {
  void* plugin = ::dlopen(GetParam(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(plugin, nullptr) << ::dlerror();
  const auto encode_plugin_call =
      reinterpret_cast<void (*)(Encoder&, int)>(::dlsym(plugin, "plugin_encode_call"));
  const auto plugin_function =
      reinterpret_cast<AnyFunction (*)()>(::dlsym(plugin, "plugin_function"));
  ASSERT_NE(encode_plugin_call, nullptr);
  ASSERT_NE(plugin_function, nullptr);

  Buffer buffer;
  Encoder to(buffer, Route::process);
  encode_plugin_call(to, 21);
  EXPECT_EQ(result_of<int>(buffer), 42);

  const FunctionPlace place = place_of(plugin_function());
  EXPECT_NE(place.module, place_of(reinterpret_cast<AnyFunction>(&add)).module);
  EXPECT_EQ(reinterpret_cast<int (*)(int)>(function_at(place))(3), 9);
  // The same after a fresh look at the modules: the id is of the file, not of this moment.
  EXPECT_EQ(place_of(plugin_function()), place);
}

INSTANTIATE_TEST_SUITE_P(, CallOfAPluginTest,
                         testing::Values(TANDEM_PLUGIN, TANDEM_PLUGIN_WITHOUT_ID),
                         [](const auto& plugin) {
                           return plugin.index == 0 ? "WithBuildId" : "WithoutBuildId";
                         });

}  // namespace
}  // namespace tandem::detail
