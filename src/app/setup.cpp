#include "app/setup.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <charconv>

#include "app/unlock.h"
#include "http/certificate.h"

namespace holdfast::app {
namespace {

/// `127.0.0.1:8443`, `[::1]:8443`, `8443` (loopback). That all addresses are meant has to be said:
/// `:8443` reads like this machine alone.
Result<http::ServerOptions::Listen> listen_of(std::string_view text) {
  http::ServerOptions::Listen out;
  auto colon = text.rfind(':');
  auto port = colon == std::string_view::npos ? text : text.substr(colon + 1);
  if (colon != std::string_view::npos) {
    auto address = text.substr(0, colon);
    if (address.starts_with('[') && address.ends_with(']'))
      address = address.substr(1, address.size() - 2);
    if (address.empty())
      return Error(Code::invalid,
                   "an address to listen on names its host: write 127.0.0.1:PORT for this machine "
                   "alone, or 0.0.0.0:PORT or [::]:PORT for every network that it is in");
    out.address = address;
  }
  auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (failed != std::errc() || end != port.data() + port.size() || port.empty())
    return Error(
        Code::invalid,
        "an address to listen on is written ADDRESS:PORT, such as 127.0.0.1:8443 or [::1]:8443");
  return out;
}

}  // namespace

Result<std::vector<http::ServerOptions::Listen>> listens_of(const Config& config) {
  std::vector<http::ServerOptions::Listen> out;
  for (const auto& one : config.list("server.listen")) {
    auto listen = listen_of(one);
    if (!listen) return std::move(listen).error().at(setting_path("server.listen"));
    out.push_back(std::move(*listen));
  }
  if (out.empty())
    return Error(Code::invalid, "name at least one address to listen on")
        .at(setting_path("server.listen"));
  return out;
}

Result<http::ServerOptions> server_options(const Config& config) {
  http::ServerOptions out{.proxies = config.list("server.proxies"), .version = HOLDFAST_VERSION};
  auto listen = listens_of(config);
  if (!listen) return std::move(listen).error();
  out.listen = std::move(*listen);
  auto per_address = config.number("server.connections_per_address", 1, 100'000);
  if (!per_address) return std::move(per_address).error();
  out.limits.connections_per_address = static_cast<std::size_t>(*per_address);
  return out;
}

Result<std::size_t> threads_of(const Config& config) {
  auto out = config.number("server.cores", 0, 256);
  if (!out) return std::move(out).error();
  return static_cast<std::size_t>(*out);
}

Result<void> check_unlock_settings(const Config& config) {
  const auto& over = config.text("keys.unlock_over_https");
  if (over != "yes" && over != "no")
    return Error(Code::invalid, "this is yes or no").at(setting_path("keys.unlock_over_https"));
  if (auto places = unlock_places(config); !places) return std::move(places).error();
  return {};
}

namespace {

Result<void> check_server(const Config& config) {
  auto options = server_options(config);
  if (!options) return std::move(options).error();
  if (auto good = http::check_addresses({.listen = options->listen}); !good)
    return std::move(good).error().at(setting_path("server.listen"));
  if (auto good = http::check_addresses({.listen = {}, .proxies = options->proxies}); !good)
    return std::move(good).error().at(setting_path("server.proxies"));
  if (auto threads = threads_of(config); !threads) return std::move(threads).error();
  if (auto names = config.list("server.names"); !names.empty()) {
    // Only a certificate that is made shows whether it takes the names.
    const auto now = SystemClock().now();
    auto key = http::make_key();
    if (!key) return std::move(key).error();
    auto authority = http::make_authority(key->get(), now);
    if (!authority) return std::move(authority).error();
    auto made = http::make_server_certificate(key->get(), authority->get(), key->get(), names, now);
    if (!made) return std::move(made).error().at(setting_path("server.names"));
  }
  return {};
}

}  // namespace

Result<void> check_values(const Config& config) {
  if (auto level = check_log_level(config); !level) return level;
  if (auto server = check_server(config); !server) return server;
  if (auto keys = check_unlock_settings(config); !keys) return keys;
  if (auto rooms = room_settings(config); !rooms) return std::move(rooms).error();
  if (auto reserve = config.number("database.reserve_mib", 0, 1 << 20); !reserve)
    return std::move(reserve).error();
  return {};
}

FieldPath setting_path(std::string_view key) {
  auto dot = key.find('.');
  return FieldPath(key.substr(0, dot)) / key.substr(dot + 1);
}

Result<void> check_settings(const Config& config) {
  if (auto values = check_values(config); !values) return values;
  if (config.text("database.url").empty()) return {};
  const SystemClock clock;
  auto database = open_database(config, clock, 1);
  if (!database) return std::move(database).error().at(setting_path("database.url"));
  return {};
}

bool is_store_left(const Config& config) {
  auto previous = config.path("keys.keyring");
  previous += ".previous";
  for (const auto& file : {previous, config.dir() / "holdfast.db", config.dir() / "witness",
                           config.dir() / "afterlog"})
    if (std::filesystem::exists(file)) return true;
  return false;
}

Result<void> check_store_is_there(const Config& config) {
  if (std::filesystem::exists(config.path("keys.keyring"))) return {};
  if (is_store_left(config))
    return Error(
        Code::not_found,
        "the keyring is missing, and the rest of the store is here: put back its copy, "
        "the file `keyring` in the folder of backup.keys, or DIR/keyring.previous, or restore "
        "a backup with `holdfast restore`. Without it nothing sealed can be opened");
  return Error(Code::not_found,
               "there is no store in this folder: name it with --dir, or make one with `holdfast "
               "init --dir DIR`");
}

Result<Config> config_of(const LocalOptions& options) {
  std::vector<std::pair<std::string, std::string>> overrides;
  for (const auto& one : options.set) {
    auto at = one.find('=');
    if (at == std::string::npos)
      return Error(Code::invalid, "--set takes section.name=value").at("set");
    overrides.emplace_back(one.substr(0, at), one.substr(at + 1));
  }
  if (!options.listen.empty()) {
    std::string all;
    for (const auto& one : options.listen) (all += all.empty() ? "" : ",") += one;
    overrides.emplace_back("server.listen", all);
  }
  auto config = Config::load(options.dir, overrides);
  if (!config) return config;
  if (auto listens = listens_of(*config); !listens) return std::move(listens).error();
  return config;
}

Result<void> check_log_level(const Config& config) {
  for (auto level : {"debug", "info", "warn", "error"})
    if (config.text("log.level") == level) return {};
  return Error(Code::invalid, "this is debug, info, warn or error").at(FieldPath("log") / "level");
}

std::shared_ptr<spdlog::logger> make_logger(const std::string& level) {
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>("holdfast", sink);
  logger->set_pattern(R"({"at":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","log":%v})",
                      spdlog::pattern_time_type::utc);
  logger->set_level(spdlog::level::from_str(level));
  return logger;
}

Result<void> prepare_process() {
  if (!prepare_secret_memory())
    return Error(Code::unavailable,
                 "memory for secrets cannot be locked: raise the limit (`ulimit -l 65536`, or "
                 "LimitMEMLOCK= in systemd)");
  return {};
}

}  // namespace holdfast::app
