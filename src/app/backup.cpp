#include "app/backup.h"

#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>

#include "app/backup_window.h"
#include "app/exit_codes.h"
#include "app/print.h"
#include "app/setup.h"
#include "crypto/unlock/file.h"
#include "db/data_split.h"
#include "db/dir_lock.h"
#include "journal/outside.h"

namespace holdfast::app {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kKeyTables[] = {"vault_subject_keys"};
constexpr std::string_view kDataName = "holdfast-data-", kKeysName = "holdfast-keys-",
                           kEnding = ".db", kUnfinished = ".db.part";
static_assert(kDataName.size() == kKeysName.size());
constexpr std::chrono::seconds kPatience{30};
constexpr std::chrono::milliseconds kPause{20};
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

using Files = BackupFiles;

fs::path unfinished(fs::path file) {
  file += ".part";
  return file;
}

/// The data while it holds the keys too: where keys may lie, so that a backup which is cut off
/// leaves none with the data.
fs::path with_keys(const Files& files) {
  return unfinished(files.keys.parent_path() / files.data.filename());
}

/// Also what SQLite keeps beside such a file.
bool is_unfinished(std::string_view name) {
  return (name.starts_with(kDataName) || name.starts_with(kKeysName)) && name.contains(kUnfinished);
}

/// What a backup left that did not come to its end. What cannot be removed is left to the next one.
void clean(const Config& config) {
  std::error_code ignored, ended;
  for (const char* key : {"backup.data", "backup.keys"})
    for (fs::directory_iterator at(config.path(key), ended), end; at != end; at.increment(ended))
      if (is_unfinished(at->path().filename().string())) fs::remove(at->path(), ignored);
}

/// To another folder, which may be on another disk.
bool move_file(const fs::path& from, const fs::path& to) {
  std::error_code failed;
  fs::rename(from, to, failed);
  if (failed != std::errc::cross_device_link) return !failed;
  fs::copy_file(from, to, failed);
  if (failed) return false;
  fs::remove(from, failed);
  return !failed;
}

/// On the pool: the database as it is now, keys and all.
Result<Files> copy_data(Instance& instance, Time now) {
  const auto& config = instance.config();
  for (const char* key : {"backup.data", "backup.keys"})
    if (auto made = make_folder(config.path(key)); !made) return std::move(made).error();
  clean(config);
  Files out{
      config.path("backup.data") / (std::string(kDataName) + stamp(now) + std::string(kEnding)),
      config.path("backup.keys") / (std::string(kKeysName) + stamp(now) + std::string(kEnding))};
  if (auto copied = instance.database().copy_to(with_keys(out)); !copied) {
    clean(config);
    return std::move(copied).error();
  }
  return out;
}

using Parts = std::map<std::string, Bytes>;

/// On the pool: the keyring, and how its root key comes. Read after the copy, so that the keyring
/// holds every key that the copy is under.
Result<Parts> read_keys(const Config& config, KeysWindow window) {
  auto ring = journal::read_small_file(config.path("keys.keyring"), kLongestKeyring);
  if (!ring) return std::move(ring).error();
  Parts out = {{"keyring", to_bytes(*ring)}, {"window", to_bytes(to_json(window))}};
  auto method = journal::read_small_file(config.dir() / "unlock", kLongestKeyring);
  if (!method && method.error().code != Code::not_found) return std::move(method).error();
  if (method) out.emplace("unlock", to_bytes(*method));
  return out;
}

/// On the pool: the keys out of it, into a file of their own.
Result<void> split_keys(const Files& out, const Parts& parts, const Clock& clock) {
  return db::split_data(with_keys(out), unfinished(out.keys), kKeyTables, parts, clock);
}

/// On the pool: whether the copy can be restored with this keyring. Between the two a rotation that
/// was hurried may have destroyed a key that the copy is under.
Result<void> fits_together(const Files& out, const KeysWindow& window, const crypto::Keyring& ring,
                           const Clock& clock) {
  auto state = read_data_state(with_keys(out), clock);
  if (!state) return std::move(state).error();
  auto epochs = read_epochs(with_keys(out), clock);
  if (!epochs) return std::move(epochs).error();
  if (auto fit = fits(*state, window, *epochs, ring); !fit)
    return Error(Code::conflict, "a key was destroyed while the backup was made: back up again");
  return {};
}

/// On the pool.
Result<void> put_in_place(const Files& out) {
  // The keys first: data without keys is a backup that opens nothing, and would look like one.
  if (!move_file(with_keys(out), unfinished(out.data)) ||
      !journal::replace_file(unfinished(out.keys), out.keys) ||
      !journal::replace_file(unfinished(out.data), out.data))
    return Error(Code::unavailable,
                 "a backup file cannot be put in place: see the rights of the folders backup.data "
                 "and backup.keys, and the room on their disks");
  return {};
}

/// Under whichever of the store's keys: a rotation may have stopped on the way.
Result<std::unique_ptr<journal::Afterlog>> open_afterlog(const fs::path& file,
                                                         const crypto::Keyring& ring) {
  Result<std::unique_ptr<journal::Afterlog>> out =
      Error(Code::corrupt, "the keyring has no key of the afterlog");
  for (auto id : ring.ids(crypto::KeyUse::afterlog)) {
    out = journal::Afterlog::open(file, ring.find(crypto::KeyUse::afterlog, id)->expose());
    if (out || out.error().code != Code::corrupt) break;
  }
  return out;
}

/// The afterlog that the caller names, unless the folder's goes on from it. It is looked at before
/// anything that is there is touched.
Result<void> bring_afterlog(const LocalOptions& options, const fs::path& file,
                            const crypto::Keyring& ring) {
  if (options.afterlog.empty()) return {};
  auto beside = file;
  beside += ".part";
  std::error_code failed;
  struct Gone {
    const fs::path& file;
    ~Gone() {
      std::error_code ignored;
      fs::remove(file, ignored);
    }
  } gone{beside};
  fs::copy_file(options.afterlog, beside, fs::copy_options::overwrite_existing, failed);
  if (failed) return Error(Code::not_found, "the afterlog cannot be read").at("afterlog");
  fs::permissions(beside, fs::perms::owner_read | fs::perms::owner_write, failed);
  auto named = open_afterlog(beside, ring);
  if (!named && named.error().code == Code::corrupt)
    return Error(Code::corrupt,
                 "this is no afterlog of this store, or it was changed: take the file `afterlog` "
                 "of the store's folder, or a copy of it; nothing was touched")
        .at("afterlog");
  if (!named) return std::move(named).error().at("afterlog");
  if (fs::exists(file)) {
    auto own = open_afterlog(file, ring);
    if (own && (*own)->continues((*named)->end())) return {};
    if (!own || !(*named)->continues((*own)->end()))
      return Error(Code::conflict,
                   "the afterlog in the store's folder does not follow from the one that is "
                   "named, nor that one from it: move the wrong one away, which may be the file "
                   "`afterlog` in the folder; nothing was touched")
          .at("afterlog");
  }
  return journal::replace_file(beside, file);
}

/// The note of a replay, which goes again unless one is due. A folder that nothing was served from
/// keeps it as long as a keyring is there: it must not come up as a new store.
struct ReplayNote {
  const Config& config;
  fs::path file = pending_replay_file(config.dir());
  bool unused = !fs::exists(config.dir() / "witness") && !fs::exists(config.dir() / "holdfast.db");
  bool due = fs::exists(file);

