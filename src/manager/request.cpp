// Requests, replies and references, as the proxies see them.
#include <atomic>
#include <cstring>
#include <stdexcept>

#include "base/text.hpp"
#include "manager/client.hpp"
#include "manager/protocol.hpp"
#include "tandem/detail/exception.hpp"
#include "tandem/detail/manager_proxy.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

using manager_protocol::kind_name;
using manager_protocol::PieceHeader;
using manager_protocol::Reader;
using manager_protocol::ReplyHeader;
using manager_protocol::ReplyStatus;
using manager_protocol::RequestHeader;

namespace {

/// The manager into whose container this thread is encoding.
thread_local const ManagerClient* destination = nullptr;

constexpr std::size_t kReplyFront = sizeof(PieceHeader) + sizeof(ReplyHeader);

}  // namespace

// --- ManagerObject ---

std::string ManagerObject::description() const {
  return held_ == nullptr ? "a proxy that names nothing" : held_->description();
}

std::string ManagerObject::Held::description() const {
  return concat(kind_name(kind), " ", std::to_string(id), " of ", client->name());
}

bool ManagerObject::operator==(const ManagerObject& other) const noexcept {
  if (held_ == nullptr || other.held_ == nullptr) return held_ == other.held_;
  return held_->id == other.held_->id && held_->client == other.held_->client;
}

void ManagerObject::save(Encoder& to) const {
  if (held_ == nullptr) throw Closed("a proxy that names nothing cannot be sent");
  std::uint64_t token = 0;
  if (to.route() == Route::manager) {
    if (destination != held_->client.get() && !ManagerClient::inside_server()) {
      throw NotSendable(concat(description(), " cannot be stored in another manager"));
    }
    to.note_reference(held_->id);
  } else {
    token = held_->client->pin(held_->id);
  }
  const std::string& address = held_->client->address();
  to.write_raw(held_->kind);
  to.write_raw(held_->type);
  to.write_raw(static_cast<std::int32_t>(held_->client->server_pid()));
  to.write_raw(held_->id);
  to.write_raw(token);
  to.write_raw(static_cast<std::uint8_t>(address.size()));
  to.write(address.data(), address.size());
}

ManagerObject ManagerObject::load(Decoder& from, ObjectKind kind, std::uint32_t type) {
  const auto its_kind = from.read_raw<ObjectKind>();
  const auto its_type = from.read_raw<std::uint32_t>();
  const auto pid = from.read_raw<std::int32_t>();
  const auto id = from.read_raw<std::uint64_t>();
  const auto token = from.read_raw<std::uint64_t>();
  const auto length = from.read_raw<std::uint8_t>();
  const auto text = from.take(length);
  const std::string address(reinterpret_cast<const char*>(text.data()), text.size());
  if (its_kind != kind || its_type != type || !manager_protocol::is_address(address)) {
    throw DecodeError("a proxy of another kind or type of object");
  }
  return ManagerClient::to(address, pid)->reference(id, token, kind, type);
}

void throw_out_of_range(std::string_view call, const ManagerObject& object, std::string_view what) {
  throw std::out_of_range(concat(call, " on ", object.description(), ": ", what));
}

// --- ManagerReply ---

ManagerReply::ManagerReply(std::shared_ptr<ManagerClient> client, Buffer bytes)
    : client_(std::move(client)), bytes_(std::move(bytes)) {
  Reader from(bytes_.bytes());
  static_cast<void>(from.raw<PieceHeader>());
  const auto header = from.raw<ReplyHeader>();
  std::uint32_t grants = 0;
  if (from.left() < sizeof grants) throw DecodeError("a reply without an end");
  end_ = bytes_.size() - sizeof grants;
  std::memcpy(&grants, bytes_.data() + end_, sizeof grants);
  if (grants > (end_ - kReplyFront) / sizeof(std::uint64_t)) {
    throw DecodeError("a reply with fewer references than it says");
  }
  std::vector<std::uint64_t> granted(grants);
  end_ -= grants * sizeof(std::uint64_t);
  if (grants > 0) {
    std::memcpy(granted.data(), bytes_.data() + end_, grants * sizeof(std::uint64_t));
    client_->take_grants(granted);
  }
  granted_ = std::move(granted);
  at_ = kReplyFront;
  status_ = static_cast<std::uint32_t>(header.status);
}

