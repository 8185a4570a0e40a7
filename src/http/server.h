// The HTTPS server: takes connections, deals them to the cores, and serves a table of routes.
// It answers /healthz, /readyz, /metrics and /openapi.json itself.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/cores.h"
#include "base/result.h"
#include "http/access_log.h"
#include "http/gate.h"
#include "http/limits.h"
#include "http/metrics.h"
#include "http/route.h"
#include "http/tls.h"

namespace holdfast::http {

struct ServerOptions {
  struct Listen {
    std::string address = "127.0.0.1";
    std::uint16_t port = 8443;  // 0: a free one, see Server::ports()
  };
  std::vector<Listen> listen{Listen{}};
  ServerLimits limits{};
  /// Addresses or networks ("10.0.0.0/8") whose X-Forwarded-For is believed.
  std::vector<std::string> proxies{};
  std::string title = "Holdfast";  // of the OpenAPI document
  std::string version{};
  AccessLog log{};
  /// What /readyz says; must not block. Empty: ready as soon as the server listens.
  std::function<Result<void>()> ready{};
  /// Whether there is room for what operations that grow the database bring. Must not block.
  std::function<Result<void>()> may_grow{};
  /// A literal word that /readyz adds while the server is ready and something is amiss; empty: all
  /// is well. Must not block.
  std::function<std::string_view()> warning{};
};

/// What start() would refuse before it binds. Errors: invalid (a proxy that is neither an address
/// nor a network, an address to listen on that is none).
Result<void> check_addresses(const ServerOptions& options);

class Server {
 public:
  /// All outlive the server; so do the objects that the routes call.
  struct Deps {
    Cores& cores;
    Gate& gate;
    const Clock& clock;
    Metrics& metrics;
  };

  /// Throws std::logic_error when the routes contradict each other (router.h).
  Server(Deps deps, ServerOptions options, std::vector<Route> routes, TlsContext tls);
  /// Stops, when nobody did.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds, and serves from here on. Errors: invalid (an address that is none), unavailable (the
  /// port is taken, or needs rights).
  Result<void> start();
  /// In the order of options.listen.
  std::vector<std::uint16_t> ports() const;

  /// New connections use it; those that are there keep theirs. From any thread.
  void reload(TlsContext tls);

  /// Takes no more connections, ends idle ones, waits for requests in flight up to
  /// limits.stop_time, then cuts those too and waits for their handlers up to limits.end_time.
  /// Blocks; never call it from a core's own thread. False: handlers still run, so what they use
  /// must not go; the next call waits for them again.
  bool stop();

  const std::string& openapi() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace holdfast::http
