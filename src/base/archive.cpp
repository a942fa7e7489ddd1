#include "tandem/detail/archive.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/text.hpp"
#include "tandem/detail/codec.hpp"

namespace tandem::detail {
namespace {

constexpr std::uint32_t kNew = 0x80000000u;

}  // namespace

void throw_decode_error(std::string_view what) { throw DecodeError(std::string(what)); }
void throw_not_sendable(std::string_view what) { throw NotSendable(std::string(what)); }

void throw_wrong_type(std::string_view call_and_object, std::string_view wanted) {
  throw DecodeError(concat(call_and_object, ": the message is not a ", wanted,
                           "; both sides must name the same type"));
}

void throw_wrong_size(std::string_view call_and_object, std::string_view wanted, std::size_t size) {
  throw DecodeError(concat(call_and_object, ": ", std::to_string(size), " bytes are not a ", wanted,
                           "; both sides must be built with the same definition"));
}

void rethrow_decode_error(std::string_view call_and_object, const DecodeError& error) {
  throw DecodeError(concat(call_and_object, ": ", error.what()));
}

struct Encoder::Rarely {
  // An object and its first member share an address, so the type is part of the key.
  std::map<std::pair<const void*, std::uint32_t>, std::uint32_t> numbers;
  // Kept alive, or another pointee could get the address of one that is gone.
  std::vector<std::shared_ptr<const void>> pointees;
  std::unordered_set<const void*> bases;
  std::vector<std::function<void()>> deferred;
  std::vector<std::function<void()>> on_success;
};

void Encoder::DeleteRarely::operator()(Rarely* rarely) const noexcept { delete rarely; }

Encoder::Rarely& Encoder::rarely() {
  if (!rarely_) rarely_.reset(new Rarely);
  return *rarely_;
}

std::uint32_t Encoder::attach(Fd fd) {
  if (descriptors_ == nullptr) {
    throw_not_sendable("a descriptor cannot travel this way; send it over a Connection");
  }
  descriptors_->push_back(std::move(fd));
  return static_cast<std::uint32_t>(descriptors_->size() - 1);
}

void Encoder::on_success(std::function<void()> step) {
  rarely().on_success.push_back(std::move(step));
}

bool Encoder::shipped() {
  if (!rarely_) return false;
  const auto steps = std::exchange(rarely_->on_success, {});
  for (const auto& step : steps) step();
  return !steps.empty();
}

void Encoder::serializeDeferments() {
  if (!rarely_) return;
  // Deferred work may defer more.
  for (std::size_t i = 0; i < rarely_->deferred.size(); ++i) {
    const std::function<void()> work = std::move(rarely_->deferred[i]);
    work();
  }
  rarely_->deferred.clear();
}

void Encoder::defer(std::function<void()> work) { rarely().deferred.push_back(std::move(work)); }

std::uint32_t Encoder::register_pointee(std::uint32_t type, std::shared_ptr<const void> pointee) {
  Rarely& state = rarely();
  const auto next = static_cast<std::uint32_t>(state.numbers.size() + 1);
  const auto [at, is_new] = state.numbers.emplace(std::pair(pointee.get(), type), next);
  if (!is_new) return at->second;
  state.pointees.push_back(std::move(pointee));
  return next | kNew;
}

bool Encoder::first_visit(const void* base) { return rarely().bases.insert(base).second; }

struct Decoder::Rarely {
  struct Pointee {
    std::uint32_t type;
    std::shared_ptr<void> value;
  };
  std::unordered_map<std::uint32_t, Pointee> pointees;
  std::unordered_set<const void*> bases;
  std::vector<std::function<void()>> deferred;
  Buffer gathered;                      // bytes that came in more than one piece
  std::span<const std::byte> behind{};  // what is here of the piece after those; of `to_come_`
};

void Decoder::DeleteRarely::operator()(Rarely* rarely) const noexcept { delete rarely; }

Decoder::Rarely& Decoder::rarely() {
  if (!rarely_) rarely_.reset(new Rarely);
  return *rarely_;
}

void Decoder::advance() {
  std::span<const std::byte> piece = std::exchange(rarely().behind, {});
  if (piece.empty()) piece = flow_->next();
  if (piece.size() > to_come_) throw_decode_error("more bytes came than were to come");
  at_ = piece.data();
  here_ = piece.size();
  to_come_ -= piece.size();
}

void Decoder::gather(std::size_t n) {
  if (n > left()) throw_decode_error("the bytes end in the middle of a value");
  Buffer all;
  std::byte* const to = all.assign(n);
  for (std::size_t got = 0;;) {
    const std::size_t more = std::min(n - got, here_);
    if (more != 0) std::memcpy(to + got, at_, more);
    at_ += more;
    here_ -= more;
    got += more;
    if (got == n) break;
    advance();
  }
  rarely().behind = {at_, here_};
  to_come_ += here_;
  if (to_come_ == 0) flow_.reset();
  rarely_->gathered = std::move(all);
  at_ = rarely_->gathered.data();
  here_ = n;
}

Fd Decoder::take_descriptor(std::uint32_t index) {
  if (descriptors_ == nullptr || index >= descriptors_->size() || !(*descriptors_)[index]) {
    throw_decode_error("a descriptor that the value needs did not come with it");
  }
  return std::move((*descriptors_)[index]);
}

void Decoder::serializeDeferments() {
  if (!rarely_) return;
  for (std::size_t i = 0; i < rarely_->deferred.size(); ++i) {
    const std::function<void()> work = std::move(rarely_->deferred[i]);
    work();
  }
  rarely_->deferred.clear();
}

void Decoder::defer(std::function<void()> work) { rarely().deferred.push_back(std::move(work)); }

void Decoder::register_pointee(std::uint32_t number, std::uint32_t type,
                               std::shared_ptr<void> pointee) {
  if (!rarely().pointees.emplace(number, Rarely::Pointee{type, std::move(pointee)}).second) {
    throw_decode_error("a shared object comes twice");
  }
}

std::shared_ptr<void> Decoder::find_pointee(std::uint32_t number, std::uint32_t type) {
  const auto at = rarely().pointees.find(number);
  if (at == rarely_->pointees.end() || at->second.type != type) {
    throw_decode_error("a shared object is named before it came, or contains itself");
  }
  return at->second.value;
}

bool Decoder::first_visit(const void* base) { return rarely().bases.insert(base).second; }

}  // namespace tandem::detail
