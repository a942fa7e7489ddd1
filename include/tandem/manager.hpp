/// \file
/// Shared dictionaries and lists: a server process holds them, proxies use them from any process.
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
#include <vector>

#include "tandem/address.hpp"
#include "tandem/auth_key.hpp"
#include "tandem/detail/export.hpp"
#include "tandem/dict_proxy.hpp"
#include "tandem/list_proxy.hpp"
#include "tandem/process.hpp"

namespace tandem {

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
/// any thread.
class TANDEM_EXPORT Manager {
 public:
  /// \throws StartError
  Manager();
  explicit Manager(ManagerOptions options);
  /// Joins a manager that another program has started, here or on another machine. Its proxies then
  /// work in this process and in those it starts. Over a unix address calls go through shared
  /// memory, over tcp through the socket: as fast as that, and not encrypted. \throws as
  /// `tandem::connect`
  [[nodiscard]] static Manager connect(Address address, AuthKey authkey);
  Manager(Manager&& other) noexcept;
  Manager& operator=(Manager&& other) noexcept;
  /// As `shutdown()`. In a forked child, or of one that was joined: only lets go.
  ~Manager();

  /// Where others find the server, with the port that was chosen.
  [[nodiscard]] Address address() const;
  /// What they must know.
  [[nodiscard]] AuthKey authkey() const;
  /// Of the server process, on its machine.
  [[nodiscard]] int pid() const;
  [[nodiscard]] const std::string& name() const;
  /// Ends the server and waits for it: what it is doing is finished, but after a second it is
  /// killed. Again: does nothing. Other calls then throw `Closed`. \throws Error in a process that
  /// did not start it
  void shutdown();
  [[nodiscard]] ManagerStatistics statistics() const;

  /// A new dictionary with these items. With a name: the dictionary of that name, made if there is
  /// none (else `init` is not used); it lives as long as the manager. \throws Error when something
  /// else has that name
  template <class K, class V>
  [[nodiscard]] DictProxy<K, V> dict(std::map<K, V> init = {}, std::string_view name = {}) {
    using Proxy = DictProxy<K, V>;
    return Proxy(make(detail::ObjectKind::dict, Proxy::type(), name, "Manager::dict",
                      [&](detail::ManagerRequest& request) {
                        for (const auto& [k, v] : init) request.key(k).value(v);
                      }));
  }
  /// A new list with these elements, or the list of that name.
  template <class T>
  [[nodiscard]] ListProxy<T> list(std::vector<T> init = {}, std::string_view name = {}) {
    using Proxy = ListProxy<T>;
    return Proxy(make(detail::ObjectKind::list, Proxy::type(), name, "Manager::list",
                      [&](detail::ManagerRequest& request) {
                        for (const auto& v : init) request.value(static_cast<const T&>(v));
                      }));
  }

 private:
  struct State;
  explicit Manager(std::unique_ptr<State> state);

  [[nodiscard]] std::shared_ptr<detail::ManagerClient> client(std::string_view call) const;
  template <class Fill>
  [[nodiscard]] detail::ManagerObject make(detail::ObjectKind kind, std::uint32_t type,
                                           std::string_view name, std::string_view call,
                                           Fill fill) {
    detail::ManagerRequest request(client(call), detail::ManagerOp::create, call);
    request.raw(kind).raw(type).text(name);
    fill(request);
    return request.send().object(kind, type);
  }

  std::unique_ptr<State> state_;
};

}  // namespace tandem
