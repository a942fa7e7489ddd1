#include "tandem/detail/batch.hpp"

#include <cstring>

#include "shm/ring.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

using shm::RecordHeader;

void Batch::add(const Outgoing& message) {
  const std::size_t size = message.bytes.size();
  const std::size_t bytes = shm::record_bytes(size);
  const auto header = RecordHeader::make(shm::RecordKind::whole, false, size, message.type);
  std::byte* at = extend(bytes, 1);
  // The padding is shown to other processes: nothing of this one's memory goes with it.
  constexpr std::uint64_t kZero = 0;
  std::memcpy(at + bytes - sizeof kZero, &kZero, sizeof kZero);
  std::memcpy(at, &header, sizeof header);
  if (size != 0) std::memcpy(at + sizeof header, message.bytes.data(), size);
}

bool Batch::take(Incoming& into) {
  const auto left = records_.bytes().subspan(next_);
  if (left.empty()) return false;
  RecordHeader header;
  if (left.size() < sizeof header) throw DecodeError("a batch of messages is cut off");
  std::memcpy(&header, left.data(), sizeof header);
  const std::size_t bytes = shm::record_bytes(header.size());
  if (bytes > left.size()) throw DecodeError("a batch of messages is cut off");
  const bool wanted = into.begin(header.size(), header.size());
  if (wanted) into.add(left.subspan(sizeof header, header.size()));
  next_ += bytes;
  if (!wanted) throw DecodeError("a message is not a value of the queue's type");
  into.type = header.type;
  return true;
}

}  // namespace tandem::detail
