/// \file
/// Shared objects: a server process holds them, proxies use them from any process.
///
///     tandem::Manager manager;
///     auto words = manager.dict<std::string, int>();
///     words["tandem"] = 1;
///     words.fetch_add("tandem", 1);   // one step, exact from any number of processes
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/address.hpp"
#include "tandem/array_proxy.hpp"
#include "tandem/auth_key.hpp"
#include "tandem/barrier_proxy.hpp"
#include "tandem/condition_proxy.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/dict_proxy.hpp"
#include "tandem/event_proxy.hpp"
#include "tandem/list_proxy.hpp"
#include "tandem/lock_proxy.hpp"
#include "tandem/namespace_proxy.hpp"
#include "tandem/object_proxy.hpp"
#include "tandem/process.hpp"
#include "tandem/queue_proxy.hpp"
#include "tandem/semaphore_proxy.hpp"
#include "tandem/value_proxy.hpp"

namespace tandem {

/// How a Manager is started.
struct ManagerOptions {
  /// Where the server lets in whoever knows the key; empty: a unix name that nobody can guess.
  Address address = {};
  /// Empty: one is made up. Not over tcp, where it must be given.
  AuthKey authkey = {};
  std::string name = {};                         ///< of the server process; empty: one is made up
  std::optional<StartMethod> start_method = {};  ///< of the server process
};

/// What a manager's server holds at one moment.
struct ManagerStatistics {
  std::size_t objects = 0;      ///< alive
  std::size_t connections = 0;  ///< processes attached, this one included
};

/// Starts a server process, a daemon child of this one, and makes objects in it. Move-only.
///
/// The server ends with `shutdown()`, with this object, or with the process that made it, however
/// that ends; calls on proxies then throw `EndOfFile`. It ignores SIGINT. Processes of the same user
/// on this machine talk to it as soon as they have a proxy; others join it first (`connect`), and
/// then their children need not: a proxy carries the way, never the key. All members may be used from
/// any thread; a call that waits, as `get` of an empty queue does, holds up no other thread. A slow
/// function of the user's (`apply`, `call`, `sort`) holds up only its own object.
class TANDEM_EXPORT Manager {
 public:
  /// \throws StartError
  Manager();
  /// The same with options. \throws AuthenticationError for tcp without a key
  explicit Manager(ManagerOptions options);
  /// Joins a manager that another program has started, here or on another machine. Its proxies then
  /// work in this process and in those it starts. Over a unix address calls go through shared
  /// memory, over tcp through the socket: as fast as that, and not encrypted. \throws as
  /// `tandem::connect`
  [[nodiscard]] static Manager connect(Address address, AuthKey authkey);
  /// The other may then only be destroyed or assigned to.
  Manager(Manager&& other) noexcept;
  /// Ends the server it had.
  Manager& operator=(Manager&& other) noexcept;
  /// As `shutdown()`. In a forked child, or of one that was joined: only lets go.
  ~Manager();

  /// Where others find the server, with the port that was chosen.
  [[nodiscard]] Address address() const;
  /// What they must know.
  [[nodiscard]] AuthKey authkey() const;
  /// Of the server process, on its machine.
  [[nodiscard]] int pid() const;
  /// Of the server process.
  [[nodiscard]] const std::string& name() const;
  /// Ends the server and waits for it: what it is doing is finished, but after a second it is
  /// killed. Again: does nothing. Other calls then throw `Closed`. \throws Error in a process that
  /// did not start it
  void shutdown();
  /// What the server holds now.
  [[nodiscard]] ManagerStatistics statistics() const;

