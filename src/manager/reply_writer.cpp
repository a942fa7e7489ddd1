#include "manager/reply_writer.hpp"

#include <cstring>

#include "manager/store.hpp"
#include "tandem/detail/archive.hpp"
#include "tandem/detail/exception.hpp"

namespace tandem::detail {

using manager_protocol::ReplyStatus;

ReplyWriter::ReplyWriter(Store& store, ClientReferences& client, Buffer& to)
    : store_(&store), client_(&client), to_(&to) {
  begin();
}

void ReplyWriter::begin() {
  to_->clear();
  raw(manager_protocol::PieceHeader());
  raw(header_);
}

void ReplyWriter::bytes(std::span<const std::byte> b) {
  raw(std::uint64_t{b.size()});
  to_->append(b.data(), b.size());
}

void ReplyWriter::value(std::span<const std::byte> b, const References& references) {
  bytes(b);
  if (references == nullptr) return;
  for (const ObjectId id : *references) grant(id);
}

void ReplyWriter::grant(ObjectId id) {
  granted_.push_back(id);
  try {
    store_->hold(*client_, id);
  } catch (...) {
    granted_.pop_back();
    throw;
  }
}

void ReplyWriter::raise(const std::exception_ptr& error, std::string_view where) {
  for (const ObjectId id : granted_) store_->release(*client_, id, 1);
  granted_.clear();
  header_.status = ReplyStatus::raised;
  begin();
  Encoder encoder(*to_, Route::manager, nullptr);
  encode_exception(encoder, error, where);
}

void ReplyWriter::finish() {
  to_->append(granted_.data(), granted_.size() * sizeof(ObjectId));
  raw(static_cast<std::uint32_t>(granted_.size()));
  std::memcpy(to_->data() + sizeof(manager_protocol::PieceHeader), &header_, sizeof header_);
}

}  // namespace tandem::detail
