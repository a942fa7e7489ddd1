#include "tandem/detail/exception.hpp"

#include <gtest/gtest.h>

#include <any>
#include <cereal/types/string.hpp>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include "support/random.hpp"
#include "tandem/detail/codec.hpp"
#include "tandem/sendable.hpp"

namespace tandem {
namespace {

using detail::Buffer;
using detail::Decoder;
using detail::Encoder;
using detail::Route;

class ByText : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
class Decorated : public std::exception {  // its constructor adds to the text
 public:
  explicit Decorated(const std::string& text) : text_("decorated " + text) {}
  [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};
class WithState : public std::exception {
 public:
  WithState() = default;
  explicit WithState(int code) : code_(code) {}
  [[nodiscard]] int code() const { return code_; }
  [[nodiscard]] const char* what() const noexcept override { return "state"; }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(code_);
  }

 private:
  int code_ = 0;
};
struct NotAStdException {
  int code;
};
class Unknown : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};
class Unwritable : public std::runtime_error {
 public:
  Unwritable() : std::runtime_error("") {}
  explicit Unwritable(const char* text) : std::runtime_error(text) {}
  template <class Archive>
  void save(Archive&) const {
    throw std::bad_alloc();
  }
  template <class Archive>
  void load(Archive&) {}
};

// As a program would: before main.
[[maybe_unused]] const bool registered =
    (register_exception<ByText>(), register_exception<Decorated>(), register_exception<WithState>(),
     register_exception<NotAStdException>(), register_exception<Unwritable>(), true);

std::exception_ptr crossed(const std::exception_ptr& error, std::string_view where = "here") {
  Buffer buffer;
  Encoder to(buffer, Route::process);
  detail::encode_exception(to, error, where);
  Decoder from(buffer.bytes(), Route::process);
  std::exception_ptr arrived = detail::decode_exception(from);
  from.expect_end();
  return arrived;
}

/// Throws the exception, lets it cross, catches it as an E and gives that to `look`.
template <class E, class Thrown, class F>
void cross(Thrown thrown, F look) {
  try {
    std::rethrow_exception(crossed(std::make_exception_ptr(thrown)));
  } catch (const E& arrived) {
    look(arrived);
  } catch (...) {
    FAIL() << typeid(E).name() << " arrived as another type";
  }
}

/// The same for a type that is kept, with its text and a trace.
template <class E>
void keeps(E thrown) {
  cross<E>(thrown, [&](const E& arrived) {
    EXPECT_STREQ(arrived.what(), thrown.what());
    EXPECT_EQ(remote_trace(arrived), "here");
    EXPECT_EQ(dynamic_cast<const RemoteError*>(&arrived), nullptr);
  });
  EXPECT_EQ(remote_trace(thrown), "");
}

TEST(ExceptionTest, StdExceptionsKeepTheirType) {
  keeps(std::exception());
  keeps(std::logic_error("a"));
  keeps(std::domain_error("a"));
  keeps(std::invalid_argument("a"));
  keeps(std::length_error("a"));
  keeps(std::out_of_range("a"));
  keeps(std::runtime_error("a"));
  keeps(std::range_error("a"));
  keeps(std::overflow_error("a"));
  keeps(std::underflow_error("a"));
  keeps(std::bad_exception());
  keeps(std::bad_alloc());
  keeps(std::bad_array_new_length());
  keeps(std::bad_cast());
  keeps(std::bad_typeid());
  keeps(std::bad_optional_access());
  keeps(std::bad_variant_access());
  keeps(std::bad_any_cast());
  keeps(std::bad_function_call());
  keeps(std::bad_weak_ptr());
  keeps(std::regex_error(std::regex_constants::error_brack));
}

TEST(ExceptionTest, ErrorCodesArrive) {
  const auto code = std::make_error_code(std::errc::no_such_file_or_directory);
  keeps(std::system_error(code, "open"));
  cross<std::system_error>(std::system_error(code, "open"), [&](const std::system_error& arrived) {
    EXPECT_EQ(arrived.code(), code);
  });
  cross<std::system_error>(std::system_error(ENOSPC, std::system_category(), "write"),
                           [](const std::system_error& arrived) {
                             EXPECT_EQ(arrived.code(), std::errc::no_space_on_device);
                           });
  using std::filesystem::filesystem_error;
  keeps(filesystem_error("copy", "/a", "/b", code));
  cross<filesystem_error>(filesystem_error("copy", "/a", "/b", code),
                          [&](const filesystem_error& arrived) {
                            EXPECT_EQ(arrived.path1(), "/a");
                            EXPECT_EQ(arrived.path2(), "/b");
                            EXPECT_EQ(arrived.code(), code);
                          });
  keeps(std::ios_base::failure("read", std::io_errc::stream));
  cross<std::future_error>(std::future_error(std::future_errc::no_state),
                           [](const std::future_error& arrived) {
                             EXPECT_EQ(arrived.code(), std::future_errc::no_state);
                           });
}

class OwnCategory : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "own"; }
  [[nodiscard]] std::string message(int) const override { return "own message"; }
};

