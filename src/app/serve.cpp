// `holdfast serve`: opens the store and serves it until it is told to stop.
#include <spdlog/spdlog.h>

#include <sys/stat.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <stop_token>
#include <thread>

#include "app/exit_codes.h"
#include "app/locked.h"
#include "app/log_line.h"
#include "app/print.h"
#include "app/setup.h"
#include "app/unlock_socket.h"
#include "base/secret.h"
#include "http/server.h"

namespace holdfast::app {
namespace {

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

/// What both a locked and an open server are served with.
struct Serving {
  Config config;
  http::ServerOptions options;
  std::shared_ptr<spdlog::logger> logger;  // shared with spdlog's own registry of sinks
  SystemClock clock;
};

/// Ends a wait in for_signal() from any thread.
void wake() {
  ::kill(::getpid(), SIGUSR1);
}

sigset_t signals_of_ours() {
  sigset_t out;
  sigemptyset(&out);
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) sigaddset(&out, signal);
  return out;
}

/// Serves until a signal ends it, or `stop` says that it is over. True: `stop` did.
bool wait_for_end(
    Serving& serving, http::Server& server, const std::atomic<bool>& stop,
    const std::function<void()>& each_minute = [] {}) {
  const auto signals = signals_of_ours();
  constexpr timespec kMinute{.tv_sec = 60, .tv_nsec = 0};
  while (!stop) {
    const int signal = sigtimedwait(&signals, nullptr, &kMinute);
    if (signal < 0 && errno == EAGAIN) each_minute();
    if (signal < 0 || signal == SIGUSR1) continue;
    if (signal != SIGHUP) return false;
    auto fresh = certificate(serving.config, serving.clock);
    if (fresh)
      server.reload(std::move(*fresh));
    else
      serving.logger->error(said("certificate_not_reloaded", {{"why", fresh.error().text}}));
  }
  return true;
}

void announce(Serving& serving, http::Server& server, std::string_view what) {
  auto ports = server.ports();
  for (std::size_t i = 0; i < ports.size(); ++i) {
    std::cout << "Holdfast is " << what << " at " << url_of(serving.options.listen[i], ports[i])
              << std::endl;
    serving.options.listen[i].port = ports[i];  // the same one after it was unlocked
  }
}

/// What handlers that still run use must not go, so the process does. Nothing that was acknowledged
/// is lost. `stopped`: it was told to, so nobody need start it again.
[[noreturn]] void end_process(const Serving& serving, bool stopped) {
  serving.logger->error(R"({"event":"process_ended","why":"requests did not end in time"})");
  serving.logger->flush();
  std::_Exit(stopped ? kDone : kFailed);
}

/// Ends the process when it is told to stop while the store is opened, which can take long (a
/// migration, a database that does not answer). Nothing may be acknowledged then whose entry is
/// still to come.
class EndWhileOpening {
 public:
  explicit EndWhileOpening(const Serving& serving)
      : thread_([&serving](const std::stop_token& over) {
          sigset_t ending;
          sigemptyset(&ending);
          for (int signal : {SIGINT, SIGTERM}) sigaddset(&ending, signal);
          constexpr timespec kTurn{.tv_sec = 0, .tv_nsec = 20'000'000};
          while (!over.stop_requested()) {
            if (sigtimedwait(&ending, nullptr, &kTurn) < 0) continue;
            serving.logger->warn(R"({"event":"process_ended","why":"told to while it opened"})");
            serving.logger->flush();
            std::_Exit(kDone);
          }
        }) {}

