#include "tandem/detail/exception.hpp"

#include <cxxabi.h>
#include <unistd.h>

#include <any>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <regex>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include "base/lazy.hpp"
#include "base/text.hpp"
#include "tandem/sendable.hpp"

namespace tandem {
namespace detail {
namespace {

/// Which type is registered under which name. Lock-free to read, since a fork may come while
/// another thread registers; entries are never removed.
struct Entry {
  const std::type_info* type;
  const std::type_info* remote_type;  // of Remote<E>; null where there is none
  ExceptionCodec codec;
  const Entry* next = nullptr;
};

constinit std::atomic<const Entry*> first_entry{nullptr};

template <class E>
[[nodiscard]] ExceptionCodec codec_without_text() {
  return {[](const std::exception_ptr&, Encoder&) {},
          [](Decoder&, ExceptionText text) { return keep_remote(E(), std::move(text)); }};
}

/// Those that need no registration by users.
class Known {
 public:
  Known();
  [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }

 private:
  template <class E>
  void add(ExceptionCodec codec) {
    entries_.push_back({&typeid(E), remote_type<E>(), codec});
  }
  template <class... E>
  void add_by_text() {
    (add<E>(codec_by_text<E>()), ...);
  }
  template <class... E>
  void add_without_text() {
    (add<E>(codec_without_text<E>()), ...);
  }

