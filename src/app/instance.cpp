#include "app/instance.h"

#include <spdlog/spdlog.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdlib>
#include <set>
#include <thread>

#include "app/exit_codes.h"
#include "app/log_line.h"
#include "base/keep_running.h"
#include "http/certificate.h"
#include "journal/upkeep.h"
#include "vault/policy.h"

namespace holdfast::app {
namespace {

/// A row where customers' records are there and nobody's keys, as in the data file of a backup.
constexpr db::Sql kLacksKeys{
    "instance.lacks_keys",
    "select 1 where exists (select 1 from vault_records) and not exists (select 1 from "
    "vault_subject_keys)"};
constexpr std::size_t kPoolQueue = 64;
constexpr Millis kShortestKept{86'400'000};
constexpr Millis kShortestPause{1'000};
constexpr std::chrono::milliseconds kLookStep{100};
constexpr int kStepsPerLook = 600, kStepsPerRetry = 10;
constexpr std::chrono::seconds kPolicyWait{5};

vault::Controller controller_of(const Config& config) {
  return {.name = config.text("controller.name"),
          .address = config.text("controller.address"),
          .email = config.text("controller.email"),
          .phone = config.text("controller.phone"),
          .representative = config.text("controller.representative"),
          .officer = config.text("controller.officer"),
          .recipients = config.list("controller.recipients"),
          .transfers = config.list("controller.transfers")};
}

/// The server's name in handles, which people and load balancers read.
std::string node_name(const Config& config) {
  if (!config.text("cards.node").empty()) return config.text("cards.node");
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data())
                                                          : std::string("node");
}

Result<vault::RotationSettings> rotation_settings(const Config& config) {
  vault::RotationSettings out;
  auto window = config.duration("backup.keep_keys", kShortestKept);
  if (!window) return std::move(window).error();
  out.window = *window;
  out.epoch.reset();
  if (config.text("keys.epoch") == "never") return out;
  auto epoch = config.duration("keys.epoch", kShortestKept);
  if (!epoch) return std::move(epoch).error();
  out.epoch = *epoch;
  return out;
}

/// Whether a store has been served, or was being restored, in this folder.
bool was_used(const Config& config) {
  return std::filesystem::exists(config.dir() / "witness") ||
         std::filesystem::exists(pending_replay_file(config.dir()));
}

}  // namespace

Result<crypto::Keyring> Instance::save_keyring(const crypto::Keyring& ring) {
  const auto keys = keys_.get();
  if (!keys) return Error(Code::locked, "the server is locked");
  // A key that only this host holds is used by nobody: its data would be lost with the host.
  auto copied = rooms_->unlocking.keep_copy(ring, keys->root);
  if (!copied) return copied;
  auto wrote = crypto::write_keyring(config_.path("keys.keyring"), *copied, keys->root);
  if (!wrote) return std::move(wrote).error();
  return copied;
}

Result<void> check_database_is_there(const Config& config) {
  // An empty one made in its place would be taken for the store's.
  if (config.text("database.url").empty() && was_used(config) &&
      !std::filesystem::exists(config.dir() / "holdfast.db"))
    return Error(Code::not_found,
                 "the database (DIR/holdfast.db) is gone: put it back, or restore a backup with "
                 "`holdfast restore`");
  return {};
}

Result<std::unique_ptr<db::Database>> open_database(const Config& config, const Clock& clock,
                                                    std::size_t cores) {
  if (config.text("database.url").empty()) {
    auto reserve = config.number("database.reserve_mib", 0, 1 << 20);
    if (!reserve) return std::move(reserve).error();
    return db::open_sqlite({.dir = config.dir(),
                            .readers = cores,
                            .reserve_bytes = static_cast<std::uint64_t>(*reserve) << 20},
                           clock);
  }
  return db::open_postgres(
      {.url = config.text("database.url"), .schema = config.text("database.schema")}, clock);
}

Instance::Instance(Config config, Cores& cores, std::shared_ptr<spdlog::logger> log)
    : config_(std::move(config)),
      cores_(cores),
      logger_(std::move(log)),
      // One is left where a copy of the database takes another: a lock must not wait for it.
      pool_(std::max<std::size_t>(2, cores.size()), kPoolQueue * cores.size()) {}

Instance::~Instance() {
  stop();
}

void Instance::Notices::tampered(std::string_view kind, std::string_view id,
                                 std::string_view what) {
  instance_.logger_->error(
      said("authority_row_refused", {{"kind", kind}, {"id", id}, {"why", what}}));
}

void Instance::Alarms::canary_opened(std::string_view principal, std::string_view operation,
                                     const EventId& event) {
  opened_.fetch_add(1, std::memory_order_relaxed);
  instance_.logger_->critical(
      said("canary_opened",
           {{"principal", principal}, {"operation", operation}, {"journal_event", event.text()}}));
}

void Instance::Host::forget_keys() {
  if (instance_.log_) instance_.log_->forget_keys();
  if (instance_.rooms_) instance_.rooms_->tokens.forget_codes();
}

void Instance::Host::locked(bool stale) {
  instance_.logger_->warn(said("locked", {{"why", stale ? "stale_keyring" : "deliberate"}}));
  if (instance_.locked_) instance_.locked_(stale);
}

void Instance::Host::abandon() {
  instance_.logger_->error(said("locked", {{"process", "ended: a request held keys too long"}}));
  instance_.logger_->flush();
  std::_Exit(kFailed);
}

std::optional<vault::CertificateDates> Instance::Host::certificate() {
  const auto own = instance_.config_.path("server.certificate");
  const auto& dir = instance_.config_.dir();
  auto read = http::read_certificate(own.empty() ? dir / "server.pem" : own);
  if (!read) return std::nullopt;
  vault::CertificateDates out{http::valid_from(read->get()), http::valid_until(read->get())};
  if (!own.empty()) return out;
  if (auto authority = http::read_certificate(dir / "ca.pem")) {
    out.authority_from = http::valid_from(authority->get());
    out.authority_until = http::valid_until(authority->get());
  }
  return out;
}

Task<std::int64_t> Instance::Host::api_keys_ending(Millis within) {
  if (!instance_.rooms_) co_return 0;
  auto now = instance_.clock_.now();
  auto snapshot = co_await instance_.rooms_->cache.current(instance_.clock_.mono() + kPolicyWait);
  if (!snapshot) co_return 0;
  co_return std::ranges::count_if(
      (*snapshot)->keys, [&](const auto& one) { return access::due(one.second.key, now, within); });
}

Result<std::unique_ptr<Instance>> Instance::open(Config config, crypto::OpenedStore store,
                                                 Cores& cores, std::shared_ptr<spdlog::logger> log,
                                                 OpenOptions options) {
  std::unique_ptr<Instance> out(new Instance(std::move(config), cores, std::move(log)));
  if (auto done = out->open_all(std::move(store), std::move(options)); !done)
    return std::move(done).error();
  return out;
}

/// Added keys come out the same every time until they are written, so a crash between the two
/// steps only repeats the first.
Result<void> Instance::keep_added_keys() {
  if (!keys_added_) return {};
  const auto held = keys_.get();
  const auto& ring = held->ring;
  journal::Event event{.activity = "keys.added",
                       .facts = {{"generation", static_cast<std::int64_t>(ring.generation())}}};
  auto recorded = cores_.wait(log_->commit(Caller{}, {}, std::move(event)));
  if (!recorded) return std::move(recorded).error();
  // Every copy of this generation comes to the same ones, so none has to lie elsewhere first.
  if (auto saved = crypto::write_keyring(config_.path("keys.keyring"), ring, held->root); !saved)
    return saved;
  keys_added_ = false;
  logger_->warn(said("keys_added", {{"generation", std::to_string(ring.generation())},
                                    {"next", "make a backup: it holds the keyring"}}));
  return {};
}

/// An empty database where a store has been is not the store's: nothing is made in it.
Result<void> Instance::check_database_is_used() {
  if (!was_used(config_)) return {};
  const auto known = db::embedded_migrations();
  auto pending = cores_.wait(db::pending_migrations(database_->reader(), known));
  if (!pending) return std::move(pending).error();
  if (pending->size() < known.size()) return {};
  return Error(Code::not_found,
               "the database is empty, but this folder's store was used before: name its database "
               "in database.url and database.schema, or restore a backup with `holdfast restore`");
}

Result<void> Instance::open_keys(crypto::OpenedStore store, const crypto::RootFiles& files) {
  if (auto there = check_database_is_there(config_); !there) return there;
  if (!config_.text("database.url").empty()) {
    auto locked = db::DirLock::take(config_.dir());
    if (!locked) return std::move(locked).error();
    folder_.emplace(std::move(*locked));
  }
  auto database = open_database(config_, clock_, cores_.size());
  if (!database) return std::move(database).error();
  database_ = std::move(*database);
  if (auto used = check_database_is_used(); !used) return used;
  remove_joined(config_.dir());
  // Only now, since another server may have staged it that runs on this store.
  if (auto finished = crypto::finish_staged(files, store); !finished) return finished;
  keys_added_ = !store.ring.missing().empty();  // of an earlier version
  if (keys_added_) store.ring = store.ring.with_missing(clock_.now());
  keys_.set(std::make_shared<const crypto::KeySet>(std::move(store.ring), std::move(store.root)));
  return cores_.wait(vault::refuse_older_keyring(database_->reader(), *keys_.get()));
}

Result<void> Instance::open_all(crypto::OpenedStore store, OpenOptions options) {
  auto places = unlock_places(config_);
  if (!places) return std::move(places).error();
  if (auto done = open_keys(std::move(store), places->files); !done) return done;
  locked_ = std::move(options.locked);

  if (options.accept_rollback) {
    auto lacks = cores_.wait(database_->reader().read(kLacksKeys, {}));
    if (!lacks) return std::move(lacks).error();
    if (!lacks->empty())
      return Error(Code::conflict,
                   "this is the data file of a backup, without anybody's keys: nothing in it would "
                   "open. Put it in place with `holdfast restore --data FILE --keys FILE`, not by "
                   "hand");
    if (auto noted = note_replay(config_.dir(), schema_of(config_), {}); !noted) return noted;
  }
  auto pending = pending_replay(config_.dir(), schema_of(config_));
  if (!pending) return std::move(pending).error();
  older_ = options.restored || *pending;
  restored_ = options.restored || (*pending && (*pending)->restored);
  journal::LogOptions log_options{
      .witness = config_.dir() / "witness",
      .afterlog = config_.dir() / "afterlog",
      .accept_rollback = options.accept_rollback || (*pending && !restored_),
      .restored = options.restored,
      .restoring = restored_,
      .afterlog_known = *pending ? (*pending)->afterlog_known : std::nullopt,
      .policy_changed = [this] {
        if (rooms_) rooms_->cache.changed();
      }};
  auto log = cores_.wait(journal::Log::open({*database_, keys_, clock_}, std::move(log_options)));
  if (!log) return std::move(log).error();
  log_ = std::move(*log);
  if (auto lacks = log_->witness_lacks(); !lacks.empty())
    logger_->warn(said("witness_missing",
                       {{"lacks", lacks},
                        {"next",
                         "nobody can say whether this is the newest database and afterlog: "
                         "compare with a checkpoint that you exported"}}));
  if (auto done = keep_added_keys(); !done) return done;
  auto index = cores_.wait(journal::AccessIndex::open(*log_, clock_));
  if (!index) return std::move(index).error();
  index_ = std::move(*index);
  if (auto done = open_time(); !done) return done;
  if (auto done = open_rooms(std::move(*places)); !done) return done;
  if (auto done = cores_.wait(rooms_->unlocking.resume(std::move(options.unlocked_by), older_));
      !done)
    return done;
  if (auto done = cores_.wait(rooms_->access.prepare()); !done) return done;
  if (auto done = cores_.wait(rooms_->rotations.prepare()); !done) return done;
  if (auto done = cores_.wait(access::prepare_observed(log_->scratch())); !done) return done;
  auto replayed = cores_.wait(replay_afterlog({.log = *log_,
                                               .rooms = *rooms_,
                                               .logger = *logger_,
                                               .older = older_,
                                               .restored = restored_}));
  if (!replayed) return std::move(replayed).error();
  replayed_ = *replayed;
  return older_ ? end_replay(config_.dir()) : Result<void>();
}

Result<RoomSettings> room_settings(const Config& config) {
  auto each = config.duration("retention.each", kShortestPause);
  if (!each) return std::move(each).error();
  auto rotation = rotation_settings(config);
  if (!rotation) return std::move(rotation).error();
  auto zone = access::Zone::named(config.text("access.time_zone"));
  if (!zone) return std::move(zone).error().at(FieldPath("access") / "time_zone");
  auto per_hour = config.number("access.store_per_hour", 0, 1'000'000'000);
  if (!per_hour) return std::move(per_hour).error();
  auto per_day = config.number("access.store_per_day", 0, 1'000'000'000);
  if (!per_day) return std::move(per_day).error();
  auto calling_code = config.text("vault.calling_code");
  if (!vault::is_calling_code(calling_code))
    return Error(Code::invalid, "a calling code is 1 to 3 digits, such as 49, or empty")
        .at(FieldPath("vault") / "calling_code");
  return RoomSettings{
      *each, *rotation, std::move(*zone), {*per_hour, *per_day}, std::move(calling_code)};
}

Result<void> Instance::open_rooms(vault::UnlockPlaces places) {
  auto settings = room_settings(config_);
  if (!settings) return std::move(settings).error();
  rooms_ = std::make_unique<Rooms>(Rooms::Deps{
      .log = *log_,
      .index = *index_,
      .keys = keys_,
      .clock = clock_,
      .notices = notices_,
      .pool = pool_,
      .time = *time_,
      .sweep = {.each = settings->sweep_each},
      .controller = controller_of(config_),
      .save_keyring = [this](const crypto::Keyring& ring) { return save_keyring(ring); },
      .forget_backups =
          [this](Time before) { return destroy_keys_files(config_.path("backup.keys"), before); },
      .count_backups = [this](Time before) -> Result<std::int64_t> {
        // Without the copy of the keyring it is not that folder: a disk may be away.
        std::error_code unreadable;
        if (!std::filesystem::exists(config_.path("backup.keys") / "keyring", unreadable))
          return Error(Code::unavailable, "the folder backup.keys is away");
        auto files = keys_files(config_.path("backup.keys"), before);
        if (!files) return std::move(files).error();
        return std::ssize(*files);
      },
      .rotation = settings->rotation,
      .alarms = alarms_,
      .ceiling = settings->ceiling,
      .zone = std::move(settings->zone),
      .node = node_name(config_),
      .unlock_host = host_,
      .unlock_places = std::move(places),
      .calling_code = std::move(settings->calling_code)});
  return {};
}

Result<void> Instance::open_time() {
  time_ = std::make_unique<journal::JournalTime>(
      journal::JournalTime::Deps{
          *log_, keys_, clock_,
          [database = database_.get()](MonoTime deadline) { return database->time(deadline); }},
      journal::JournalTime::Options{.continued = log_->continued() && !older_});
  if (auto done = cores_.wait(time_->open()); !done) return done;
  auto status = time_->status();
  if (status.refused)
    logger_->warn(said("irreversible_work_stands_still", {{"why", status.refused->text}}));
  else if (status.behind > status.allowance)
    logger_->warn(said("journal_time_behind", {{"ms", std::to_string(status.behind.count())},
                                               {"next", "holdfast keys confirm-time"}}));
  return {};
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

/// `make` gives the task, and gives it anew when it threw: what runs beside requests must not end
/// unseen.
template <class Executor>
void Instance::keep(Executor& where, std::string_view name, std::function<Task<void>()> make) {
  auto tell = [this](std::string_view task, std::string_view type) {
    logger_->error(
        said("background_task_failed",
             {{"task", task}, {"kind", type}, {"next", "it is begun again in a few seconds"}}));
  };
  background_.push_back(boost::asio::co_spawn(
      where, keep_running({.name = name, .stop = stopping_, .tell = tell}, std::move(make)),
      boost::asio::use_future));
}

void Instance::start() {
  auto& core = cores_.at(0);
  auto tell = [this](const Error* error) {
    if (error && error->code == Code::locked) return;  // and the server goes down
    if (error)
      logger_->error(
          said("journal_upkeep_failed", {{"code", code_name(error->code)}, {"why", error->text}}));
    else
      logger_->info(said("journal_upkeep_recovered", {}));
  };
  keep(core, "journal", [=, this] { return journal::follow({*log_, *index_, stopping_, tell}); });
  keep(core, "access", [this] { return rooms_->access.run(); });
  keep(core, "tokens", [this] { return rooms_->tokens.run(); });
  auto tell_rotation = [this](const Error* error) {
    if (error)
      logger_->error(
          said("rotation_failed", {{"code", code_name(error->code)}, {"why", error->text}}));
    else
      logger_->info(said("rotation_goes_on", {}));
  };
  keep(rotating_, "rotations", [=, this] { return rooms_->rotations.run(tell_rotation); });
  auto tell_time = [this](const Error* error) {
    if (error)
      logger_->error(
          said("journal_time_failed", {{"code", code_name(error->code)}, {"why", error->text}}));
    else
      logger_->info(said("journal_time_recovered", {}));
  };
  keep(core, "journal_time",
       [=, this] { return journal::keep_time({*time_, stopping_, tell_time}); });
  auto tell_sweep = [this](const Error* error) {
    if (error)
      logger_->error(
          said("retention_stands_still", {{"code", code_name(error->code)}, {"why", error->text}}));
    else
      logger_->info(said("retention_goes_on", {}));
  };
  keep(core, "retention", [=, this] { return rooms_->sweep.run(stopping_, tell_sweep); });
  keep(core, "budgets", [this] { return rooms_->tend(stopping_, clock_); });
  keep(core, "requests", [this] { return rooms_->requests.watch(stopping_); });
  keep(core, "keys", [this] { return look_after_keys(); });
  keep(copying_, "keyring_copy", [this] { return keep_copy(); });
  auto tell_index = [this](const Error* error) {
    if (error)
      logger_->error(
          said("index_upkeep_failed", {{"code", code_name(error->code)}, {"why", error->text}}));
    else
      logger_->info(said("index_upkeep_recovered", {}));
  };
  keep(core, "indexes", [=, this] { return rooms_->rebuild.run(tell_index); });
}

void Instance::tell_disk(bool& low) {
  const bool now = database_->health().low_on_space;
  if (now == std::exchange(low, now)) return;
  if (now)
    logger_->error(said("disk_low", {{"what",
                                      "the reserve was given up: what would grow the "
                                      "database is refused"},
                                     {"next", "make room for twice database.reserve_mib"}}));
  else
    logger_->info(said("disk_low_over", {}));
}

Task<void> Instance::look_after_keys() {
  std::set<std::string> known;
  bool failing = false, disk_low = false;
  boost::asio::steady_timer pause(co_await boost::asio::this_coro::executor);
  for (int step = 0; !stopping_; ++step) {
    tell_disk(disk_low);
    if (step % kStepsPerLook == 0 && keys_.get()) {
      auto alarms = co_await rooms_->unlocking.look();
      if (!alarms && !std::exchange(failing, true))
        logger_->error(said("keys_not_looked_after", {{"code", code_name(alarms.error().code)},
                                                      {"why", alarms.error().text}}));
      std::set<std::string> now;
      if (alarms) {
        failing = false;
        for (const auto& alarm : *alarms) {
          now.insert(alarm.alarm);
          if (!known.contains(alarm.alarm))
            logger_->warn(said("alarm", {{"alarm", alarm.alarm}, {"what", alarm.text}}));
        }
        for (const auto& name : known)
          if (!now.contains(name)) logger_->info(said("alarm_over", {{"alarm", name}}));
        known = std::move(now);
      }
    }
    pause.expires_after(kLookStep);
    co_await pause.async_wait(boost::asio::use_awaitable);
  }
}

Task<void> Instance::keep_copy() {
  boost::asio::steady_timer pause(co_await boost::asio::this_coro::executor);
  for (int left = 0; !stopping_; --left) {
    if (left <= 0) left = rooms_->unlocking.follow_copy() ? kStepsPerLook : kStepsPerRetry;
    pause.expires_after(kLookStep);
    co_await pause.async_wait(boost::asio::use_awaitable);
  }
}

void Instance::stop() {
  if (!database_) return;
  stopping_ = true;
  if (rooms_) rooms_->access.stop();
  if (rooms_) rooms_->tokens.stop();
  if (rooms_) rooms_->rotations.stop();
  if (rooms_) rooms_->rebuild.stop();
  for (auto& task : background_) task.wait();
  background_.clear();
  if (log_)
    if (auto done = cores_.wait(log_->settle()); !done && done.error().code != Code::locked)
      logger_->error(said("last_checkpoint_failed", {{"why", done.error().text}}));
  rooms_.reset();
  time_.reset();
  index_.reset();
  log_.reset();
  database_->close();
  database_.reset();
  folder_.reset();
}

}  // namespace holdfast::app