  ~ReplayNote() {
    std::error_code ignored;
    if (!due && !(unused && fs::exists(config.path("keys.keyring"), ignored)))
      fs::remove(file, ignored);
  }
};

/// An error of reading the data file, which may be any file that somebody named.
Error of_data(Error error) {
  if (error.code != Code::corrupt && error.code != Code::internal) return error;
  return Error(Code::corrupt,
               "the data file is damaged, cut short, or none that `holdfast backup` wrote: copy it "
               "again from where the backup lies, or take another one")
      .at("data");
}

/// Before anything is touched: a keyring that is here may be the only one of its store.
Result<void> of_one_store(const fs::path& here, BytesView brought) {
  auto text = journal::read_small_file(here, kLongestKeyring);
  if (!text) return {};  // opening it says why
  auto own = crypto::keyring_head(as_bytes(*text));
  auto other = crypto::keyring_head(brought);
  if (own && other && own->store_id != other->store_id)
    return Error(
               Code::conflict,
               "this keys file is of another store than the keyring that is here, and nothing was "
               "touched: take a keys file of this store, or restore into another folder")
        .at("keys");
  return {};
}

/// Puts everything in place before the store is opened.
Result<crypto::OpenedStore> restore_files(const LocalOptions& options, const Config& config) {
  SystemClock clock;
  std::error_code failed;
  fs::create_directories(config.dir(), failed);
  if (failed)
    return Error(Code::unavailable, "the folder cannot be made: check its parent and your rights");
  fs::permissions(config.dir(), fs::perms::owner_all, failed);
  // Before anything is touched, and until the database is put in place.
  auto locked = db::DirLock::take(config.dir());
  if (!locked) return std::move(locked).error();
  std::optional<db::DirLock> folder(std::move(*locked));
  if (!fs::exists(config.dir() / "holdfast.toml"))
    if (auto wrote = journal::write_file_atomically(config.dir() / "holdfast.toml", default_file());
        !wrote)
      return std::move(wrote).error();

  auto parts = db::read_parts(options.keys, clock);
  if (!parts) return std::move(parts).error();
  auto keyring = parts->find("keyring");
  if (keyring == parts->end()) return Error(Code::invalid, "the keys file holds no keyring");
  auto said = parts->find("window");
  auto window = read_window(said == parts->end() ? std::string_view() : as_text(said->second));
  if (!window) return std::move(window).error();
  auto end = afterlog_of(*window);
  if (!end) return std::move(end).error().at("keys");
  ReplayNote note{config};
  if (note.unused && !note.due)
    if (auto noted = note_replay(config.dir(), schema_of(config), *window); !noted)
      return std::move(noted).error();
  const bool brought = !fs::exists(config.path("keys.keyring"));
  if (!brought)
    if (auto same = of_one_store(config.path("keys.keyring"), keyring->second); !same)
      return std::move(same).error();
  if (brought)
    if (auto wrote =
            journal::write_file_atomically(config.path("keys.keyring"), as_text(keyring->second));
        !wrote)
      return std::move(wrote).error();
  // How the root key comes was backed up with the keys; a folder that knows already knows better.
  auto method = parts->find("unlock");
  const auto record = config.dir() / "unlock";
  const bool brought_method = method != parts->end() && !fs::exists(record);
  if (brought_method)
    if (auto wrote = journal::write_file_atomically(record, as_text(method->second)); !wrote)
      return std::move(wrote).error();
  // The backup's, by this try or an earlier one: beside a keyring from after a reshare it is void.
  auto of_backup = [&] {
    auto text = journal::read_small_file(record, kLongestKeyring);
    return text && method != parts->end() && *text == as_text(method->second);
  };
  // So that another can be tried.
  auto take_back = [&] {
    if (brought) fs::remove(config.path("keys.keyring"), failed);
    if (brought_method) fs::remove(record, failed);
  };
  auto means = means_of(options, config);
  if (!means) return std::move(means).error();
  auto opened = unlock(config, *means);
  if (!opened && !brought && !means->shares.empty() && of_backup()) {
    // Without that file shares open what they prove to open.
    const auto aside = config.dir() / "unlock.aside";
    fs::rename(record, aside, failed);
    if (auto by_shares = unlock(config, *means)) opened = std::move(by_shares);
    if (opened)
      fs::remove(aside, failed);
    else
      fs::rename(aside, record, failed);
  }
  // What opens with something else stays: a key file or shares may yet come.
  if (!opened && opened.error().code != Code::not_found && opened.error().code != Code::locked)
    take_back();
  if (!opened && opened.error().code == Code::not_found)
    return Error(Code::not_found,
                 "the root key is missing. Put the key file back, or write it again from recovery "
                 "shares: `holdfast keys "
                 "recover --dir DIR SHARE SHARE`; then run this again");
  if (!opened) return std::move(opened).error();
  if (!brought && of_backup() && !crypto::Keyring::open(keyring->second, opened->root))
    fs::remove(record, failed);  // the key file was the new one: it says nothing of shares
  // Looked at before anything that is there is touched.
  auto state = read_data_state(options.data, clock);
  if (!state) return of_data(std::move(state).error());
  auto epochs = read_epochs(options.keys, clock);
  if (!epochs) return std::move(epochs).error().at("keys");
  if (auto fit = fits(*state, *window, *epochs, opened->ring); !fit) {
    take_back();
    return std::move(fit).error().at("keys");
  }

  if (auto brought_too = bring_afterlog(options, config.dir() / "afterlog", opened->ring);
      !brought_too) {
    take_back();
    return std::move(brought_too).error();
  }
  remove_joined(config.dir());  // a journal beside one that was cut off would be played into this
  auto joined = joined_file(config.dir());
  fs::copy_file(options.data, joined, fs::copy_options::overwrite_existing, failed);
  if (failed) return Error(Code::not_found, "the data file cannot be read").at("data");
  fs::permissions(joined, fs::perms::owner_read | fs::perms::owner_write, failed);
  auto done = db::join_data(joined, options.keys, kKeyTables, clock);
  auto leave = [&](bool untouched) {
    remove_joined(config.dir());
    note.due |= !untouched;
  };
  if (done) done = note_replay(config.dir(), schema_of(config), *window);
  // After `unavailable` nobody can say, but for SQLite: there, what was is aside or is not.
  bool nobody_knows = true;
  if (done && config.text("database.url").empty()) {
    folder.reset();  // replace_sqlite takes it
    const auto aside = "before-restore-" + stamp(clock.now());
    const bool there = fs::exists(config.dir() / "holdfast.db");
    done = db::replace_sqlite({.dir = config.dir()}, joined, aside, clock);
    nobody_knows = !there || fs::exists(config.dir() / aside);
  } else if (done) {
    auto database = open_database(config, clock, 1);
    if (!database) {
      leave(true);
      return std::move(database).error();
    }
    done = (*database)->load_from(joined);
    (*database)->close();
  }
  if (!done) {
    leave(done.error().code != Code::unavailable || !nobody_knows);
    return of_data(std::move(done).error());
  }
  remove_joined(config.dir());
  note.due = true;
  return std::move(*opened);
}

}  // namespace

