#include "app/instance.h"

#include <spdlog/spdlog.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <thread>

#include "base/json.h"
#include "crypto/unlock/file.h"
#include "journal/upkeep.h"
#include "vault/policy.h"

namespace holdfast::app {
namespace {

constexpr std::size_t kPoolQueue = 64;

std::string said(std::string_view what,
                 std::initializer_list<std::pair<std::string_view, std::string_view>> facts) {
  std::string out = "{\"event\":";
  append_json_string(out, what);
  for (const auto& [key, value] : facts) {
    out += ',';
    append_json_string(out, key);
    out += ':';
    append_json_string(out, value);
  }
  return out + '}';
}

}  // namespace

Result<crypto::Keyring> unlock(const Config& config) {
  auto key = crypto::read_key_file(config.path("keys.file"));
  if (!key) return std::move(key).error();
  return crypto::read_keyring(config.path("keys.keyring"), key->root, key->store_id);
}

Result<std::unique_ptr<db::Database>> open_database(const Config& config, const Clock& clock,
                                                    std::size_t cores) {
  if (config.text("database.url").empty())
    return db::open_sqlite({.dir = config.dir(), .readers = cores}, clock);
  return db::open_postgres(
      {.url = config.text("database.url"), .schema = config.text("database.schema")}, clock);
}

Instance::Instance(Config config, Cores& cores, std::shared_ptr<spdlog::logger> log)
    : config_(std::move(config)),
      cores_(cores),
      logger_(std::move(log)),
      pool_(cores.size(), kPoolQueue * cores.size()) {}

Instance::~Instance() {
  stop();
}

void Instance::Notices::tampered(std::string_view kind, std::string_view id,
                                 std::string_view what) {
  instance_.logger_->error(
      said("authority_row_refused", {{"kind", kind}, {"id", id}, {"why", what}}));
}

Result<std::unique_ptr<Instance>> Instance::open(Config config, Cores& cores,
                                                 std::shared_ptr<spdlog::logger> log,
                                                 OpenOptions options) {
  std::unique_ptr<Instance> out(new Instance(std::move(config), cores, std::move(log)));
  if (auto done = out->open_all(options); !done) return std::move(done).error();
  return out;
}

Result<void> Instance::open_all(OpenOptions options) {
  auto ring = unlock(config_);
  if (!ring) return std::move(ring).error();
  keys_.set(std::make_shared<const crypto::KeySet>(std::move(*ring)));
  auto database = open_database(config_, clock_, cores_.size());
  if (!database) return std::move(database).error();
  database_ = std::move(*database);

  journal::LogOptions log_options{.witness = config_.dir() / "witness",
                                  .afterlog = config_.dir() / "afterlog",
                                  .accept_rollback = options.accept_rollback,
                                  .restored = options.restored,
                                  .policy_changed = [this] {
                                    if (rooms_) rooms_->cache.changed();
                                  }};
  auto log = cores_.wait(journal::Log::open({*database_, keys_, clock_}, std::move(log_options)));
  if (!log) return std::move(log).error();
  log_ = std::move(*log);
  auto index = cores_.wait(journal::AccessIndex::open(*log_, clock_));
  if (!index) return std::move(index).error();
  index_ = std::move(*index);
  auto calling_code = config_.text("vault.calling_code");
  if (!vault::is_calling_code(calling_code))
    return Error(Code::invalid, "a calling code is 1 to 3 digits, such as 49, or empty")
        .at(FieldPath("vault") / "calling_code");
  rooms_ = std::make_unique<Rooms>(
      Rooms::Deps{*log_, *index_, keys_, clock_, notices_, pool_, calling_code});
  if (auto done = cores_.wait(rooms_->access.prepare()); !done) return done;
  return cores_.wait(replay());
}

/// What the afterlog says must stay undone is undone again before anything is served.
Task<Result<void>> Instance::replay() {
  if (log_->afterlog_missing() && log_->size() > 0) {
    // A fresh store has no keys yet; of a restored one nobody can say which were revoked.
    auto ended = co_await rooms_->admin.revoke_after_restore({});
    if (!ended) co_return std::move(ended).error();
    if (*ended > 0)
      logger_->warn(said("afterlog_missing", {{"all_api_keys", "revoked"},
                                              {"next", "holdfast access recover --dir DIR"}}));
    co_return Result<void>();
  }
  auto entries = log_->afterlog_entries();
  std::vector<std::string> revoked;
  for (const auto& entry : entries)
    if (entry.kind == "api_key.revoked") revoked.emplace_back(as_text(entry.id));
  auto ended = co_await rooms_->admin.revoke_after_restore(std::move(revoked));
  if (!ended) co_return std::move(ended).error();
  auto erased = co_await rooms_->subjects.replay(std::move(entries));
  if (!erased) co_return std::move(erased).error();
  if (*ended > 0 || *erased > 0)
    logger_->warn(said("afterlog_replayed", {{"keys_revoked", std::to_string(*ended)},
                                             {"customers_erased", std::to_string(*erased)}}));
  co_return Result<void>();
}

std::vector<http::Route> Instance::routes() {
  if (!backups_) backups_ = std::make_unique<Backups>(*this);
  return rooms_->routes(Backups::rows(backups_.get()));
}

std::vector<http::Route> all_rows() {
  auto out = Rooms::rows(nullptr);
  for (auto& route : Backups::rows(nullptr)) out.push_back(std::move(route));
  return out;
}

std::vector<http::RouteInfo> catalogue() {
  std::vector<http::RouteInfo> out;
  for (const auto& route : all_rows()) out.push_back(route);
  return out;
}

void Instance::start() {
  auto& core = cores_.at(0);
  auto tell = [this](const Error* error) {
    if (error)
      logger_->error(
          said("journal_upkeep_failed", {{"code", code_name(error->code)}, {"why", error->text}}));
    else
      logger_->info(said("journal_upkeep_recovered", {}));
  };
  background_.push_back(boost::asio::co_spawn(
      core, journal::follow({*log_, *index_, stopping_, tell}), boost::asio::use_future));
  background_.push_back(boost::asio::co_spawn(core, rooms_->access.run(), boost::asio::use_future));
  auto tell_index = [this](const Error* error) {
    if (error)
      logger_->error(
          said("index_upkeep_failed", {{"code", code_name(error->code)}, {"why", error->text}}));
    else
      logger_->info(said("index_upkeep_recovered", {}));
  };
  background_.push_back(
      boost::asio::co_spawn(core, rooms_->rebuild.run(tell_index), boost::asio::use_future));
}

void Instance::stop() {
  if (!database_) return;
  stopping_ = true;
  if (rooms_) rooms_->access.stop();
  if (rooms_) rooms_->rebuild.stop();
  for (auto& task : background_) task.wait();
  background_.clear();
  if (log_)
    if (auto done = cores_.wait(log_->settle()); !done)
      logger_->error(said("last_checkpoint_failed", {{"why", done.error().text}}));
  rooms_.reset();
  index_.reset();
  log_.reset();
  database_->close();
  database_.reset();
}

}  // namespace holdfast::app