ManagerReply::ManagerReply(ManagerReply&& other) noexcept
    : client_(std::move(other.client_)),
      bytes_(std::move(other.bytes_)),
      at_(other.at_),
      end_(other.end_),
      granted_(std::exchange(other.granted_, {})),
      status_(other.status_) {}

ManagerReply::~ManagerReply() {
  for (const std::uint64_t id : granted_) client_->release(id);
}

bool ManagerReply::found() const noexcept {
  return status_ == static_cast<std::uint32_t>(ReplyStatus::found);
}

void ManagerReply::rethrow() const {
  if (status_ != static_cast<std::uint32_t>(ReplyStatus::raised)) return;
  Decoder from(bytes_.bytes().subspan(at_, end_ - at_), Route::manager);
  std::rethrow_exception(decode_exception(from));
}

void ManagerReply::rewind() noexcept { at_ = kReplyFront; }

void ManagerReply::read(void* into, std::size_t n) {
  if (n > end_ - at_) throw DecodeError("a reply shorter than its result");
  std::memcpy(into, bytes_.data() + at_, n);
  at_ += n;
}

std::span<const std::byte> ManagerReply::take_value() {
  const auto n = raw<std::uint64_t>();
  if (n > end_ - at_) throw DecodeError("a reply shorter than its result");
  const auto value = bytes_.bytes().subspan(at_, static_cast<std::size_t>(n));
  at_ += value.size();
  return value;
}

std::size_t ManagerReply::plausible(std::uint64_t count) const {
  if (count > (end_ - at_) / sizeof(std::uint64_t)) {
    throw DecodeError("a reply with fewer values than it says");
  }
  return static_cast<std::size_t>(count);
}

ManagerObject ManagerReply::object(ObjectKind kind, std::uint32_t type) {
  return client_->reference(raw<std::uint64_t>(), 0, kind, type);
}

// --- ManagerRequest ---

ManagerRequest::ManagerRequest(const ManagerObject& object, ManagerOp op, std::string_view call)
    : object_(object.held_), call_(call) {
  if (object_ == nullptr) throw Closed(concat(call, ": the proxy names nothing"));
  client_ = object_->client;
  begin(op, object_->id);
}

ManagerRequest::ManagerRequest(std::shared_ptr<ManagerClient> client, ManagerOp op,
                               std::string_view call)
    : client_(std::move(client)), call_(call) {
  begin(op, 0);
}

void ManagerRequest::begin(ManagerOp op, std::uint64_t id) {
  raw(PieceHeader());
  raw(RequestHeader{.op = static_cast<std::uint16_t>(op), .object = id});
}

ManagerRequest& ManagerRequest::text(std::string_view s) {
  raw(std::uint64_t{s.size()});
  bytes_.append(s.data(), s.size());
  return *this;
}

ManagerRequest& ManagerRequest::id_of(const ManagerObject& other) {
  if (other.held_ == nullptr) throw Closed(concat(call_, ": the proxy names nothing"));
  if (other.held_->client != client_) {
    throw Error(concat(call_, " with ", other.description(), ": it is of another manager"));
  }
  return raw(other.held_->id);
}

std::uint64_t manager_thread() noexcept {
  static std::atomic<std::uint64_t> last{0};
  thread_local const std::uint64_t mine = ++last;
  return mine;
}

ManagerRequest::Scope::Scope(ManagerRequest& request)
    : encoder_(request.bytes_, Route::manager, nullptr), outer_(destination) {
  request.raw(std::uint64_t{0});
  start_ = request.bytes_.size();
  request.references_.clear();
  encoder_.set_reference_log(&request.references_);
  destination = request.client_.get();
}

ManagerRequest::Scope::~Scope() { destination = outer_; }

void ManagerRequest::end_bytes(std::size_t start) {
  const auto size = std::uint64_t{bytes_.size() - start};
  std::memcpy(bytes_.data() + start - sizeof size, &size, sizeof size);
}

void ManagerRequest::end_references() {
  raw(static_cast<std::uint32_t>(references_.size()));
  bytes_.append(references_.data(), references_.size() * sizeof(std::uint64_t));
  all_references_.insert(all_references_.end(), references_.begin(), references_.end());
}

ManagerReply ManagerRequest::send() { return client_->exchange(bytes_, call_, object_.get()); }

}  // namespace tandem::detail