TEST(ExceptionTest, ACodeOfAnUnknownCategoryArrivesAsText) {
  static const OwnCategory category;
  cross<RemoteError>(std::system_error(3, category, "call"), [](const RemoteError& arrived) {
    EXPECT_EQ(arrived.type_name(), "std::system_error");
    EXPECT_STREQ(arrived.what(), "call: own message");
  });
}

TEST(ExceptionTest, TandemsErrorsKeepTheirType) {
  keeps(Error("a"));
  keeps(StartError("a"));
  keeps(EndOfFile("a"));
  keeps(Closed("a"));
  keeps(ShutDown("a"));
  keeps(TimedOut("a"));
  keeps(OwnerDied("a"));
  keeps(BrokenBarrier("a"));
  keeps(DecodeError("a"));
  keeps(NotSendable("a"));
  keeps(AuthenticationError("a"));
  keeps(TaskTimeout("a"));
  keeps(Cancelled("a"));
  keeps(SystemError({ENOENT, std::system_category()}, "open"));
  cross<SystemError>(SystemError({ENOENT, std::system_category()}, "open"),
                     [](const SystemError& arrived) { EXPECT_EQ(arrived.code().value(), ENOENT); });
  keeps(WorkerDied("a", 12, -9));
  cross<WorkerDied>(WorkerDied("a", 12, -9), [](const WorkerDied& arrived) {
    EXPECT_EQ(arrived.pid(), 12);
    EXPECT_EQ(arrived.exit_code(), -9);
  });
}

TEST(ExceptionTest, RegisteredTypesArrive) {
  keeps(ByText("a"));
  keeps(Decorated("a"));
  keeps(WithState(7));
  cross<WithState>(WithState(7), [](const WithState& arrived) { EXPECT_EQ(arrived.code(), 7); });
  cross<NotAStdException>(NotAStdException{7},
                          [](const NotAStdException& arrived) { EXPECT_EQ(arrived.code, 7); });
}

TEST(ExceptionTest, OthersArriveAsRemoteErrors) {
  cross<RemoteError>(Unknown("text"), [](const RemoteError& arrived) {
    EXPECT_EQ(arrived.type_name(), "tandem::(anonymous namespace)::Unknown");
    EXPECT_STREQ(arrived.what(), "text");
    EXPECT_EQ(arrived.remote_trace(), "here");
    EXPECT_EQ(remote_trace(arrived), "here");
    EXPECT_EQ(arrived.pid(), ::getpid());
  });
  cross<RemoteError>(42, [](const RemoteError& arrived) {
    EXPECT_EQ(arrived.type_name(), "int");
    EXPECT_STREQ(arrived.what(), "an exception of type int");
  });
}