Result<std::int64_t> destroy_keys_files(const fs::path& dir, Time before) {
  auto oldest = stamp(before) + std::string(kEnding);
  std::int64_t count = 0;
  std::error_code failed;
  if (!fs::exists(dir, failed)) return 0;
  for (const auto& entry : fs::directory_iterator(dir, failed)) {
    auto name = entry.path().filename().string();
    const bool finished = name.starts_with(kKeysName) && name.ends_with(kEnding);
    if ((!finished && !is_unfinished(name)) || name.substr(kKeysName.size()) >= oldest) continue;
    if (!fs::remove(entry.path(), failed))
      return Error(Code::unavailable,
                   "a keys file that is past backup.keep_keys cannot be removed: see the rights of "
                   "the folder backup.keys");
    ++count;
  }
  if (failed)
    return Error(Code::unavailable, "the folder backup.keys cannot be read: see its rights");
  return count;
}

Task<Result<BackupMade>> Backups::create(Caller caller, BackupRequest) {
  if (running_.exchange(true))
    co_return Error(Code::exhausted, "a backup is being made already: wait for it");
  struct Running {
    std::atomic<bool>& flag;
    ~Running() { flag = false; }
  } running{running_};
  co_return co_await make(std::move(caller));
}

Task<Result<BackupMade>> Backups::make(Caller caller) {
  auto now = instance_.clock().now();
  auto keep = instance_.config().duration("backup.keep_keys", Millis(0));
  if (!keep) co_return std::move(keep).error();
  if (auto done = co_await instance_.log().settle(); !done) co_return std::move(done).error();
  auto files = co_await instance_.pool().run([this, now] { return copy_data(instance_, now); });
  if (!files) co_return std::move(files).error();
  auto done = co_await add_keys(*files, now);
  if (!done) {
    clean(instance_.config());
    co_return std::move(done).error();
  }
  BackupMade out{.data = files->data.string(),
                 .keys = files->keys.string(),
                 .journal_size = *done,
                 .keys_files_destroyed = 0,
                 .event = {}};
  // By journal time: a clock that was set forward destroys nothing.
  if (auto time = instance_.time().now()) {
    auto destroyed = destroy_keys_files(instance_.config().path("backup.keys"), *time - *keep);
    if (!destroyed) co_return std::move(destroyed).error();
    out.keys_files_destroyed = *destroyed;
  }
  journal::Event event{.activity = "backups.create",
                       .facts = {{"data", files->data.filename().string()},
                                 {"destroyed", out.keys_files_destroyed},
                                 {"keys", files->keys.filename().string()}}};
  auto recorded = co_await instance_.log().commit(caller, {}, std::move(event));
  if (!recorded) co_return std::move(recorded).error();
  out.event = recorded->receipt.event;
  co_return out;
}

