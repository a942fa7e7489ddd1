#include "manager/caller.hpp"

#include "tandem/detail/archive.hpp"

namespace tandem::detail {

void UserCall::run() noexcept {
  try {
    Decoder arguments(call, Route::manager);
    Encoder to_value(updated, Route::manager, nullptr);
    Encoder to_result(result, Route::manager, nullptr);
    to_value.set_reference_log(&updated_references);
    to_result.set_reference_log(&result_references);
    switch (kind) {
      case Kind::apply:
        return apply(arguments, value, to_value, to_result);
      case Kind::sort:
        return sort(arguments, values, order);
      case Kind::make:
        made = make(arguments);
        return;
      case Kind::call:
        return object->call(method, arguments, to_result);
      case Kind::none:
        return;
    }
  } catch (...) {  // the client's: it is thrown there
    error = std::current_exception();
  }
}

void UserCall::reset() noexcept {
  kind = Kind::none;
  object = nullptr;
  values.clear();
  error = nullptr;
  updated.clear();
  result.clear();
  updated_references.clear();
  result_references.clear();
  order.clear();
  made.reset();
  target = nullptr;
  dict_target = nullptr;
  object_id = 0;
}

void CallerQueue::push_back(Caller& caller) noexcept {
  caller.queue_ = this;
  caller.previous_ = last_;
  caller.next_ = nullptr;
  (last_ != nullptr ? last_->next_ : first_) = &caller;
  last_ = &caller;
  ++size_;
}

void CallerQueue::remove(Caller& caller) noexcept {
  (caller.previous_ != nullptr ? caller.previous_->next_ : first_) = caller.next_;
  (caller.next_ != nullptr ? caller.next_->previous_ : last_) = caller.previous_;
  caller.queue_ = nullptr;
  caller.previous_ = nullptr;
  caller.next_ = nullptr;
  --size_;
}

Caller* CallerQueue::pop_front() noexcept {
  Caller* const caller = first_;
  if (caller != nullptr) remove(*caller);
  return caller;
}

Caller* CallerQueue::after(const Caller& caller) noexcept { return caller.next_; }

}  // namespace tandem::detail