  /// A new dictionary with these items. With a name: the dictionary of that name, made if there is
  /// none (else `init` is not used); it lives as long as the manager. So for all that follow.
  /// \throws Error when something else has that name
  template <class K, class V>
  [[nodiscard]] DictProxy<K, V> dict(std::map<K, V> init = {}, std::string_view name = {}) {
    return make<DictProxy<K, V>>("Manager::dict", name, [&](detail::ManagerRequest& request) {
      for (const auto& [k, v] : init) request.key(k).value(v);
    });
  }
  /// A new list with these elements.
  template <class T>
  [[nodiscard]] ListProxy<T> list(std::vector<T> init = {}, std::string_view name = {}) {
    return make<ListProxy<T>>("Manager::list", name, Values<T>{init});
  }
  /// A new value.
  template <class T>
  [[nodiscard]] ValueProxy<T> value(const std::type_identity_t<T>& init = T(),
                                    std::string_view name = {}) {
    return make<ValueProxy<T>>("Manager::value", name,
                               [&](detail::ManagerRequest& request) { request.value(init); });
  }
  /// Of n elements, all T().
  template <class T>
  [[nodiscard]] ArrayProxy<T> array(std::size_t n, std::string_view name = {}) {
    return make<ArrayProxy<T>>("Manager::array", name, [&](detail::ManagerRequest& request) {
      const T element = T();
      for (std::size_t i = 0; i < n; ++i) request.value(element);
    });
  }
  /// Of these elements.
  template <class T>
  [[nodiscard]] ArrayProxy<T> array(const std::vector<T>& init, std::string_view name = {}) {
    return make<ArrayProxy<T>>("Manager::array", name, Values<T>{init});
  }
  /// A new namespace, without names.
  [[nodiscard]] NamespaceProxy namespace_(std::string_view name = {}) {
    return make<NamespaceProxy>("Manager::namespace_", name);
  }
  /// \param maxsize most items waiting; 0 = no limit
  template <class T>
  [[nodiscard]] QueueProxy<T> queue(std::size_t maxsize = 0, std::string_view name = {}) {
    return make<QueueProxy<T>>("Manager::queue", name, Number{maxsize});
  }
  /// A new queue, as `queue`.
  template <class T>
  [[nodiscard]] JoinableQueueProxy<T> joinable_queue(std::size_t maxsize = 0,
                                                     std::string_view name = {}) {
    return make<JoinableQueueProxy<T>>("Manager::joinable_queue", name, Number{maxsize});
  }
  /// A new lock, not held.
  [[nodiscard]] LockProxy lock(std::string_view name = {}) {
    return make<LockProxy>("Manager::lock", name);
  }
  /// A new recursive lock, not held.
  [[nodiscard]] RLockProxy rlock(std::string_view name = {}) {
    return make<RLockProxy>("Manager::rlock", name);
  }
  /// \param permits to begin with, at most 2^31 - 1 \throws SystemError EINVAL for more
  [[nodiscard]] SemaphoreProxy semaphore(std::size_t permits = 1, std::string_view name = {}) {
    return make<SemaphoreProxy>("Manager::semaphore", name, Number{permits});
  }
  /// A new semaphore, as `semaphore`.
  [[nodiscard]] BoundedSemaphoreProxy bounded_semaphore(std::size_t permits = 1,
                                                        std::string_view name = {}) {
    return make<BoundedSemaphoreProxy>("Manager::bounded_semaphore", name, Number{permits});
  }
  /// To be waited for with a lock of this manager.
  [[nodiscard]] ConditionProxy condition(std::string_view name = {}) {
    return make<ConditionProxy>("Manager::condition", name);
  }
  /// Not set.
  [[nodiscard]] EventProxy event(std::string_view name = {}) {
    return make<EventProxy>("Manager::event", name);
  }
  /// \param parties how many must come, 1 to 65536 \throws SystemError EINVAL for other numbers
  [[nodiscard]] BarrierProxy barrier(std::size_t parties, std::string_view name = {}) {
    return make<BarrierProxy>("Manager::barrier", name, Number{parties});
  }
  /// `T(args...)`, made in the server, which must run the same build of the program. \see
  /// ObjectProxy \throws what the constructor threw
  template <class T, class... A>
  [[nodiscard]] ObjectProxy<T> create(A... args) {
    return create_named<T>({}, std::move(args)...);
  }
  /// The object of that name, or a new one: with a name its constructor runs once.
  template <class T, class... A>
  [[nodiscard]] ObjectProxy<T> create_named(std::string_view name, A... args) {
    static_assert((Sendable<detail::Argument<A>> && ...),
                  "the constructor's arguments travel: they must be Sendable");
    constexpr auto* kThunk = &detail::make_thunk<T, detail::Argument<A>...>;
    return make<ObjectProxy<T>>("Manager::create", name, [&](detail::ManagerRequest& request) {
      request.raw(detail::thunk_key<detail::MakeThunk, kThunk>()).bytes([&](detail::Encoder& to) {
        (detail::encode_argument<detail::Argument<A>>(to, args), ...);
      });
    });
  }

 private:
  struct State;
  explicit Manager(std::unique_ptr<State> state);

  [[nodiscard]] std::shared_ptr<detail::ManagerClient> client(std::string_view call) const;
  struct Nothing {
    void operator()(detail::ManagerRequest&) const {}
  };
  struct Number {
    std::uint64_t n;
    void operator()(detail::ManagerRequest& request) const { request.raw(n); }
  };
  template <class T>
  struct Values {
    const std::vector<T>& all;
    void operator()(detail::ManagerRequest& request) const {
      for (const auto& v : all) request.value(static_cast<const T&>(v));
    }
  };
  /// \param fill writes what the object is made of
  template <class Proxy, class Fill = Nothing>
  [[nodiscard]] Proxy make(std::string_view call, std::string_view name, Fill fill = {}) {
    detail::ManagerRequest request(client(call), detail::ManagerOp::create, call);
    request.raw(Proxy::kKind).raw(Proxy::type()).text(name);
    fill(request);
    return Proxy(request.send().object(Proxy::kKind, Proxy::type()));
  }

  std::unique_ptr<State> state_;
};

}  // namespace tandem