/// What goes into a keys file, tried against the copy. Keyring and unlock file fit each other while
/// nobody changes either. The opened keys are let go of with the turn: a lock waits for neither
/// longer than the trial takes.
Task<Result<std::map<std::string, Bytes>>> Backups::keys_for(const BackupFiles& files,
                                                             KeysWindow window) {
  boost::asio::steady_timer pause(co_await boost::asio::this_coro::executor);
  std::optional<crypto::KeyringTurn> turn;
  for (auto until = instance_.clock().mono() + kPatience; !turn.emplace(instance_.keys());) {
    if (instance_.clock().mono() > until)
      co_return Error(Code::conflict,
                      "a change of the keyring runs: back up again when it is done");
    pause.expires_after(kPause);
    co_await pause.async_wait(boost::asio::use_awaitable);
  }
  co_return co_await instance_.pool().run([&, this]() -> Result<Parts> {
    auto parts = read_keys(instance_.config(), window);
    if (!parts) return parts;
    auto held = instance_.keys().get();
    if (!held) return Error(Code::locked, "the server is locked");
    if (auto fit = fits_together(files, window, held->ring, instance_.clock()); !fit)
      return std::move(fit).error();
    return parts;
  });
}

/// Gives how many entries the journal had, at least those that were copied.
Task<Result<std::int64_t>> Backups::add_keys(BackupFiles files, Time now) {
  if (auto done = co_await instance_.log().sequence(); !done) co_return std::move(done).error();
  const auto size = instance_.log().size();
  auto subjects = co_await vault::rotations_of(instance_.log().reader(), vault::KeyKind::subject,
                                               MonoTime::max());
  if (!subjects) co_return std::move(subjects).error();
  auto window = window_of(now, size, *subjects);
  put_afterlog(window, instance_.log().afterlog_end());
  auto keys = co_await keys_for(files, std::move(window));
  if (!keys) co_return std::move(keys).error();
  auto done = co_await instance_.pool().run([this, &files, &keys]() -> Result<void> {
    if (auto split = split_keys(files, *keys, instance_.clock()); !split) return split;
    return put_in_place(files);
  });
  if (!done) co_return std::move(done).error();
  co_return size;
}

