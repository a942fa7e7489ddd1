/// \file
/// The archives behind every message: values to bytes and back.
///
/// A value's encoding has no header and no padding between values; integers are as in memory. What
/// a type may be, and how each kind is laid out, is in kind.hpp and codec.hpp. Both are cereal
/// archives: the functions a user wrote for cereal are called with them.
#pragma once

#include <cereal/cereal.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/detail/buffer.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/detail/fd.hpp"
#include "tandem/detail/kind.hpp"
#include "tandem/detail/message.hpp"
#include "tandem/detail/raw.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

/// Where bytes are going or came from; a handle decides by it whether it may come along.
enum class Route : std::uint8_t { process, connection, queue, manager, socket };

[[noreturn]] TANDEM_EXPORT void throw_decode_error(std::string_view what);
[[noreturn]] TANDEM_EXPORT void throw_not_sendable(std::string_view what);

/// How deep values may be nested through user types and pointers, so that neither a hostile message
/// nor a very long linked list can overflow the stack.
inline constexpr std::size_t kDeepest = 1000;

/// Counts the levels of nesting while it lives.
class Nesting {
 public:
  explicit Nesting(std::size_t& depth) noexcept : depth_(depth) { ++depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  ~Nesting() { --depth_; }
  [[nodiscard]] bool too_deep() const noexcept { return depth_ > kDeepest; }

 private:
  std::size_t& depth_;
};

template <class T>
void encode_value(Encoder& to, const T& value);
template <class T>
[[nodiscard]] T decode_value(Decoder& from);
template <class T>
void decode_into(Decoder& from, T& value);

/// Writes values to the end of a Buffer. What it has written when an exception leaves it is the
/// caller's to drop.
// cereal::LoadAndConstruct is an empty base that puts namespace cereal where overloads are looked
// up: users write functions for others' types there.
class TANDEM_EXPORT Encoder final : public cereal::detail::OutputArchiveBase,
                                    public cereal::LoadAndConstruct<void> {
 public:
  using is_loading = std::false_type;
  using is_saving = std::true_type;

  /// \param descriptors where handles put theirs; null where none can travel
  /// \param blocks where large runs are put that stay where they are; null where all is copied
  explicit Encoder(Buffer& out, Route route, std::vector<Fd>* descriptors = nullptr,
                   std::vector<Block>* blocks = nullptr) noexcept
      : out_(out), descriptors_(descriptors), blocks_(blocks), route_(route) {}
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
  ~Encoder() noexcept override = default;

  [[nodiscard]] Route route() const noexcept { return route_; }
  [[nodiscard]] Buffer& buffer() noexcept { return out_; }
  [[nodiscard]] std::vector<Fd>* descriptors() noexcept { return descriptors_; }

  void write(const void* from, std::size_t n) { out_.append(from, n); }
  /// What is part of the value that is encoded, and so stays there as long as that does.
  void write_lasting(const void* from, std::size_t n) {
    if (blocks_ != nullptr && n >= Block::kLeastBytes) {
      blocks_->push_back({out_.size(), {static_cast<const std::byte*>(from), n}});
      in_blocks_ += n;
    } else {
      write(from, n);
    }
  }
  /// Bytes of the message so far, blocks included.
  [[nodiscard]] std::size_t written() const noexcept { return out_.size() + in_blocks_; }
  /// While it lives nothing counts as lasting: users' functions may encode what they have just made.
  class Passing {
   public:
    explicit Passing(Encoder& to) noexcept : to_(to), blocks_(std::exchange(to.blocks_, nullptr)) {}
    Passing(const Passing&) = delete;
    Passing& operator=(const Passing&) = delete;
    ~Passing() { to_.blocks_ = blocks_; }

   private:
    Encoder& to_;
    std::vector<Block>* const blocks_;
  };
  template <class Raw>
  void write_raw(const Raw& value) {
    static_assert(std::is_trivially_copyable_v<Raw>);
    std::memcpy(out_.extend(sizeof(Raw)), static_cast<const void*>(std::addressof(value)),
                sizeof(Raw));
  }
  void write_size(std::size_t n) { write_raw(static_cast<std::uint64_t>(n)); }

  /// Takes a descriptor along. \returns its index among those of the message
  /// \throws NotSendable where descriptors cannot travel
  [[nodiscard]] std::uint32_t attach(Fd fd);

  /// What shall happen once the message has been sent: a handle that has one owner lets go only
  /// then.
  void on_success(std::function<void()> step);
  /// By who sends the message, after that succeeded: takes the steps. \returns whether any
  bool shipped();

  /// The ids of all manager objects that are encoded from now on are added to the log.
  void set_reference_log(std::vector<std::uint64_t>* log) noexcept { references_ = log; }
  void note_reference(std::uint64_t object_id) {
    if (references_ != nullptr) references_->push_back(object_id);
  }

  // What cereal's users call.
  template <class... T>
  Encoder& operator()(const T&... values) {
    process(values...);
    return *this;
  }
  template <class T>
  Encoder& operator&(const T& value) {
    process(value);
    return *this;
  }
  template <class T>
  Encoder& operator<<(const T& value) {
    process(value);
    return *this;
  }
  template <class... T>
  void process(const T&... values) {
    (encode_value(*this, values), ...);
  }
  void saveBinary(const void* from, std::size_t n) { write(from, n); }
  void serializeDeferments();
  void defer(std::function<void()> work);

  /// \returns the number of this pointee in the message; with the highest bit set when it is new
  ///   and must follow
  [[nodiscard]] std::uint32_t register_pointee(std::uint32_t type,
                                               std::shared_ptr<const void> pointee);
  /// True the first time a virtual base at this address is met.
  [[nodiscard]] bool first_visit(const void* base);
  [[nodiscard]] std::size_t& depth() noexcept { return depth_; }

 private:
  struct Rarely;  // what few values need
  struct TANDEM_EXPORT DeleteRarely {
    void operator()(Rarely*) const noexcept;
  };
  Rarely& rarely();

  Buffer& out_;
  std::vector<Fd>* descriptors_;
  std::vector<Block>* blocks_;
  std::size_t in_blocks_ = 0;
  std::vector<std::uint64_t>* references_ = nullptr;
  std::unique_ptr<Rarely, DeleteRarely> rarely_;
  std::size_t depth_ = 0;
  Route route_;
};

/// Reads values from bytes that may be anything: every read is checked, and a length is believed
/// only as far as there are bytes for it. Those may be still to come: memory for them is touched
/// only as they do, and before a user's function reads, all have come.
class TANDEM_EXPORT Decoder final : public cereal::detail::InputArchiveBase,
                                    public cereal::LoadAndConstruct<void> {
 public:
  using is_loading = std::true_type;
  using is_saving = std::false_type;

  /// \param bytes must outlive the decoder
  explicit Decoder(std::span<const std::byte> bytes, Route route,
                   std::vector<Fd>* descriptors = nullptr) noexcept
      : at_(bytes.data()), here_(bytes.size()), descriptors_(descriptors), route_(route) {}
  /// \param flow what brings all of the bytes; let go of when they have come
  explicit Decoder(InflowHandle flow, std::size_t bytes, Route route,
                   std::vector<Fd>* descriptors = nullptr) noexcept
      : to_come_(bytes), flow_(std::move(flow)), descriptors_(descriptors), route_(route) {}
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder() noexcept override = default;

  [[nodiscard]] Route route() const noexcept { return route_; }
  [[nodiscard]] std::vector<Fd>* descriptors() noexcept { return descriptors_; }
  [[nodiscard]] std::size_t left() const noexcept { return here_ + to_come_; }
  /// How many of those have come and lie in one piece.
  [[nodiscard]] std::size_t here() const noexcept { return here_; }
  /// Waits until all that is left is here, and lets go of what it came through.
  void await_all() {
    if (flow_ != nullptr) [[unlikely]] {
      gather(left());
    }
  }
  /// Null once all has come.
  [[nodiscard]] const Inflow* flow() const noexcept { return flow_.get(); }

  /// \returns the next n bytes, in place; what comes while it is read, stays only until more is
  ///   read \throws DecodeError when there are fewer
  [[nodiscard]] std::span<const std::byte> take(std::size_t n) {
    if (n > here_) [[unlikely]] {
      gather(n);
    }
    const std::byte* from = at_;
    at_ += n;
    here_ -= n;
    return {from, n};
  }
  void read(void* to, std::size_t n) {
    const std::span<const std::byte> bytes = take(n);
    if (n != 0) std::memcpy(to, bytes.data(), n);
  }
  /// Passes the next n bytes on, in pieces as they come. \throws DecodeError when there are fewer
  template <class F>
  void visit(std::size_t n, F f) {
    if (n > left()) gather(n);
    while (n != 0) {
      if (here_ == 0) advance();
      const std::span<const std::byte> piece = take(n < here_ ? n : here_);
      n -= piece.size();
      f(piece);
    }
  }
  void skip(std::size_t n) {
    visit(n, [](std::span<const std::byte>) {});
  }
  template <class Raw>
  [[nodiscard]] Raw read_raw() {
    static_assert(std::is_trivially_copyable_v<Raw>);
    union Slot {  // Raw may have no default constructor
      Raw value;
      Slot() {}  // NOLINT(modernize-use-equals-default)
    } slot;
    read(static_cast<void*>(std::addressof(slot.value)), sizeof(Raw));
    mend(slot.value);
    return slot.value;
  }
  /// A number of elements that take at least `least` (not zero) bytes each.
  /// \throws DecodeError when there are not bytes enough for them
  [[nodiscard]] std::size_t read_size(std::size_t least) {
    const auto n = read_raw<std::uint64_t>();
    if (n > left() / least) throw_decode_error("a length is larger than the bytes that are left");
    return static_cast<std::size_t>(n);
  }

  /// \throws DecodeError when there is no such descriptor or it was taken
  [[nodiscard]] Fd take_descriptor(std::uint32_t index);
  /// Lets go of what the bytes came through. \throws DecodeError when bytes are left over
  void expect_end() {
    if (left() != 0) throw_decode_error("bytes are left over after the value");
    let_go();
  }
  /// Nothing that has not come will be read.
  void let_go() noexcept { flow_.reset(); }

  // What cereal's users call.
  template <class... T>
  Decoder& operator()(T&&... values) {
    process(values...);
    return *this;
  }
  template <class T>
  Decoder& operator&(T&& value) {
    process(value);
    return *this;
  }
  template <class T>
  Decoder& operator>>(T&& value) {
    process(value);
    return *this;
  }
  template <class... T>
  void process(T&&... values) {
    (decode_into(*this, values), ...);
  }
  void loadBinary(void* to, std::size_t n) { read(to, n); }
  void serializeDeferments();
  void defer(std::function<void()> work);

  /// Pointees by their number; `type` guards against bytes that mix them up.
  void register_pointee(std::uint32_t number, std::uint32_t type, std::shared_ptr<void> pointee);
  [[nodiscard]] std::shared_ptr<void> find_pointee(std::uint32_t number, std::uint32_t type);
  [[nodiscard]] bool first_visit(const void* base);
  [[nodiscard]] std::size_t& depth() noexcept { return depth_; }

 private:
  struct Rarely;
  struct TANDEM_EXPORT DeleteRarely {
    void operator()(Rarely*) const noexcept;
  };
  Rarely& rarely();
  /// Puts the next n bytes in one piece that stays where it is, until more are gathered.
  /// \throws DecodeError when so many are not left
  void gather(std::size_t n);
  /// To the next piece, when nothing is here and more is to come.
  void advance();

  const std::byte* at_ = nullptr;
  std::size_t here_ = 0;
  std::size_t to_come_ = 0;
  InflowHandle flow_;
  std::vector<Fd>* descriptors_;
  std::unique_ptr<Rarely, DeleteRarely> rarely_;
  std::size_t depth_ = 0;
  Route route_;
};

}  // namespace tandem::detail

CEREAL_SETUP_ARCHIVE_TRAITS(tandem::detail::Decoder, tandem::detail::Encoder)
