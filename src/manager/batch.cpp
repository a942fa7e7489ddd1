#include <exception>

#include "base/text.hpp"
#include "manager/client.hpp"
#include "manager/protocol.hpp"
#include "tandem/detail/manager_batch.hpp"
#include "tandem/error.hpp"

namespace tandem::detail {

using manager_protocol::PieceHeader;

ManagerReply& BatchStep::reply() {
  if (reply_ == nullptr) {
    throw Error(
        concat("Later::get of ", call_, " on ", object_.description(), ": the batch was not run"));
  }
  reply_->rethrow();
  reply_->rewind();
  return *reply_;
}

ManagerReply& BatchStep::found() {
  ManagerReply& it = reply();
  if (!it.found()) throw_out_of_range(call_, object_, "no such key or position");
  return it;
}

ManagerBatch::ManagerBatch(ManagerObject object) : object_(std::move(object)) {
  if (!object_) throw Closed("batch: the proxy names nothing");
  client_ = object_.held_->client;
}

ManagerBatch::~ManagerBatch() { let_go(); }

std::shared_ptr<BatchStep> ManagerBatch::add(const ManagerRequest& request, std::string_view call) {
  auto step = std::make_shared<BatchStep>(object_, call);
  references_.reserve(references_.size() + request.all_references_.size());
  steps_.push_back(step);
  try {
    for (const std::uint64_t id : request.all_references_) {
      client_->hold(id);
      references_.push_back(id);
    }
    const auto bytes = request.bytes_.bytes().subspan(sizeof(PieceHeader));
    manager_protocol::put_bytes(requests_, bytes);
  } catch (...) {
    steps_.pop_back();
    throw;
  }
  return step;
}

std::shared_ptr<BatchStep> ManagerBatch::add_needing(const ManagerRequest& request,
                                                     std::string_view call) {
  auto step = add(request, call);
  step->needs_ = true;
  return step;
}

void ManagerBatch::run(std::string_view call) {
  if (steps_.empty()) return;
  struct Empty {
    ManagerBatch& batch;
    ~Empty() { batch.let_go(); }
  } const empty{*this};

  ManagerRequest request(client_, ManagerOp::batch, call);
  request.bytes_.append(requests_.data(), requests_.size());
  ManagerReply replies = request.send();
  std::exception_ptr first;
  for (const auto& step : steps_) {
    const auto bytes = replies.take_value();
    Buffer copy;
    copy.append(bytes.data(), bytes.size());
    step->reply_.reset(new ManagerReply(client_, std::move(copy)));
    if (first != nullptr || step.use_count() > 1) continue;
    try {
      static_cast<void>(step->needs_ ? step->found() : step->reply());
    } catch (...) {
      first = std::current_exception();  // the others have their results first
    }
  }
  if (first != nullptr) std::rethrow_exception(first);
}

void ManagerBatch::let_go() noexcept {
  for (const std::uint64_t id : references_) client_->release(id);
  references_.clear();
  requests_.clear();
  steps_.clear();
}

}  // namespace tandem::detail
