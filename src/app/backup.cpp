#include "app/backup.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iostream>

#include "app/exit_codes.h"
#include "app/print.h"
#include "app/setup.h"
#include "crypto/unlock/file.h"
#include "db/data_split.h"
#include "journal/outside.h"

namespace holdfast::app {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kKeyTables[] = {"vault_subject_keys"};
constexpr std::string_view kDataName = "holdfast-data-", kKeysName = "holdfast-keys-",
                           kEnding = ".db";
constexpr Millis kKeepKeys{30LL * 86'400'000};
constexpr std::size_t kLongestKeyring = 16u << 20;

/// 20261123T093000123Z: sorts by time and is a name on every file system.
std::string stamp(Time now) {
  auto out = rfc3339(now);
  std::erase_if(out, [](char c) { return c == '-' || c == ':' || c == '.'; });
  return out;
}

Result<void> make_folder(const fs::path& dir) {
  std::error_code failed;
  fs::create_directories(dir, failed);
  if (failed)
    return Error(Code::unavailable,
                 "a backup folder cannot be made: see backup.data and backup.keys in the settings");
  fs::permissions(dir, fs::perms::owner_all, failed);
  return {};
}

/// Keys files whose names say that they are older than the window.
std::int64_t destroy_old_keys(const fs::path& dir, Time now) {
  auto oldest = std::string(kKeysName) + stamp(now - kKeepKeys) + std::string(kEnding);
  std::int64_t count = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(dir, ignored)) {
    auto name = entry.path().filename().string();
    if (name.starts_with(kKeysName) && name.ends_with(kEnding) && name < oldest &&
        fs::remove(entry.path(), ignored))
      ++count;
  }
  return count;
}

struct Files {
  fs::path data, keys;
};

/// On the pool.
Result<Files> write_files(Instance& instance, Time now) {
  const auto& config = instance.config();
  for (const char* key : {"backup.data", "backup.keys"})
    if (auto made = make_folder(config.path(key)); !made) return std::move(made).error();
  Files out{
      config.path("backup.data") / (std::string(kDataName) + stamp(now) + std::string(kEnding)),
      config.path("backup.keys") / (std::string(kKeysName) + stamp(now) + std::string(kEnding))};
  auto unfinished = out.data;
  unfinished += ".part";
  auto unfinished_keys = out.keys;
  unfinished_keys += ".part";
  std::error_code ignored;
  auto clean = [&] {
    fs::remove(unfinished, ignored);
    fs::remove(unfinished_keys, ignored);
  };
  if (auto copied = instance.database().copy_to(unfinished); !copied)
    return std::move(copied).error();
  auto ring = journal::read_small_file(config.path("keys.keyring"), kLongestKeyring);
  if (!ring) {
    clean();
    return std::move(ring).error();
  }
  std::map<std::string, Bytes> parts = {{"keyring", to_bytes(*ring)}};
  if (auto method = journal::read_small_file(config.dir() / "unlock", kLongestKeyring))
    parts.emplace("unlock", to_bytes(*method));
  auto split = db::split_data(unfinished, unfinished_keys, kKeyTables, parts, instance.clock());
  if (!split) {
    clean();
    return std::move(split).error();
  }
  // The keys first: data without keys is a backup that opens nothing, and would look like one.
  if (std::rename(unfinished_keys.c_str(), out.keys.c_str()) != 0 ||
      std::rename(unfinished.c_str(), out.data.c_str()) != 0) {
    clean();
    return Error(Code::unavailable, "a backup file cannot be put in place");
  }
  return out;
}