  std::vector<Entry> entries_;
};

constinit base::Lazy<Known> known_types;

/// An error code crosses as its category's name; a category that this process does not know fails.
void save_code(Encoder& to, const std::error_code& code) {
  encode_value(to, std::string(code.category().name()));
  to.write_raw(static_cast<std::int32_t>(code.value()));
}

[[nodiscard]] const std::error_category* find_category(std::string_view name) {
  for (const std::error_category* known : {&std::generic_category(), &std::system_category(),
                                           &std::iostream_category(), &std::future_category()}) {
    if (name == known->name()) return known;
  }
  return nullptr;
}

[[nodiscard]] std::error_code load_code(Decoder& from) {
  const auto name = decode_value<std::string>(from);
  const auto value = from.read_raw<std::int32_t>();
  const std::error_category* category = find_category(name);
  if (category == nullptr) throw_decode_error("an error code is of an unknown category");
  return {value, *category};
}

/// For every E whose `code()` is all it needs beside its text.
template <class E, class Make>
[[nodiscard]] ExceptionCodec codec_with_code(Make) {
  return {[](const std::exception_ptr& error, Encoder& to) {
            with_exception<E>(error, [&to](const E& caught) {
              if (find_category(caught.code().category().name()) != &caught.code().category()) {
                throw_not_sendable("an error code of a category that others do not know");
              }
              save_code(to, caught.code());
            });
          },
          [](Decoder& from, ExceptionText text) {
            const std::error_code code = load_code(from);
            E error = Make()(code, text.what);
            return keep_remote(std::move(error), std::move(text));
          }};
}

[[nodiscard]] ExceptionCodec codec_of_filesystem_error() {
  using E = std::filesystem::filesystem_error;
  return {[](const std::exception_ptr& error, Encoder& to) {
            with_exception<E>(error, [&to](const E& caught) {
              save_code(to, caught.code());
              encode_value(to, caught.path1());
              encode_value(to, caught.path2());
            });
          },
          [](Decoder& from, ExceptionText text) {
            const std::error_code code = load_code(from);
            auto path1 = decode_value<std::filesystem::path>(from);
            auto path2 = decode_value<std::filesystem::path>(from);
            E error(text.what, path1, path2, code);
            return keep_remote(std::move(error), std::move(text));
          }};
}

[[nodiscard]] ExceptionCodec codec_of_regex_error() {
  using E = std::regex_error;
  return {[](const std::exception_ptr& error, Encoder& to) {
            with_exception<E>(error, [&to](const E& caught) {
              to.write_raw(static_cast<std::int32_t>(caught.code()));
            });
          },
          [](Decoder& from, ExceptionText text) {
            const auto code = from.read_raw<std::int32_t>();
            if (code < 0 || code > std::regex_constants::_S_null) {
              throw_decode_error("a regular expression's error code is out of range");
            }
            return keep_remote(E(static_cast<std::regex_constants::error_type>(code)),
                               std::move(text));
          }};
}

[[nodiscard]] ExceptionCodec codec_of_worker_died() {
  return {[](const std::exception_ptr& error, Encoder& to) {
            with_exception<WorkerDied>(error, [&to](const WorkerDied& caught) {
              to.write_raw(static_cast<std::int32_t>(caught.pid()));
              to.write_raw(static_cast<std::int32_t>(caught.exit_code()));
            });
          },
          [](Decoder& from, ExceptionText text) {
            const auto pid = from.read_raw<std::int32_t>();
            const auto code = from.read_raw<std::int32_t>();
            WorkerDied error(text.what, pid, code);
            return keep_remote(std::move(error), std::move(text));
          }};
}

Known::Known() {
  add_by_text<std::logic_error, std::domain_error, std::invalid_argument, std::length_error,
              std::out_of_range, std::runtime_error, std::range_error, std::overflow_error,
              std::underflow_error>();
  add_without_text<std::exception, std::bad_exception, std::bad_alloc, std::bad_array_new_length,
                   std::bad_cast, std::bad_typeid, std::bad_optional_access,
                   std::bad_variant_access, std::bad_any_cast, std::bad_function_call,
                   std::bad_weak_ptr>();
  add<std::system_error>(
      codec_with_code<std::system_error>([](const std::error_code& code, const std::string& what) {
        return std::system_error(code, what);
      }));
  add<std::ios_base::failure>(codec_with_code<std::ios_base::failure>(
      [](const std::error_code& code, const std::string& what) {
        return std::ios_base::failure(what, code);
      }));
  add<std::future_error>(
      codec_with_code<std::future_error>([](const std::error_code& code, const std::string&) {
        return std::future_error(static_cast<std::future_errc>(code.value()));
      }));
  add<std::filesystem::filesystem_error>(codec_of_filesystem_error());
  add<std::regex_error>(codec_of_regex_error());

  add_by_text<Error, StartError, EndOfFile, Closed, ShutDown, TimedOut, OwnerDied, BrokenBarrier,
              DecodeError, NotSendable, AuthenticationError, TaskTimeout, Cancelled>();
  add<SystemError>(
      codec_with_code<SystemError>([](const std::error_code& code, const std::string& what) {
        return SystemError(code, what);
      }));
  add<WorkerDied>(codec_of_worker_died());
}

/// The first that `is_it` says yes to; the user's before those that are known.
template <class Predicate>
[[nodiscard]] const Entry* find(Predicate is_it) {
  const Entry* entry = first_entry.load(std::memory_order_acquire);
  for (; entry != nullptr; entry = entry->next) {
    if (is_it(*entry)) return entry;
  }
  for (const Entry& one : known_types->entries()) {
    if (is_it(one)) return &one;
  }
  return nullptr;
}

[[nodiscard]] const Entry* find_type(const std::type_info& type) {
  return find([&](const Entry& entry) {
    return *entry.type == type || (entry.remote_type != nullptr && *entry.remote_type == type);
  });
}

[[nodiscard]] const Entry* find_name(std::string_view name) {
  return find([&](const Entry& entry) { return name == entry.type->name(); });
}

[[nodiscard]] std::string demangle(const char* name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : name;
}

/// std::throw_with_nested throws a class of its own, whose first base is the user's type.
[[nodiscard]] const std::type_info* first_base(const std::type_info& type) {
  if (const auto* several = dynamic_cast<const abi::__vmi_class_type_info*>(&type)) {
    return several->__base_count > 0 ? several->__base_info[0].__base_type : nullptr;
  }
  return nullptr;
}

/// The text of an exception and of those nested in it.
[[nodiscard]] std::string full_text(const std::exception& error) {
  std::string text = error.what();
  const auto* nested = dynamic_cast<const std::nested_exception*>(&error);
  if (nested == nullptr || nested->nested_ptr() == nullptr) return text;
  try {
    nested->rethrow_nested();
  } catch (const std::exception& inner) {
    return concat(text, "; caused by: ", full_text(inner));
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    return concat(text, "; caused by: ", type != nullptr ? demangle(type->name()) : "an exception");
  }
}

/// What is known of an exception before its type is looked up.
struct Seen {
  const std::type_info* type = nullptr;
  const Entry* entry = nullptr;
  std::string type_name;
  ExceptionText text;
};

[[nodiscard]] Seen look_at(const std::exception_ptr& error, std::string_view where) {
  Seen seen;
  seen.text.pid = ::getpid();
  seen.text.trace = where;
  try {
    std::rethrow_exception(error);
  } catch (const RemoteError& caught) {
    // It goes on as what it was where it was thrown first.
    seen.type_name = caught.type_name();
    seen.text = {caught.what(), concat(caught.remote_trace(), "\n", where), caught.pid()};
    return seen;
  } catch (const std::exception& caught) {
    seen.type = &typeid(caught);
    seen.text.what = full_text(caught);
    if (const auto* remote = dynamic_cast<const FromRemote*>(&caught)) {
      seen.text.trace = concat(remote->remote_trace(), "\n", where);
    }
    seen.entry = find_type(*seen.type);
    if (seen.entry == nullptr && dynamic_cast<const std::nested_exception*>(&caught) != nullptr) {
      if (const std::type_info* base = first_base(*seen.type)) seen.entry = find_type(*base);
    }
  } catch (...) {
    seen.type = abi::__cxa_current_exception_type();
    seen.entry = seen.type != nullptr ? find_type(*seen.type) : nullptr;
    seen.text.what = concat("an exception of type ",
                            seen.type != nullptr ? demangle(seen.type->name()) : "unknown");
  }
  if (seen.entry != nullptr) {
    seen.type = seen.entry->type;
  }
  seen.type_name = seen.type != nullptr ? demangle(seen.type->name()) : "unknown";
  return seen;
}

}  // namespace

void add_exception_codec(const std::type_info& type, const std::type_info* remote_type,
                         ExceptionCodec codec) {
  const Entry* next = first_entry.load(std::memory_order_relaxed);
  auto* entry = new Entry{&type, remote_type, codec, next};
  while (!first_entry.compare_exchange_weak(entry->next, entry, std::memory_order_release,
                                            std::memory_order_relaxed)) {
  }
}

// Layout: name of the type as the linker knows it (empty: unknown to all), its name for people,
// what, trace, pid; then a run of bytes with what the type itself wrote.
void encode_exception(Encoder& to, std::exception_ptr error, std::string_view where) {
  const Encoder::Passing passing(to);
  Seen seen = look_at(error, where);
  Buffer own;
  if (seen.entry != nullptr) {
    const std::size_t descriptors = to.descriptors() != nullptr ? to.descriptors()->size() : 0;
    try {
      Encoder own_encoder(own, to.route(), to.descriptors());
      seen.entry->codec.save(error, own_encoder);
    } catch (const std::exception&) {
      // It cannot be written, so it crosses as one that is not known: with its text.
      seen.entry = nullptr;
      own.clear();
      if (to.descriptors() != nullptr) to.descriptors()->resize(descriptors);
    }
  }
  encode_value(to, std::string(seen.entry != nullptr ? seen.entry->type->name() : ""));
  encode_value(to, seen.type_name);
  encode_value(to, seen.text.what);
  encode_value(to, seen.text.trace);
  to.write_raw(static_cast<std::int32_t>(seen.text.pid));
  to.write_size(own.size());
  to.write(own.data(), own.size());
}

std::exception_ptr decode_exception(Decoder& from) {
  const auto name = decode_value<std::string>(from);
  auto type_name = decode_value<std::string>(from);
  ExceptionText text;
  text.what = decode_value<std::string>(from);
  text.trace = decode_value<std::string>(from);
  text.pid = from.read_raw<std::int32_t>();
  const std::span<const std::byte> own = from.take(from.read_size(1));
  const Entry* entry = name.empty() ? nullptr : find_name(name);
  if (entry == nullptr) {
    return throw_and_keep(
        RemoteError(std::move(type_name), text.what, std::move(text.trace), text.pid));
  }
  Decoder own_decoder(own, from.route(), from.descriptors());
  std::exception_ptr error = entry->codec.load(own_decoder, std::move(text));
  own_decoder.expect_end();
  return error;
}

}  // namespace detail

std::string remote_trace(const std::exception& error) {
  if (const auto* remote = dynamic_cast<const detail::FromRemote*>(&error)) {
    return remote->remote_trace();
  }
  if (const auto* unknown = dynamic_cast<const RemoteError*>(&error)) {
    return unknown->remote_trace();
  }
  return {};
}

}  // namespace tandem
