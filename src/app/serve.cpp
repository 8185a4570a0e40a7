// `holdfast serve`: opens the store and serves it until it is told to stop.
#include <spdlog/spdlog.h>

#include <sys/stat.h>
#include <charconv>
#include <csignal>
#include <iostream>

#include "app/exit_codes.h"
#include "app/print.h"
#include "app/setup.h"
#include "http/server.h"

namespace holdfast::app {
namespace {

/// "127.0.0.1:8443", "[::1]:8443", ":8443" (all addresses), "8443" (loopback).
Result<http::ServerOptions::Listen> parse_listen(std::string_view text) {
  Error bad(
      Code::invalid,
      "an address to listen on is written ADDRESS:PORT, such as 127.0.0.1:8443 or [::1]:8443");
  http::ServerOptions::Listen out;
  auto colon = text.rfind(':');
  auto port = colon == std::string_view::npos ? text : text.substr(colon + 1);
  if (colon != std::string_view::npos) {
    auto address = text.substr(0, colon);
    if (address.starts_with('[') && address.ends_with(']'))
      address = address.substr(1, address.size() - 2);
    out.address = address.empty() ? "0.0.0.0" : std::string(address);
  }
  auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (failed != std::errc() || end != port.data() + port.size() || port.empty()) return bad;
  return out;
}

Result<http::TlsContext> certificate(const Config& config, const Clock& clock) {
  if (config.text("server.certificate").empty()) {
    auto files =
        http::ensure_local_certificate(config.dir(), config.list("server.names"), clock.now());
    if (!files) return std::move(files).error();
    return http::server_context(*files);
  }
  return http::server_context(
      {config.path("server.certificate"), config.path("server.certificate_key")});
}

std::string url_of(const http::ServerOptions::Listen& listen, std::uint16_t port) {
  auto host = listen.address == "0.0.0.0" || listen.address == "::" ? std::string("localhost")
                                                                    : listen.address;
  if (host.contains(':')) host = '[' + host + ']';
  return "https://" + host + ':' + std::to_string(port);
}

Result<void> run(const LocalOptions& options) {
  if (auto ready = prepare_process(); !ready) return ready;
  auto config = config_of(options);
  if (!config) return std::move(config).error();
  if (!std::filesystem::exists(config->path("keys.keyring")))
    return Error(Code::not_found,
                 "there is no store in this folder: make one with `holdfast init --dir DIR`");
  auto threads = config->number("server.cores", 0, 256);
  if (!threads) return std::move(threads).error();
  auto per_address = config->number("server.connections_per_address", 1, 100'000);
  if (!per_address) return std::move(per_address).error();
  if (auto level = check_log_level(*config); !level) return level;
  http::ServerOptions server_options{.proxies = config->list("server.proxies"),
                                     .version = HOLDFAST_VERSION};
  server_options.listen.clear();
  for (const auto& one : config->list("server.listen")) {
    auto listen = parse_listen(one);
    if (!listen) return std::move(listen).error().at(FieldPath("server") / "listen");
    server_options.listen.push_back(*listen);
  }
  if (server_options.listen.empty())
    return Error(Code::invalid, "name at least one address to listen on")
        .at(FieldPath("server") / "listen");
  server_options.limits.connections_per_address = static_cast<std::size_t>(*per_address);

  // Signals are taken by this thread alone, so they are blocked before any other starts.
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto logger = make_logger(config->text("log.level"));
  server_options.log = http::access_log(logger);
  Cores cores(static_cast<std::size_t>(*threads));
  auto instance = Instance::open(*config, cores, logger);
  if (!instance) return std::move(instance).error();
  auto tls = certificate(*config, (*instance)->clock());
  if (!tls) return std::move(tls).error();
  auto* database = &(*instance)->database();
  server_options.ready = [database]() -> Result<void> {
    if (database->health().writable) return {};
    return Error(Code::unavailable, "the database cannot be written");
  };
  http::Metrics metrics;
  auto* rooms = &(*instance)->rooms();
  auto* journal = &(*instance)->log();
  metrics.counter("holdfast_refused_total", "Refusals of known callers.",
                  [rooms] { return static_cast<double>(rooms->access.counts().refused); });
  metrics.counter("holdfast_strangers_total", "Requests with keys that are none.",
                  [rooms] { return static_cast<double>(rooms->access.counts().strangers); });
  metrics.gauge("holdfast_authority_findings", "Authority rows that do not authenticate.",
                [rooms] { return static_cast<double>(rooms->cache.findings()); });
  auto* store = instance->get();
  metrics.counter("holdfast_canary_openings_total",
                  "Invented customers that were opened: an alarm.",
                  [store] { return static_cast<double>(store->canaries_opened()); });
  metrics.gauge("holdfast_requests_overdue", "Requests of customers that are not answered in time.",
                [rooms] { return static_cast<double>(rooms->requests.overdue()); });
  metrics.gauge("holdfast_journal_size", "Entries in the journal's tree.",
                [journal] { return static_cast<double>(journal->size()); });

  metrics.gauge("holdfast_indexes_building", "Indexes of fields that are being built.",
                [rooms] { return static_cast<double>(rooms->rebuild.building()); });
  metrics.gauge("holdfast_index_alarms", "Indexes that somebody must see to: collections.get.",
                [rooms] { return static_cast<double>(rooms->rebuild.alarms()); });

  auto routes = (*instance)->routes();
  auto listens = server_options.listen;
  http::Server server({cores, rooms->access, (*instance)->clock(), metrics},
                      std::move(server_options), std::move(routes), std::move(*tls));
  (*instance)->start();
  if (auto started = server.start(); !started) return started;
  auto ports = server.ports();
  for (std::size_t i = 0; i < ports.size(); ++i)
    std::cout << "Holdfast is ready at " << url_of(listens[i], ports[i]) << std::endl;

  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal != SIGHUP) break;
    auto fresh = certificate(*config, (*instance)->clock());
    if (fresh)
      server.reload(std::move(*fresh));
    else
      logger->error(R"({"event":"certificate_not_reloaded"})");
  }
  server.stop();
  (*instance)->stop();
  return {};
}

}  // namespace

int serve(const LocalOptions& options) {
  umask(0077);
  auto done = run(options);
  return done ? kDone : print_error(done.error());
}

}  // namespace holdfast::app