 private:
  std::jthread thread_;
};

/// nullopt: told to stop.
using Unlocked = std::optional<Unlocker::Opened>;

/// Answers `locked` until somebody unlocks.
Result<Unlocked> serve_locked(Serving& serving, LockReason reason) {
  auto tls = certificate(serving.config, serving.clock);
  if (!tls) return std::move(tls).error();
  Cores cores(1);
  Pool pool(1, 64);
  Unlocker unlocker(
      {root_files(serving.config), latch_file(serving.config), serving.clock, pool, reason});
  std::atomic<bool> open = false;
  unlocker.when_open([&open] {
    open = true;
    wake();
  });
  LockedGate gate;
  LockedRoutes routes(unlocker, serving.config.text("keys.unlock_over_https") == "yes");
  auto socket = UnlockSocket::open(serving.config.dir(), cores, unlocker);
  if (!socket) return std::move(socket).error();
  auto options = serving.options;
  options.ready = []() -> Result<void> {
    return Error(Code::locked, "the server is locked: `holdfast keys status` says what it takes");
  };
  http::Metrics metrics;
  metrics.gauge("holdfast_locked", "1 while the server holds no keys.", [] { return 1.0; });
  metrics.counter("holdfast_unlock_failures_total", "Attempts to unlock that failed.",
                  [&unlocker] { return static_cast<double>(unlocker.failed()); });
  http::Server server({cores, gate, serving.clock, metrics}, std::move(options), routes.rows(),
                      std::move(*tls));
  if (auto started = server.start(); !started) return std::move(started).error();
  announce(serving, server, "locked");
  std::cout << "Unlock it with `holdfast unlock --dir " << serving.config.dir().string() << '`'
            << std::endl;
  bool unlocked =
      wait_for_end(serving, server, open, [&unlocker] { unlocker.forget_late_shares(); });
  socket->reset();
  if (!server.stop()) end_process(serving, !unlocked);
  return unlocked ? unlocker.take() : Unlocked();
}

void add_metrics(http::Metrics& metrics, Instance& instance) {
  auto* rooms = &instance.rooms();
  auto* journal = &instance.log();
  const auto* keys = &instance.keys();
  metrics.counter("holdfast_refused_total", "Refusals of known callers.",
                  [journal] { return static_cast<double>(journal->refused()); });
  metrics.counter("holdfast_strangers_total", "Requests with keys that are none.",
                  [rooms] { return static_cast<double>(rooms->access.counts().strangers); });
  metrics.gauge("holdfast_authority_findings", "Authority rows that do not authenticate.",
                [rooms] { return static_cast<double>(rooms->cache.findings()); });
  auto* store = &instance;
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
  metrics.gauge("holdfast_disk_low", "1 while the disk is nearly full and nothing may grow.",
                [store] { return store->database().health().low_on_space ? 1.0 : 0.0; });
  metrics.gauge("holdfast_locked_memory_bytes",
                "Memory that is locked for secrets: see LimitMEMLOCK.",
                [] { return static_cast<double>(locked_secret_bytes()); });
  metrics.gauge("holdfast_locked", "1 while the server holds no keys.",
                [keys] { return keys->get() ? 0.0 : 1.0; });
  for (std::size_t i = 0; i < std::size(vault::kAlarmNames); ++i)
    metrics.gauge("holdfast_alarm_" + std::string(vault::kAlarmNames[i]),
                  "Over 0: see `holdfast keys status`.",
                  [rooms, i] { return static_cast<double>(rooms->unlocking.counts()[i]); });
}

/// Serves an opened store. Why it holds no keys any more; nullopt: told to stop.
Result<std::optional<LockReason>> serve_open(Serving& serving, crypto::OpenedStore store,
                                             std::optional<vault::UnlockedBy> by,
                                             std::size_t threads) {
  Cores cores(threads);
  std::atomic<bool> locked = false, stale = false;
  OpenOptions open{.unlocked_by = std::move(by), .locked = [&](bool by_stale) {
                     stale = by_stale;
                     locked = true;
                     wake();
                   }};
  // Whoever unlocked it has had the answer, and the entry of that comes with the opening.
  const bool by_people = open.unlocked_by && open.unlocked_by->over != "start";
  auto instance = [&] {
    std::optional<EndWhileOpening> end;
    if (!by_people) end.emplace(serving);
    return Instance::open(serving.config, std::move(store), cores, serving.logger, std::move(open));
  }();
  if (!instance) return std::move(instance).error();
  auto tls = certificate(serving.config, serving.clock);
  if (!tls) return std::move(tls).error();
  auto options = serving.options;
  options.ready = [at = instance->get()]() -> Result<void> {
    if (!at->keys().get())
      return Error(Code::locked, "the server holds no keys: `holdfast keys status` says why");
    if (!at->database().health().writable)
      return Error(Code::unavailable, "the database cannot be written");
    return {};
  };
  options.may_grow = [at = instance->get()]() -> Result<void> {
    if (!at->database().health().low_on_space) return {};
    return Error(Code::unavailable,
                 "the disk is nearly full: what is left is kept for openings, erasures and locks; "
                 "make room on it");
  };
  options.warning = [at = instance->get()]() -> std::string_view {
    if (at->database().health().low_on_space) return "disk_low";
    return at->rooms().unlocking.hsm_away() ? "hsm_away" : std::string_view();
  };
  http::Metrics metrics;
  add_metrics(metrics, **instance);
  auto routes = (*instance)->routes();
  http::Server server({cores, (*instance)->rooms().access, (*instance)->clock(), metrics},
                      std::move(options), std::move(routes), std::move(*tls));
  (*instance)->start();
  if (auto started = server.start(); !started) return std::move(started).error();
  announce(serving, server, "ready");
  bool ended = wait_for_end(serving, server, locked);
  if (!server.stop()) end_process(serving, !ended);
  (*instance)->stop();
  if (!ended) return std::optional<LockReason>();
  return std::optional(stale ? LockReason::stale_keyring : LockReason::deliberate);
}

/// Opens by itself where it can, else waits for people.
Result<Unlocked> get_keys(Serving& serving, std::optional<LockReason> after) {
  if (after) return serve_locked(serving, *after);
  if (read_latch(latch_file(serving.config))) return serve_locked(serving, LockReason::deliberate);
  auto means = own_means(serving.config);
  if (!means) return std::move(means).error();
  auto opened = crypto::open_store(root_files(serving.config), *means);
  if (!opened && opened.error().code == Code::locked)
    return serve_locked(serving, LockReason::needs_people);
  if (!opened) return std::move(opened).error();
  vault::UnlockedBy by{.over = "start"};
  return Unlocked(Unlocker::Opened{std::move(*opened), std::move(by)});
}

Result<void> run(const LocalOptions& options) {
  if (auto ready = prepare_process(); !ready) return ready;
  auto config = config_of(options);
  if (!config) return std::move(config).error();
  if (auto there = check_store_is_there(*config); !there) return there;
  auto threads = threads_of(*config);
  if (!threads) return std::move(threads).error();
  if (auto level = check_log_level(*config); !level) return level;
  if (auto good = check_unlock_settings(*config); !good) return good;
  auto served = server_options(*config);
  if (!served) return std::move(served).error();

  // Signals are taken by this thread alone, so they are blocked before any other starts.
  const auto signals = signals_of_ours();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  Serving serving{.config = std::move(*config), .options = std::move(*served)};
  serving.logger = make_logger(serving.config.text("log.level"));
  serving.options.log = http::access_log(serving.logger);
  for (std::optional<LockReason> after;;) {
    auto keys = get_keys(serving, after);
    if (!keys) return std::move(keys).error();
    if (!*keys) return {};
    auto by = (*keys)->by.over == "start" ? std::nullopt : std::optional(std::move((*keys)->by));
    auto locked = serve_open(serving, std::move((*keys)->store), std::move(by), *threads);
    if (!locked) return std::move(locked).error();
    if (!*locked) return {};
    after = *locked;
  }
}

}  // namespace

int serve(const LocalOptions& options) {
  umask(0077);
  auto done = run(options);
  return done ? kDone : print_error(done.error());
}

}  // namespace holdfast::app
