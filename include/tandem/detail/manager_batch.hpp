/// \file
/// Several steps of a manager in one trip: the core of DictProxy::batch and ListProxy::batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/detail/export.hpp"
#include "tandem/detail/manager_client.hpp"

namespace tandem {

namespace detail {

/// One step of a batch and, after the trip, its reply. Any thread, one at a time.
class TANDEM_EXPORT BatchStep {
 public:
  BatchStep(ManagerObject object, std::string_view call)
      : object_(std::move(object)), call_(call) {}

  /// From its beginning, as often as one likes.
  /// \throws Error before the trip; what the step threw
  [[nodiscard]] ManagerReply& reply();
  /// As `reply`. \throws std::out_of_range when there was no such key or position
  [[nodiscard]] ManagerReply& found();

 private:
  friend class ManagerBatch;

  ManagerObject object_;
  std::string_view call_;
  std::unique_ptr<ManagerReply> reply_;
  bool needs_ = false;
};

/// Requests that wait for their trip. One thread at a time.
class TANDEM_EXPORT ManagerBatch {
 public:
  explicit ManagerBatch(ManagerObject object);
  ManagerBatch(ManagerBatch&&) noexcept = default;
  ManagerBatch& operator=(ManagerBatch&&) noexcept = delete;
  ~ManagerBatch();

  [[nodiscard]] const ManagerObject& object() const noexcept { return object_; }
  std::shared_ptr<BatchStep> add(const ManagerRequest& request, std::string_view call);
  /// A step that fails without the key or position it names.
  std::shared_ptr<BatchStep> add_needing(const ManagerRequest& request, std::string_view call);
  void run(std::string_view call);

 private:
  void let_go() noexcept;

  ManagerObject object_;
  std::shared_ptr<ManagerClient> client_;
  Buffer requests_;
  std::vector<std::uint64_t> references_;  // of values on the way: a handle each
  std::vector<std::shared_ptr<BatchStep>> steps_;
};

}  // namespace detail

/// What a step of a batch will return. Copies share it; may outlive the batch.
template <class T>
class Later {
 public:
  /// As often as one likes.
  /// \throws Error before `run`; what the step threw, std::out_of_range included
  [[nodiscard]] T get() const { return decode_(*step_); }

 private:
  template <class K, class V>
  friend class DictBatch;
  template <class V>
  friend class ListBatch;
  using Decode = T (*)(detail::BatchStep&);
  Later(std::shared_ptr<detail::BatchStep> step, Decode decode)
      : step_(std::move(step)), decode_(decode) {}

  std::shared_ptr<detail::BatchStep> step_;
  Decode decode_;
};

}  // namespace tandem
