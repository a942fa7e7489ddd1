#include "tandem/pool.hpp"

#include <exception>
#include <utility>

namespace tandem {

Pool::Pool() : Pool(PoolOptions{}) {}

Pool::Pool(std::size_t processes) : Pool(PoolOptions{.processes = processes}) {}

Pool::Pool(PoolOptions options)
    : core_(detail::PoolCore::start(options)), exceptions_(std::uncaught_exceptions()) {}

Pool::Pool(Pool&& other) noexcept = default;

Pool& Pool::operator=(Pool&& other) noexcept {
  if (this != &other) {
    if (core_) core_->dispose(false);
    core_ = std::move(other.core_);
    exceptions_ = other.exceptions_;
  }
  return *this;
}

Pool::~Pool() {
  if (core_) core_->dispose(std::uncaught_exceptions() > exceptions_);
}

void Pool::close() { core().close(); }
void Pool::terminate() { core().terminate(); }
void Pool::join() { static_cast<void>(core().join(detail::Deadline::never())); }
std::size_t Pool::size() const { return core().size(); }
void Pool::resize(std::size_t processes) { core().resize(processes); }

PoolStats Pool::stats() const { return core().stats(); }
PoolInsights Pool::insights() const { return core().insights(); }
void Pool::trace_to(const std::filesystem::path& path) { core().trace_to(path); }

detail::PoolCore& Pool::core() const { return *shared_core(); }

const std::shared_ptr<detail::PoolCore>& Pool::shared_core() const {
  if (!core_) throw Closed("Pool: the pool was moved from");
  return core_;
}

}  // namespace tandem