std::vector<http::Route> Backups::rows(Backups* backups) {
  std::vector<http::Route> out;
  out.push_back(http::route<&Backups::create>(
      backups, "backups.create", "POST", "/v1/backups",
      "Back the store up: data and keys, two files to two places",
      {.limits = {.time = std::chrono::hours(2)}, .status = 201, .grows = true}));
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
                                       "Keys files past backup.keep_keys that were destroyed."),
      member<&B::event>("event", "The journal entry that records it.")};
  return kMembers;
}

int restore(const LocalOptions& options) {
  umask(0077);
  if (auto ready = prepare_process(); !ready) return print_error(ready.error());
  auto config = config_of(options);
  if (!config) return print_error(config.error());
  // Before anything is touched: the store is opened with them in the end.
  if (auto good = check_settings(*config); !good) return print_error(good.error());
  auto store = restore_files(options, *config);
  if (!store) return print_error(store.error());
  bool afterlog = fs::exists(config->dir() / "afterlog");
  Cores cores(0);
  auto instance = Instance::open(std::move(*config), std::move(*store), cores, make_logger("warn"),
                                 {.restored = true});
  if (!instance) return print_error(instance.error());
  std::cout << "Restored. The log goes on as " << (*instance)->log().origin() << ".\n";
  if (!(*instance)->afterlog_was_lost())
    std::cout << "What the afterlog names was erased and revoked again.\n";
  else if (afterlog)
    std::cout << "The afterlog is an older one, or lines were cut off it. What it still names was "
                 "erased and revoked again, but\n"
                 "nobody can say what else was revoked: every API key is revoked, and customers "
                 "erased since then are back.\n"
                 "Make an owner key with `holdfast access recover`.\n";
  else
    std::cout << "There was no afterlog, so nobody can say which keys were revoked since the "
                 "backup: every API key is\n"
                 "revoked, and customers erased since then are back. Make an owner key with "
                 "`holdfast access recover`.\n";
  (*instance)->stop();
  return kDone;
}

}  // namespace holdfast::app