TEST(ExceptionTest, OneThatCannotBeWrittenArrivesAsText) {
  cross<RemoteError>(Unwritable("text"), [](const RemoteError& arrived) {
    EXPECT_STREQ(arrived.what(), "text");
    EXPECT_EQ(arrived.type_name(), "tandem::(anonymous namespace)::Unwritable");
  });
}

TEST(ExceptionTest, CrossingTwiceKeepsTypeAndBothTraces) {
  for (const auto& thrown :
       {std::make_exception_ptr(std::out_of_range("a")), std::make_exception_ptr(ByText("a")),
        std::make_exception_ptr(Unknown("a"))}) {
    const std::exception_ptr twice = crossed(crossed(thrown, "inner"), "outer");
    try {
      std::rethrow_exception(twice);
    } catch (const std::exception& arrived) {
      EXPECT_STREQ(arrived.what(), "a");
      EXPECT_EQ(remote_trace(arrived), "inner\nouter");
    }
  }
  EXPECT_THROW(
      std::rethrow_exception(crossed(crossed(std::make_exception_ptr(std::out_of_range("a"))))),
      std::out_of_range);
  cross<RemoteError>(RemoteError("some::Type", "text", "there", 5), [](const RemoteError& arrived) {
    EXPECT_EQ(arrived.type_name(), "some::Type");
    EXPECT_EQ(arrived.pid(), 5);
    EXPECT_EQ(arrived.remote_trace(), "there\nhere");
  });
}

TEST(ExceptionTest, NestedExceptionsKeepTheOuterTypeAndAllTexts) {
  std::exception_ptr nested;
  try {
    try {
      throw std::out_of_range("inner");
    } catch (...) {
      std::throw_with_nested(std::invalid_argument("outer"));
    }
  } catch (...) {
    nested = std::current_exception();
  }
  try {
    std::rethrow_exception(crossed(nested));
  } catch (const std::invalid_argument& arrived) {
    EXPECT_STREQ(arrived.what(), "outer; caused by: inner");
  }
}

TEST(ExceptionTest, ATypeThatIsNotKnownHereArrivesAsRemoteError) {
  Buffer buffer;
  Encoder to(buffer, Route::process);
  for (const std::string text : {"4Gone", "Gone", "what", "trace"}) detail::encode(to, text);
  to.write_raw(std::int32_t{12});
  detail::encode(to, std::string("state of it"));
  Decoder from(buffer.bytes(), Route::process);
  try {
    std::rethrow_exception(detail::decode_exception(from));
  } catch (const RemoteError& arrived) {
    EXPECT_EQ(arrived.type_name(), "Gone");
    EXPECT_STREQ(arrived.what(), "what");
    EXPECT_EQ(arrived.pid(), 12);
  }
}

TEST(ExceptionTest, HostileBytesAreRefused) {
  std::mt19937_64 random(test::seed());
  const auto code = std::make_error_code(std::errc::no_such_file_or_directory);
  for (const auto& thrown :
       {std::make_exception_ptr(std::filesystem::filesystem_error("copy", "/a", "/b", code)),
        std::make_exception_ptr(std::regex_error(std::regex_constants::error_brack)),
        std::make_exception_ptr(WithState(3)), std::make_exception_ptr(Unknown("text"))}) {
    Buffer buffer;
    Encoder to(buffer, Route::process);
    detail::encode_exception(to, thrown, "here");
    for (std::size_t n = 0; n < buffer.size(); ++n) {
      Decoder from(buffer.bytes().first(n), Route::process);
      EXPECT_THROW(static_cast<void>(detail::decode_exception(from)), DecodeError) << n;
    }
    for (int round = 0; round < 2000; ++round) {
      std::vector<std::byte> bytes(buffer.bytes().begin(), buffer.bytes().end());
      for (int i = 0; i < 2; ++i) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
      Decoder from(bytes, Route::process);
      try {
        EXPECT_NE(detail::decode_exception(from), nullptr);
      } catch (const DecodeError&) {
        continue;
      }
    }
  }
}

}  // namespace
}  // namespace tandem