Result<crypto::OpenedStore> restore_files(const LocalOptions& options, const Config& config) {
  SystemClock clock;
  std::error_code failed;
  fs::create_directories(config.dir(), failed);
  if (failed)
    return Error(Code::unavailable, "the folder cannot be made: check its parent and your rights");
  fs::permissions(config.dir(), fs::perms::owner_all, failed);
  if (!fs::exists(config.dir() / "holdfast.toml"))
    if (auto wrote = journal::write_file_atomically(config.dir() / "holdfast.toml", default_file());
        !wrote)
      return std::move(wrote).error();

  auto parts = db::read_parts(options.keys, clock);
  if (!parts) return std::move(parts).error();
  auto keyring = parts->find("keyring");
  if (keyring == parts->end()) return Error(Code::invalid, "the keys file holds no keyring");
  if (!fs::exists(config.path("keys.keyring")))
    if (auto wrote =
            journal::write_file_atomically(config.path("keys.keyring"), as_text(keyring->second));
        !wrote)
      return std::move(wrote).error();
  // How the root key comes was backed up with the keys; a folder that knows already knows better.
  auto method = parts->find("unlock");
  if (method != parts->end() && !fs::exists(config.dir() / "unlock"))
    if (auto wrote =
            journal::write_file_atomically(config.dir() / "unlock", as_text(method->second));
        !wrote)
      return std::move(wrote).error();
  auto means = means_of(options, config);
  if (!means) return std::move(means).error();
  auto opened = unlock(config, *means);
  if (!opened && opened.error().code == Code::not_found)
    return Error(Code::not_found,
                 "the root key is missing. Put the key file back, or write it again from recovery "
                 "shares: `holdfast keys "
                 "recover --dir DIR SHARE SHARE`; then run this again");
  if (!opened) return opened;

  if (!options.afterlog.empty() && !fs::exists(config.dir() / "afterlog")) {
    auto text = journal::read_small_file(options.afterlog, 256u << 20);
    if (!text) return std::move(text).error().at("afterlog");
    if (auto wrote = journal::write_file_atomically(config.dir() / "afterlog", *text); !wrote)
      return std::move(wrote).error();
  }
  // The database that is there steps aside, whole.
  auto aside = ".before-restore-" + stamp(clock.now());
  for (const char* name : {"holdfast.db", "holdfast.db-wal", "holdfast.db-shm"})
    if (fs::exists(config.dir() / name)) {
      fs::rename(config.dir() / name, config.dir() / (name + aside), failed);
      if (failed)
        return Error(Code::unavailable, "the database that is there cannot be moved aside");
    }
  for (const char* name : {"scratch.db", "scratch.db-wal", "scratch.db-shm"})
    fs::remove(config.dir() / name, failed);

  auto joined = config.dir() / "restore.part";
  fs::copy_file(options.data, joined, fs::copy_options::overwrite_existing, failed);
  if (failed) return Error(Code::not_found, "the data file cannot be read").at("data");
  fs::permissions(joined, fs::perms::owner_read | fs::perms::owner_write, failed);
  auto done = db::join_data(joined, options.keys, kKeyTables, clock);
  if (done) {
    auto database = open_database(config, clock, 1);
    done = database ? (*database)->load_from(joined) : Result<void>(std::move(database).error());
    if (database) (*database)->close();
  }
  fs::remove(joined, failed);
  if (!done) return std::move(done).error();
  return opened;
}

}  // namespace

Task<Result<BackupMade>> Backups::create(Caller caller, BackupRequest) {
  if (running_.exchange(true))
    co_return Error(Code::exhausted, "a backup is being made already: wait for it");
  auto now = instance_.clock().now();
  if (auto done = co_await instance_.log().settle(); !done) {
    running_ = false;
    co_return std::move(done).error();
  }
  auto size = instance_.log().size();
  auto files = co_await instance_.pool().run([this, now] { return write_files(instance_, now); });
  running_ = false;
  if (!files) co_return std::move(files).error();
  BackupMade out{
      .data = files->data.string(),
      .keys = files->keys.string(),
      .journal_size = size,
      .keys_files_destroyed = destroy_old_keys(instance_.config().path("backup.keys"), now),
      .event = {}};
  journal::Event event{.activity = "backups.create",
                       .facts = {{"data", files->data.filename().string()},
                                 {"destroyed", out.keys_files_destroyed},
                                 {"keys", files->keys.filename().string()}}};
  auto done = co_await instance_.log().commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  out.event = done->receipt.event;
  co_return out;
}

std::vector<http::Route> Backups::rows(Backups* backups) {
  std::vector<http::Route> out;
  out.push_back(
      http::route<&Backups::create>(backups, "backups.create", "POST", "/v1/backups",
                                    "Back the store up: data and keys, two files to two places",
                                    {.limits = {.time = std::chrono::hours(2)}, .status = 201}));
  return out;
}

std::span<const Member> BackupMade::described() {
  using B = BackupMade;
  static constexpr Member kMembers[] = {
      member<&B::data>("data", "The data file. Any age can be restored.", {.bytes = 4096}),
      member<&B::keys>("keys", "The keys file. Keep it elsewhere; only the newest is needed.",
                       {.bytes = 4096}),
      member<&B::journal_size>("journal_size", "Entries in the journal when it began."),
      member<&B::keys_files_destroyed>("keys_files_destroyed",
                                       "Keys files over 30 days old that were destroyed."),
      member<&B::event>("event", "The journal entry that records it.")};
  return kMembers;
}

int restore(const LocalOptions& options) {
  umask(0077);
  if (auto ready = prepare_process(); !ready) return print_error(ready.error());
  auto config = config_of(options);
  if (!config) return print_error(config.error());
  auto opened = restore_files(options, *config);
  if (!opened) return print_error(opened.error());
  bool afterlog = fs::exists(config->dir() / "afterlog");
  Cores cores(0);
  auto instance = Instance::open(std::move(*config), std::move(*opened), cores, make_logger("warn"),
                                 {.restored = true});
  if (!instance) return print_error(instance.error());
  std::cout << "Restored. The log goes on as " << (*instance)->log().origin() << ".\n";
  if (afterlog)
    std::cout << "What the afterlog names was erased and revoked again.\n";
  else
    std::cout << "There was no afterlog, so nobody can say which keys were revoked since the "
                 "backup: every API key is\n"
                 "suspended, and customers erased since then are back. Make an owner key with "
                 "`holdfast access recover`.\n";
  (*instance)->stop();
  return kDone;
}

}  // namespace holdfast::app
