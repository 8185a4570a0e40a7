// What local commands share: configuration from flags, a logger, an opened store.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/instance.h"
#include "app/local.h"
#include "http/server.h"

namespace holdfast::app {

/// `keys.file`, to name a setting in an error.
FieldPath setting_path(std::string_view key);
/// Errors: those of Config::load; invalid (an address to listen on without its host or port).
Result<Config> config_of(const LocalOptions& options);
/// `server.listen`. Errors: invalid (none, or one without its host or port).
Result<std::vector<http::ServerOptions::Listen>> listens_of(const Config& config);
/// What the server is started with, but for the log. Errors: invalid.
Result<http::ServerOptions> server_options(const Config& config);
/// `server.cores`; 0: one a core. Errors: invalid.
Result<std::size_t> threads_of(const Config& config);
/// Errors: invalid (whether and where the server can be unlocked).
Result<void> check_unlock_settings(const Config& config);
/// Each setting as `serve` and the store take it later, as far as that can be told without asking
/// anybody. Errors: invalid (the field names the setting).
Result<void> check_values(const Config& config);
/// The same and the database: for what must not stop half-way over one of them. Makes PostgreSQL's
/// schema where that is configured. Blocking.
/// Errors: invalid (the field names the setting), unavailable (the database).
Result<void> check_settings(const Config& config);
/// Files of a store that has no keyring.
bool is_store_left(const Config& config);
/// Errors: not_found. What is left of a store without its keyring is told from no store at all: a
/// new one in its place would lose what it holds.
Result<void> check_store_is_there(const Config& config);
/// Errors: invalid (log.level is none of its words).
Result<void> check_log_level(const Config& config);
/// JSON lines on standard error: `{"at":"...","level":"info","log":{...}}`.
std::shared_ptr<spdlog::logger> make_logger(const std::string& level);
/// Errors: unavailable when memory cannot be locked.
Result<void> prepare_process();

}  // namespace holdfast::app
